"""Anything in the place of any one leaf: what vendors, proxies and attackers make of a payload."""

from __future__ import annotations

import math
import random
import string
from collections.abc import Mapping
from typing import Any

Path = tuple[str | int, ...]

# Values beside which code goes wrong.  All of them can come out of `decode`.
ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 255, 65_535, 2**31, -(2**31), 2**53, -(2**53), 2**53 - 1, 10**12, 10**15,
    0.1, -0.5, 1e-300, 5e-324, 1e300, -1e300, 1.7976931348623157e308, 12345678901234567890.0,
    math.nan, math.inf, -math.inf, 1_657_195_118, 1_657_195_118_251, 1_657_195_118.251, 253_402_300_800_000,
    "", " ", "0", "1", "-1", "1.5", "1e400", "NaN", "null", "true", "on", "off", "online", "\x00", "\ufffd", "ü",
    "\U0001f600", "a.b", "a#b", "a/b/c", "..", "$", "#", "{}", "[]", "%s%n", "' OR 1=1", "../../etc/passwd",
    "2026-01-31T12:00:00Z", "2026-01-31", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z",
    "1970-01-01T00:00:00Z", "2026-13-01T00:00:00Z", "[2026-01-31 12:00:00+00,2026-01-31 12:01:00+00)",
    "[2026-01-31 12:00:00+00,)", "(,)", "empty", "infinity", "P1D", "100%", "21.5 °C", "0x10", "١٢",
    [], {}, [None], [[]], [{}], {"": None}, {"a": 1}, [1, 2, 3], ["a", "b"], [True, "x", None, 1.5],
    {"value": 1}, {"password": "x"}, {"imsi": "1"}, {"a": {"b": {"c": [1, {"d": "e"}]}}}, [[[[1]]]],
)  # fmt: skip
_WORDS = ("temperature", "humidity", "value", "id", "type", "data", "timestamp", "tsmId", "tsmTs", "deviceId", "name")


def anything(rng: random.Random, depth: int = 0) -> Any:
    """Return any JSON value, the odd ones above all."""
    choice = rng.random()
    if choice < 0.55:
        return rng.choice(ODD)
    if choice < 0.65:
        return rng.randint(-(10 ** rng.randint(0, 15)), 10 ** rng.randint(0, 15))
    if choice < 0.75:
        return rng.uniform(-1, 1) * 10.0 ** rng.randint(-20, 300)
    if choice < 0.85:
        return "".join(rng.choices(string.printable + "üß\u2028\U0001f600\x00", k=rng.randint(0, 40)))
    if choice < 0.86:
        return rng.choice("xü\U0001f600\x01 ") * rng.choice((255, 256, 1025, 2048, 9000))
    if choice < 0.8605:
        return rng.choice("xü") * 300_000
    if depth > 3:
        return None
    if choice < 0.93:
        return [anything(rng, depth + 1) for _ in range(rng.randint(0, 4))]
    return {
        rng.choice((*_WORDS, "x" * rng.randint(0, 300))): anything(rng, depth + 1)
        for _ in range(rng.randint(0, 4))
    }


def leaves_of(value: Any, path: Path = ()) -> list[Path]:
    """Return the places of all leaves; a value without any is one."""
    if isinstance(value, Mapping) and value:
        return [place for key, inner in value.items() for place in leaves_of(inner, (*path, key))]
    if isinstance(value, list) and value:
        return [place for n, inner in enumerate(value) for place in leaves_of(inner, (*path, n))]
    return [path]


def replaced(value: Any, path: Path, new: Any) -> Any:
    """Return a copy with another value in one place; what is beside it is shared."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, Mapping) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)  # type: ignore[index]
    return copy
