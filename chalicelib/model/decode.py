"""Bytes from outside to a JSON value that is safe to store: the one place that reads untrusted text.

Stated outcomes: a UTF-8 byte order mark is stripped; the last of duplicate keys wins; a lone surrogate
becomes U+FFFD; ``1.0`` equals ``1``; ``NaN``, ``Infinity`` and numbers beyond a double come out as
non-finite floats, so that only that value is refused later.  Illegal JSON, a wrong encoding and nesting
deeper than 64 raise :class:`MalformedPayloadError`.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from chalicelib.model.records import MalformedPayloadError

DEPTH = 64
TOO_DEEP = f"nested deeper than {DEPTH}"
BODY_LIMIT = 4 * 1024 * 1024
"""Bytes of a payload after decompression."""
_EXACT = 2**53
_SECRET = re.compile(r"password|secret|token|api_?key", re.IGNORECASE)
_IDENTIFIERS = frozenset({"imsi", "imei"})


class TooLargeError(Exception):
    """The sender must send less: the body is larger than the hub accepts."""


def gunzip(data: bytes, limit: int = BODY_LIMIT) -> bytes:
    """Decompress gzip without ever holding more than ``limit`` bytes.

    Raises :class:`TooLargeError` above the limit and :class:`MalformedPayloadError` for damage.
    """
    plain, rest = b"", data
    while True:
        engine = zlib.decompressobj(wbits=31)
        try:
            plain += engine.decompress(rest, limit + 1 - len(plain))
        except zlib.error as error:
            raise MalformedPayloadError(f"damaged gzip: {error}") from error
        if len(plain) > limit:
            raise TooLargeError(f"more than {limit} bytes after decompression")
        if not engine.eof:
            raise MalformedPayloadError("damaged gzip: it ends too early")
        rest = engine.unused_data.lstrip(b"\0")  # padding is allowed, and so is another member
        if not rest:
            return plain


def is_gzip(data: bytes) -> bool:
    """Say whether bytes begin as gzip does (vendors compress on MQTT without saying so)."""
    return data[:2] == b"\x1f\x8b"


def compress(data: bytes) -> bytes:
    """Return gzip bytes that depend on nothing but ``data`` (no time stamp inside)."""
    return gzip.compress(data, 6, mtime=0)


def decode(data: bytes, *, any_depth: bool = False) -> Any:
    """Return the JSON value of a payload's bytes.  Raises :class:`MalformedPayloadError`.

    ``any_depth`` leaves it to the caller to refuse what :func:`is_deep` says is nested too deep.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedPayloadError("not UTF-8 text") from error
    try:
        value = json.loads(text, parse_int=_integer, parse_float=_real, parse_constant=_constant)
        if "\\ud" in text or "\\uD" in text:
            value = without_surrogates(value)
    except RecursionError as error:
        raise MalformedPayloadError(TOO_DEEP) from error
    except ValueError as error:
        raise MalformedPayloadError(f"illegal JSON: {error}") from error
    if not any_depth and is_deep(value):
        raise MalformedPayloadError(TOO_DEEP)
    return value


def is_deep(value: Any, allowed: int = DEPTH) -> bool:
    """Say whether a JSON value is nested deeper than ``allowed``."""
    level = [value]
    while level:
        containers = [inner for inner in level if isinstance(inner, dict | list)]
        if not containers:
            return False
        allowed -= 1
        if allowed < 0:
            return True
        level = [
            child
            for inner in containers
            for child in (inner.values() if isinstance(inner, dict) else inner)
        ]
    return False


def redacted(value: Any, *, identifiers: bool = False) -> Any:
    """Return a copy that may be stored: without secrets, and without ``imsi`` and ``imei`` unless allowed.

    Non-finite numbers become their JSON-ish names, as nothing stored may hold them.
    """
    if isinstance(value, dict):
        return {
            key: redacted(inner, identifiers=identifiers)
            for key, inner in value.items()
            if not _SECRET.search(key) and (identifiers or key.lower() not in _IDENTIFIERS)
        }
    if isinstance(value, list):
        return [redacted(inner, identifiers=identifiers) for inner in value]
    return readable(value)


def is_secret(path: str, *, identifiers: bool = False) -> bool:
    """Say whether a dotted path names a secret, or (unless allowed) a personal identifier."""
    if _SECRET.search(path):
        return True
    return not identifiers and any(part.lower() in _IDENTIFIERS for part in path.split("."))


def readable(value: Any) -> Any:
    """Return a leaf that JSON can carry: ``NaN`` and infinities as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


def leaves(value: Any, path: str = "") -> list[tuple[str, Any]]:
    """Return every leaf of a JSON value with its dotted path; positions in arrays are parts of it."""
    found: list[tuple[str, Any]] = []
    stack: list[tuple[str, Any]] = [(path, value)]
    while stack:
        at, inner = stack.pop()
        if isinstance(inner, dict):
            pairs = [(f"{at}.{key}" if at else key, item) for key, item in inner.items()]
        elif isinstance(inner, list):
            pairs = [
                (f"{at}.{index}" if at else str(index), item) for index, item in enumerate(inner)
            ]
        else:
            found.append((at, inner))
            continue
        stack.extend(reversed(pairs))
    return found


def without_surrogates(value: Any) -> Any:
    """Return a copy in which every lone surrogate, in keys too, is U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_surrogates(inner) for inner in value]
    return value


def _integer(text: str) -> int | float:
    return int(text) if len(text) < 17 else _real(text)


def _real(text: str) -> int | float:
    number = float(text)
    if number.is_integer() and -_EXACT <= number <= _EXACT:
        return int(number)
    return number


_CONSTANTS: Mapping[str, float] = {
    "NaN": math.nan,
    "Infinity": math.inf,
    "-Infinity": -math.inf,
}
_constant: Callable[[str], float] = _CONSTANTS.__getitem__
