"""API Gateway's part: a request becomes a REST API proxy event, its answer a response."""

from __future__ import annotations

import base64
import json
import logging
import time
import uuid
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl

from infra.local.events import Context

if TYPE_CHECKING:
    from chalice import Chalice

_LOG = logging.getLogger(__name__)
BODY_LIMIT = 6 * 1024 * 1024
"""Bytes of a body that Lambda is handed; above, API Gateway answers by itself."""
_WEBHOOKS = "/webhooks/"
_PROBLEM = "application/problem+json"
_PASSED_ON = ("OPTIONS", "HEAD", "TRACE")
"""Methods that Chalice knows no routes for: the hub answers them itself."""
_CONNECTION_HEADERS = {
    "connection",
    "content-length",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}


class Request(NamedTuple):
    """A request as it came over the wire."""

    method: str
    path: str
    """Raw, as sent: nothing is decoded."""
    query: str
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes
    peer: str


class Answer(NamedTuple):
    """What goes back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Gateway:
    """Calls the hub's HTTP entry point, from any number of threads."""

    def __init__(self, app: Chalice) -> None:
        _thread_safe(app)
        for methods in app.routes.values():
            for method in _PASSED_ON:
                methods.setdefault(method, next(iter(methods.values())))
        self._app = app
        self._methods = {resource: set(methods) for resource, methods in app.routes.items()}

    def answer(self, request: Request) -> Answer:
        """Answer a request; never raises."""
        if len(request.body) > BODY_LIMIT:
            return problem(413, f"a body may have at most {BODY_LIMIT} bytes")
        event = event_of(request)
        resource = event["resource"]
        known = self._methods.get(resource, set())
        if event["httpMethod"] not in known:
            allowed = ", ".join(sorted(known - set(_PASSED_ON)))
            return problem(405, f"{request.method} is not supported", allow=allowed)
        try:
            said = self._app(event, Context("api_handler", seconds=30))
        except Exception:  # noqa: BLE001 - whatever it is, the sender gets an answer
            _LOG.exception("%s %s was not answered", request.method, request.path)
            return problem(502, "the function did not answer")
        return _answer_of(said)


def event_of(request: Request) -> dict[str, Any]:
    """Return the event of a request, as a REST API with proxy integration makes it."""
    resource, parameters = _resource(request.path)
    method = request.method
    if method == "HEAD" and not resource.startswith(_WEBHOOKS):
        method = "GET"
    query: dict[str, list[str]] = {}
    for name, value in parse_qsl(request.query, keep_blank_values=True, errors="replace"):
        query.setdefault(name, []).append(value)
    host = request.headers.get("host", "127.0.0.1")
    headers = {**request.headers, "x-forwarded-proto": "http", "x-forwarded-for": request.peer}
    return {
        "resource": resource,
        "path": request.path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {name: each[-1] for name, each in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": parameters,
        "stageVariables": None,
        "requestContext": {
            "resourcePath": resource,
            "httpMethod": method,
            "path": request.path,
            "stage": "local",
            "requestId": str(uuid.uuid4()),
            "requestTimeEpoch": time.time_ns() // 1_000_000,
            "protocol": "HTTP/1.1",
            "domainName": host,
            "apiId": "local",
            "accountId": "000000000000",
            "identity": {
                "sourceIp": request.peer,
                "userAgent": request.headers.get("user-agent"),
            },
        },
        "body": base64.b64encode(request.body).decode() if request.body else None,
        "isBase64Encoded": bool(request.body),
    }


def problem(status: int, detail: str, **headers: str) -> Answer:
    """Return an answer that the hub never sees: RFC 9457, as all its errors are."""
    titles = {405: "Method Not Allowed", 413: "Content Too Large", 502: "Bad Gateway"}
    body = {"type": "about:blank", "title": titles.get(status, "Error"), "status": status}
    return Answer(
        status,
        [("content-type", _PROBLEM), *headers.items()],
        json.dumps(body | {"detail": detail}).encode(),
    )


def _resource(path: str) -> tuple[str, dict[str, str] | None]:
    """Choose the route as API Gateway does: the most specific one."""
    if path.startswith(_WEBHOOKS) and path != _WEBHOOKS:
        return "/webhooks/{path+}", {"path": path.removeprefix(_WEBHOOKS)}
    rest = path.removeprefix("/")
    return ("/{path+}", {"path": rest}) if rest else ("/", None)


def _answer_of(said: Mapping[str, Any]) -> Answer:
    body = said.get("body") or ""
    content = base64.b64decode(body) if said.get("isBase64Encoded") else str(body).encode()
    headers = list(_headers(said))
    return Answer(int(said["statusCode"]), headers, content)


def _headers(said: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    several = said.get("multiValueHeaders") or {}
    for name, values in several.items():
        yield from ((name, str(value)) for value in values if _passes(name))
    taken = {name.lower() for name in several}
    for name, value in (said.get("headers") or {}).items():
        if name.lower() not in taken and _passes(name):
            yield name, str(value)


def _passes(name: str) -> bool:
    return name.lower() not in _CONNECTION_HEADERS


def _thread_safe(app: Chalice) -> None:
    """Give every thread its own ``current_request``, as ``chalice local`` does.

    A Lambda answers one request at a time and Chalice relies on it: without this, eight threads
    see each other's requests.
    """
    from chalice.local import LocalChalice  # noqa: PLC0415 - slow to import

    if not isinstance(app, LocalChalice):
        app.__class__ = type("ThreadSafe", (LocalChalice, type(app)), {})
