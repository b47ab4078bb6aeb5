"""Cursors: where the next page begins, sealed so that nobody can forge, move or edit one.

A cursor is a position and a tag over position and scope (tenant, route, filters, order): it opens only
where it was made.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from typing import Any

from chalicelib.api.problems import ProblemError
from chalicelib.model.digests import canonical

_TAG = 16


def seal(secret: bytes, scope: Any, position: Any) -> str:
    """Return the cursor of a position."""
    content = json.dumps(position, separators=(",", ":"), ensure_ascii=False).encode()
    return _text(_tag(secret, scope, content) + content)


def unseal(secret: bytes, scope: Any, cursor: str) -> Any:
    """Return the position in a cursor that :func:`seal` made for the same scope, else refuse it."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    content = raw[_TAG:]
    genuine = hmac.compare_digest(raw[:_TAG], _tag(secret, scope, content))
    # Base 64 has several texts for the same bytes: only the one that was handed out counts.
    if not genuine or _text(raw) != cursor:
        detail = "The cursor was not made for this route with these filters and this order."
        raise ProblemError("invalid-cursor", detail)
    return json.loads(content)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _tag(secret: bytes, scope: Any, content: bytes) -> bytes:
    text = canonical(scope).encode() + b"\0" + content
    return hmac.new(secret, text, hashlib.sha256).digest()[:_TAG]
