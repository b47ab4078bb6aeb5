"""Moments: integer milliseconds since 1970 UTC inside the hub, RFC 3339 outside.

Vendors write time in five ways; each has one reader here.  A reader returns ``None`` for what is no
time (zero, absent, unreadable, beyond the years 1..9999): the caller then uses the arrival time.
Digits below a millisecond are cut, never rounded.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST = -62_135_596_800_000
"""0001-01-01T00:00:00.000Z: the first moment that RFC 3339 can write."""
LAST = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z: the last one."""
_ABSURD = 1e20
_NUMBER = re.compile(r"[+-]?\d{1,20}(\.\d{1,20})?", re.ASCII)
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?\s*([Zz]|[+-]\d\d(?::?[0-5]\d)?)?",
    re.ASCII,
)


def to_rfc3339(moment: int) -> str:
    """Return ``2026-01-31T12:00:00.000Z`` for milliseconds since 1970.  Sorts as text in time order."""
    at = _EPOCH + timedelta(milliseconds=moment)
    return f"{at.year:04d}{at:-%m-%dT%H:%M:%S}.{moment % 1000:03d}Z"


def from_rfc3339(text: str) -> int | None:
    """Read RFC 3339 strictly (a zone is required), for API parameters and our own texts."""
    match = _ISO.fullmatch(text)
    if match is None or match[6] is None or match[8] is None or text[10] not in "Tt":
        return None
    if match[8] not in "Zz" and ":" not in match[8]:
        return None
    return _moment(match)


def from_iso(value: Any) -> int | None:
    """Read ISO 8601 as vendors write it: 0 to 9 fraction digits, ``Z``, ``+01``, ``+0100``, ``+01:00``.

    Without a zone the text is UTC (Haltian's alert history is written so).
    """
    match = _ISO.fullmatch(value.strip()) if isinstance(value, str) else None
    return (_moment(match) or None) if match else None


def _moment(match: re.Match[str]) -> int | None:
    year, month, day, hour, minute = (int(part) for part in match.groups()[:5])
    second = int(match[6] or 0)
    milli = int(((match[7] or "") + "000")[:3])
    try:
        at = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=_zone(match[8]))
    except ValueError:
        return None
    delta = at - _EPOCH
    moment = (delta.days * 86_400 + delta.seconds + max(second - 59, 0)) * 1000 + milli
    return moment if FIRST <= moment <= LAST and second <= 60 else None


def from_seconds(value: Any) -> int | None:
    """Read epoch seconds: a number, or the same number as a text (Viziosense, Soundsensing)."""
    return _from_number(value, 1000)


def from_millis(value: Any) -> int | None:
    """Read epoch milliseconds (relayr): a number, or the same number as a text."""
    return _from_number(value, 1)


def seconds_as_millis(value: Any) -> int | None:
    """Read a length in seconds (number or text) as milliseconds; ``None`` where it is no positive length."""
    return _length(value, 1000.0)


def micros_as_millis(value: Any) -> int | None:
    """Read a length in microseconds (number or text) as milliseconds."""
    return _length(value, 0.001)


def hour_of(moment: int) -> int:
    """Return the start of the UTC hour that holds ``moment``."""
    return moment - moment % HOUR


def _zone(text: str | None) -> timezone:
    if text is None or text in "Zz":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def _number(value: Any) -> Decimal | int | None:
    """Return what was written, exactly: cutting digits of a float would cut 0.251 s to 250 ms."""
    if isinstance(value, str):
        text = value.strip()
        return Decimal(text) if _NUMBER.fullmatch(text) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not abs(value) < _ABSURD:  # true for NaN and infinity
        return None
    return Decimal(repr(value)) if isinstance(value, float) else value


def _from_number(value: Any, factor: int) -> int | None:
    number = _number(value)
    moment = math.floor(number * factor) if number is not None else 0
    return moment if FIRST <= moment <= LAST and moment != 0 else None


def _length(value: Any, factor: float) -> int | None:
    number = _number(value)
    if number is None or number <= 0:
        return None
    length = round(float(number) * factor)
    return length if 0 < length <= 400 * DAY else None
