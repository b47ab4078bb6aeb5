"""Problems (RFC 9457): every way in which the API refuses, each with one stable ``type``.

The table is the catalogue: a slug never changes its meaning, and nothing else makes an error answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from chalicelib.api.http import Response

CONTENT_TYPE = "application/problem+json"


class Kind(NamedTuple):
    """One kind of problem: its status and what to do about it."""

    status: int
    title: str
    remedy: str


KINDS: Mapping[str, Kind] = {
    "malformed-json": Kind(400, "Malformed JSON", "Send a body that is valid JSON."),
    "unknown-parameter": Kind(400, "Unknown parameter", "Leave it out, or spell it as documented."),
    "repeated-parameter": Kind(400, "Repeated parameter", "Send the parameter once."),
    "missing-parameter": Kind(400, "Missing parameter", "Send the parameter."),
    "invalid-parameter": Kind(400, "Invalid parameter", "Send a value as documented."),
    "unknown-metric": Kind(400, "Unknown metric", "Choose one of GET /v1/catalog/metrics."),
    "reversed-range": Kind(400, "Reversed range", "Let `from` be before `to`."),
    "too-many-buckets": Kind(
        400, "Too many buckets", "Ask for a shorter range or for a longer frame."
    ),
    "invalid-cursor": Kind(
        400, "Invalid cursor", "Send next_cursor as it came, with the same filters and order."
    ),
    "invalid-query": Kind(400, "Invalid query", "Ask as docs/sensorthings.md says."),
    "invalid-idempotency-key": Kind(
        400, "Invalid Idempotency-Key", "Send 1 to 255 characters, such as a UUID."
    ),
    "unauthorized": Kind(401, "Unauthorized", "Send Authorization: Bearer and a live API key."),
    "missing-scope": Kind(403, "Missing scope", "Use a key that has the scope."),
    "not-found": Kind(404, "Not found", "Check the id: there is no such thing in your tenant."),
    "unknown-route": Kind(404, "Unknown route", "See /v1/openapi.json for all routes."),
    "method-not-allowed": Kind(405, "Method not allowed", "Use one of the methods in Allow."),
    "conflict": Kind(409, "Conflict", "Read the present state: it does not allow this."),
    "idempotency-key-in-flight": Kind(
        409, "Idempotency-Key in flight", "Send the same call again after Retry-After."
    ),
    "body-too-large": Kind(413, "Body too large", "Send a smaller body."),
    "invalid-body": Kind(422, "Invalid body", "Correct the members that `errors` points at."),
    "idempotency-key-reused": Kind(
        422, "Idempotency-Key reused", "Send a new key with a new call."
    ),
    "too-many-requests": Kind(429, "Too many requests", "Send it again after Retry-After."),
    "command-not-supported": Kind(
        422, "Command not supported", "See GET /v1/catalog/vendors for what the vendor takes."
    ),
    "internal-error": Kind(500, "Internal error", "Try again; report it if it stays."),
}


def type_of(slug: str) -> str:
    """Return the ``type`` of a problem: where the hub itself explains it."""
    return f"/problems/{slug}"


class FieldError(NamedTuple):
    """One mistake in a body: where (a JSON pointer) and what."""

    pointer: str
    detail: str


class ProblemError(Exception):
    """The caller must change something."""

    def __init__(
        self,
        slug: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.slug = slug
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})


def not_found(what: str) -> ProblemError:
    """Return the answer for an id that does not exist, or is another tenant's: the same."""
    return ProblemError("not-found", f"There is no such {what}.")


def invalid(pointer: str, detail: str) -> ProblemError:
    """Return the answer for one invalid member of a body."""
    return invalid_fields([FieldError(pointer, detail)])


def invalid_fields(errors: Sequence[FieldError]) -> ProblemError:
    """Return the answer for a body with invalid members."""
    detail = f"{len(errors)} member(s) of the body are invalid; see errors."
    return ProblemError("invalid-body", detail, errors=errors)


def response(problem: ProblemError) -> Response:
    """Return a problem as an answer."""
    kind = KINDS[problem.slug]
    value: dict[str, Any] = {
        "type": type_of(problem.slug),
        "title": kind.title,
        "status": kind.status,
        "detail": problem.detail,
    }
    if problem.errors:
        value["errors"] = [error._asdict() for error in problem.errors]
    return Response(kind.status, value, problem.headers, CONTENT_TYPE)
