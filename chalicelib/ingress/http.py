"""The HTTP door: ``POST /webhooks/{connection_id}[/{vendor topic}]`` (and GET, for keepalives).

Only authentication and size are refused here: a vendor that is answered 4xx for a body we cannot read
switches its webhook off, so whatever else is wrong with a payload is quarantined later.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from chalice.app import Response

from chalicelib import aws, inbound, telemetry
from chalicelib.ingress.authentication import authentic
from chalicelib.model.decode import BODY_LIMIT, TooLargeError, gunzip
from chalicelib.model.envelope import arrived
from chalicelib.model.records import MalformedPayloadError
from chalicelib.store import connections
from chalicelib.store.table import table_of

if TYPE_CHECKING:
    from chalice.app import Request


class RefusedError(Exception):
    """The sender must change something: its status, and what to do."""

    def __init__(self, status: int, title: str, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = headers


def receive(request: Request, hub: aws.Hub | None = None) -> Response:
    """Queue one payload and answer ``202 {"receipt_id"}``, or a problem that says what to change."""
    try:
        receipt_id = _accept(request, hub or aws.hub())
    except RefusedError as refused:
        body = {
            "type": f"/problems/{refused.title.lower().replace(' ', '-')}",
            "title": refused.title,
            "status": refused.status,
            "detail": refused.detail,
        }
        headers: dict[str, str | list[str]] = {"Content-Type": "application/problem+json"}
        headers.update(refused.headers)
        return Response(json.dumps(body), headers, refused.status)
    body = {"receipt_id": receipt_id}
    return Response(json.dumps(body), {"Content-Type": "application/json"}, 202)


def _accept(request: Request, hub: aws.Hub) -> str:
    identity, _, topic = (request.uri_params or {})["path"].partition("/")
    if request.method not in {"GET", "POST"}:
        raise RefusedError(
            405, "Method Not Allowed", "Use POST, or GET for a keepalive.", Allow="GET, POST"
        )
    connection = connections.recent(table_of(hub), unquote(identity))
    if connection is None or connection.deleted_at is not None:
        raise RefusedError(404, "Not Found", "There is no such connection.")
    headers: dict[str, str] = {name.lower(): value for name, value in request.headers.items()}
    query: dict[str, Any] = dict(request.query_params or {})
    if not authentic(connection, headers, query.pop("token", None), hub.now()):
        detail = (
            "Send the connection's secret as bearer token, basic password, its header or ?token=."
        )
        raise RefusedError(
            401, "Unauthorized", detail, **{"WWW-Authenticate": 'Bearer realm="webhooks", Basic'}
        )
    body = _body(request, headers.get("content-encoding", ""))
    vendor_topic = unquote(topic).strip("/")
    envelope = arrived(connection.id, hub.now(), body, vendor_topic, query if not body else None)
    inbound.put(hub, envelope)
    telemetry.plain("payload.accepted", receipt_id=envelope.receipt_id, vendor=connection.vendor)
    return envelope.receipt_id


def _body(request: Request, encoding: str) -> bytes:
    raw = request.raw_body
    data = raw.encode() if isinstance(raw, str) else bytes(raw or b"")
    encoding = encoding.strip().lower()
    if encoding not in {"", "identity", "gzip", "x-gzip"}:
        detail = "Send the body plain or with Content-Encoding: gzip."
        raise RefusedError(
            415, "Unsupported Content Encoding", detail, **{"Accept-Encoding": "gzip"}
        )
    if len(data) > BODY_LIMIT:
        raise RefusedError(413, "Payload Too Large", f"A payload has at most {BODY_LIMIT} bytes.")
    if encoding in {"gzip", "x-gzip"}:
        try:
            data = gunzip(data)
        except TooLargeError as error:
            detail = f"A payload has at most {BODY_LIMIT} bytes after decompression."
            raise RefusedError(413, "Payload Too Large", detail) from error
        except MalformedPayloadError:
            return data  # damaged gzip: kept as it came, quarantined by normalize
    return data
