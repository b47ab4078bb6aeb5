"""HTTP requests as API Gateway hands them to the hub."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from chalice.app import Request


def request(
    path: str,
    body: bytes = b"",
    *,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
) -> Request:
    """Return the request of ``/webhooks/{path}``."""
    event = {
        "requestContext": {"httpMethod": method, "resourcePath": "/webhooks/{path+}"},
        "multiValueQueryStringParameters": {k: [v] for k, v in (query or {}).items()} or None,
        "headers": dict(headers or {}),
        "pathParameters": {"path": path},
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
        "stageVariables": None,
    }
    return Request(event, None)
