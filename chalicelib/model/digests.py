"""Stable ids: the same thing always gets the same id, on every redelivery, in every process."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any


def canonical(value: Any) -> str:
    """Return one text for one JSON value, whatever its key order (numbers are canonical since decoding)."""
    return _encode(value)


_encode = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str
).encode


def digest(*parts: Any, length: int = 16) -> str:
    """Return an id of ``length`` bytes as lower-case base 32 (26 characters for the default 128 bits)."""
    text = canonical(parts)
    raw = hashlib.blake2b(text.encode(), digest_size=length).digest()
    return base64.b32encode(raw).decode().rstrip("=").lower()
