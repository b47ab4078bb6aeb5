"""Routes and how a request finds one."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote

from chalicelib.api.parameters import Parameter
from chalicelib.api.problems import ProblemError

Scope = Literal["read", "write", "admin", "root"]
_ID_BYTES = 1000
"""An id longer than this exists nowhere, and DynamoDB refuses keys of more than 1 or 2 KB."""
DEVICE_ID_BYTES = 1900
_REST = "{path+}"
"""The rest of the path, whatever it is: its handler reads it itself."""


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the API: all that routing, validation and OpenAPI need to know of a call.

    ``handler`` is ``module.function`` below :mod:`chalicelib.api.routes`, ``body`` a model of
    :mod:`chalicelib.api.bodies`, ``returns`` one of :mod:`chalicelib.api.shapes`: names, so that a
    request imports only what it uses.  ``scope`` ``None`` needs no key.
    """

    method: str
    template: str
    scope: Scope | None
    handler: str
    summary: str
    query: Sequence[Parameter] = ()
    own_query: bool = False
    """The handler reads the query itself: it is in other words than the API's."""
    body: str | None = None
    body_optional: bool = False
    status: int = 200
    returns: str | None = None
    listed: bool = False
    """``returns`` is wrapped as ``{"data": [...], "next_cursor"}``."""
    conflicts: bool = False
    otherwise: tuple[int, str] | None = None
    """Another status and shape of success: the handler then returns a ``Response``."""
    basic: bool = False
    """Basic authentication with the key as password is taken too."""
    documented: bool = True
    """Whether it stands in the OpenAPI document, which has no words for a path of any length."""
    creates: str | None = None
    """The prefix of the id (``Call.created_id``) of what the call creates."""
    once: str | None = None
    """The member of the answer that is shown this once: a repeated call is answered ``null`` there."""

    @property
    def segments(self) -> list[str]:
        """The template's segments."""
        return self.template.strip("/").split("/")

    @property
    def names(self) -> list[str]:
        """The names of the template's path parameters, in order."""
        return [each[1:-1] for each in self.segments if each.startswith("{") and each != _REST]

    @property
    def resource(self) -> str:
        """What the call is about, as the audit log names it: ``connections``."""
        return self.segments[1]

    @property
    def action(self) -> str:
        """What the call does, as the audit log names it: ``create``, ``update``, ``rotate-secret``."""
        verbs = {"POST": "create", "PATCH": "update", "DELETE": "delete"}
        last = self.segments[-1]
        return last if self.names and not last.startswith("{") else verbs.get(self.method, "read")

    def function(self) -> Callable[..., Any]:
        """Return the handler, importing its module now."""
        found: Callable[..., Any] = _imported(f"routes.{self.handler}")
        return found

    def model(self) -> Any:
        """Return the model that validates the body, or ``None``."""
        return _imported(f"bodies.{self.body}") if self.body else None

    def shape(self, status: int | None = None) -> Any:
        """Return the model that describes the answer (or a row of it), or ``None``."""
        if self.otherwise is not None and status == self.otherwise[0]:
            return _imported(f"shapes.{self.otherwise[1]}")
        return _imported(f"shapes.{self.returns}") if self.returns else None


def _imported(name: str) -> Any:
    module, _, member = name.rpartition(".")
    return getattr(importlib.import_module(f"chalicelib.api.{module}"), member)


class Match(NamedTuple):
    """A route and the path parameters of a request for it."""

    route: Route
    path: dict[str, str]


def find(routes: Iterable[Route], method: str, path: str) -> Match:
    """Return the route of a request, or refuse it with 404, or with 405 and what is allowed."""
    segments = [unquote(segment) for segment in path.split("/")]
    matches = [
        Match(route, found)
        for route in routes
        if (found := _matched(route.segments, segments)) is not None
    ]
    if not matches:
        raise ProblemError("unknown-route", "There is no such route; see /v1/openapi.json.")
    wanted = "GET" if method == "HEAD" else method
    for match in matches:
        if match.route.method == wanted:
            _check_ids(match.path)
            return match
    methods = {match.route.method for match in matches}
    allowed = ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))
    detail = f"This route takes {allowed}."
    raise ProblemError("method-not-allowed", detail, headers={"Allow": allowed})


def _matched(template: Sequence[str], segments: Sequence[str]) -> dict[str, str] | None:
    if template[-1] == _REST and len(segments) >= len(template):
        template, segments = template[:-1], segments[: len(template) - 1]
    if len(template) != len(segments):
        return None
    found: dict[str, str] = {}
    for wanted, given in zip(template, segments, strict=True):
        if wanted.startswith("{") and given:
            found[wanted[1:-1]] = given
        elif wanted != given:
            return None
    return found


def _check_ids(path: dict[str, str]) -> None:
    for name, value in path.items():
        limit = DEVICE_ID_BYTES if name == "device_id" else _ID_BYTES
        if len(value.encode("utf-8", "replace")) > limit:
            raise ProblemError("not-found", "There is nothing with an id this long.")
