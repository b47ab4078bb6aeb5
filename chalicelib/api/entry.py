"""The border to Chalice: its request in, its response out, nothing of it beyond this module."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from chalice.app import Response as ChaliceResponse

from chalicelib import aws
from chalicelib.api.answering import handle
from chalicelib.api.http import Request

if TYPE_CHECKING:
    from chalice.app import Request as ChaliceRequest

_HOST = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?|\[[0-9a-fA-F:]+\](:[0-9]{1,5})?")
_LOOPBACK = re.compile(r"(localhost|127(\.[0-9]+){3}|\[::1\])(:[0-9]+)?")


def answer(request: ChaliceRequest, hub: aws.Hub | None = None) -> ChaliceResponse:
    """Answer a request that Chalice routed here."""
    response = handle(hub or aws.hub(), read(request))
    headers: dict[str, str | list[str]] = dict(response.headers)
    if response.value is not None:
        headers["Content-Type"] = response.content_type
    return ChaliceResponse(response.text, headers, response.status)


def read(request: ChaliceRequest) -> Request:
    """Return Chalice's request as the API's own."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    path = (request.uri_params or {}).get("path", "")
    query = request.query_params
    raw = request.raw_body
    return Request(
        method=request.method,
        path=path,
        query={name: query.getlist(name) for name in query} if query else {},
        headers=headers,
        body=raw.encode() if isinstance(raw, str) else bytes(raw or b""),
        base_url=_base_url(headers, request.context, path),
    )


def _base_url(headers: Mapping[str, str], context: Mapping[str, object], path: str) -> str:
    """Return how the caller reached the hub: scheme, host and, behind API Gateway, the stage."""
    stated = headers.get("host") or context.get("domainName")
    host = stated if isinstance(stated, str) and _HOST.fullmatch(stated) else "localhost"
    scheme = headers.get("x-forwarded-proto", "").split(",")[0].strip().lower()
    if scheme not in {"http", "https"}:
        scheme = "http" if _LOOPBACK.fullmatch(host) else "https"
    whole = context.get("path")
    # API Gateway's context has the path with the stage in front, the event's has it without.
    ours = isinstance(whole, str) and whole.endswith(f"/{path}")
    prefix = str(whole)[: -len(path) - 1] if ours else ""
    return f"{scheme}://{host}{prefix}"
