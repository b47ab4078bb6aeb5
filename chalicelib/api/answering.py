"""From a request to its answer: route, authorise, validate, call, and one form for every error."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chalicelib import telemetry
from chalicelib.api import access, limits, parameters, problems, routing
from chalicelib.api.auditing import audited
from chalicelib.api.calls import Call
from chalicelib.api.http import Request, Response
from chalicelib.api.idempotency import once
from chalicelib.api.problems import ProblemError
from chalicelib.api.table import ROUTES
from chalicelib.aws import Hub
from chalicelib.store.access import ApiKey

BODY_LIMIT = 1024 * 1024
"""Bytes of a request's body."""


def handle(hub: Hub, request: Request) -> Response:
    """Answer one request.  Never raises: what nobody foresaw is logged and answered 500."""
    said: dict[str, str] = {}
    try:
        response = _answer(hub, request, said)
    except ProblemError as problem:
        response = problems.response(problem)
    except Exception:  # noqa: BLE001 - the caller gets an answer, we get the traceback
        telemetry.logger().exception("api.failed", extra={"path": request.path[:200]})
        detail = "Something went wrong in the hub; nothing is known to be lost."
        response = problems.response(ProblemError("internal-error", detail))
    response = replace(response, headers={**response.headers, **said})
    return response.without_body() if request.method == "HEAD" else response


def _answer(hub: Hub, request: Request, said: dict[str, str]) -> Response:
    """Answer one request; ``said`` takes what even a refusal tells a caller with a key."""
    try:
        route, path = routing.find(ROUTES, request.method, request.path)
    except ProblemError:
        _count(hub, access.identified(hub, request), said)  # a wrong path counts as well
        raise
    caller = access.NOBODY
    if route.scope is not None:
        key = access.identified(hub, request, basic=route.basic)
        _count(hub, key, said)
        caller = access.authorized(key, route)
    query = {} if route.own_query else parameters.parse(route.query, request.query)
    parameters.check_range(query)
    call = Call(hub, route, request, caller, path, query, _body(route, request))
    parameters.check_vendors(query, call.vendors)
    _ = call.after  # a bad cursor is refused before anything is read
    return once(call, lambda call: audited(call, _act))


def _count(hub: Hub, key: ApiKey | None, said: dict[str, str]) -> None:
    if key is not None:
        verdict = limits.meters_of(hub).ask(key)
        said |= verdict.headers
        verdict.check()


def _act(call: Call) -> Response:
    answer = call.route.function()(call)
    return answer if isinstance(answer, Response) else Response(call.route.status, answer)


def _body(route: routing.Route, request: Request) -> Any:
    if route.body is None:
        return None
    if len(request.body) > BODY_LIMIT:
        detail = f"A body has at most {BODY_LIMIT} bytes."
        raise ProblemError("body-too-large", detail)
    from chalicelib.api import validation  # noqa: PLC0415 - most requests have no body

    return validation.body(route.model(), request.body, optional=route.body_optional)
