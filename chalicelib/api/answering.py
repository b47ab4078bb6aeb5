"""From a request to its answer: route, authorise, validate, call, and one form for every error."""

from __future__ import annotations

from typing import Any

from chalicelib import telemetry
from chalicelib.api import parameters, problems, routing
from chalicelib.api.access import authorized
from chalicelib.api.calls import Call
from chalicelib.api.http import Request, Response
from chalicelib.api.problems import ProblemError
from chalicelib.api.table import ROUTES
from chalicelib.aws import Hub

BODY_LIMIT = 1024 * 1024
"""Bytes of a request's body."""


def handle(hub: Hub, request: Request) -> Response:
    """Answer one request.  Never raises: what nobody foresaw is logged and answered 500."""
    try:
        response = _answer(hub, request)
    except ProblemError as problem:
        response = problems.response(problem)
    except Exception:  # noqa: BLE001 - the caller gets an answer, we get the traceback
        telemetry.logger().exception("api.failed", extra={"path": request.path[:200]})
        detail = "Something went wrong in the hub; nothing is known to be lost."
        response = problems.response(ProblemError("internal-error", detail))
    return response.without_body() if request.method == "HEAD" else response


def _answer(hub: Hub, request: Request) -> Response:
    route, path = routing.find(ROUTES, request.method, request.path)
    caller = authorized(hub, request, route)
    query = {} if route.query is None else parameters.parse(route.query, request.query)
    parameters.check_range(query)
    call = Call(hub, route, request, caller, path, query, _body(route, request))
    parameters.check_vendors(query, call.vendors)
    _ = call.after  # a bad cursor is refused before anything is read
    answer = route.function()(call)
    return answer if isinstance(answer, Response) else Response(route.status, answer)


def _body(route: routing.Route, request: Request) -> Any:
    if route.body is None:
        return None
    if len(request.body) > BODY_LIMIT:
        detail = f"A body has at most {BODY_LIMIT} bytes."
        raise ProblemError("body-too-large", detail)
    from chalicelib.api import validation  # noqa: PLC0415 - most requests have no body

    return validation.body(route.model(), request.body, optional=route.body_optional)
