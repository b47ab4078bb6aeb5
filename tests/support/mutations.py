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
    None, True, False, 0, 1, -1, 2, 255, 65_535, 2**31, -(2**31), 2**53, -(2**53), 2**53 - 1, 10**12,
    10**15, 0.1, -0.5, 1e-300, 5e-324, 1e300, -1e300, 1.7976931348623157e308, 12345678901234567890.0,
    math.nan, math.inf, -math.inf, 1_657_195_118, 1_657_195_118_251, 1_657_195_118.251, 253_402_300_800_000,
    "", " ", "0", "1", "-1", "1.5", "1e400", "NaN", "null", "true", "on", "off", "online", "\x00", "\ufffd",
    "ü", "\U0001f600", "a.b", "a#b", "a/b/c", "..", "$", "#", "{}", "[]", "%s%n", "' OR 1=1",
    "../../etc/passwd",
    "2026-01-31T12:00:00Z", "2026-01-31", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z",
    "1970-01-01T00:00:00Z", "2026-13-01T00:00:00Z", "[2026-01-31 12:00:00+00,2026-01-31 12:01:00+00)",
    "[2026-01-31 12:00:00+00,)", "(,)", "empty", "infinity", "P1D", "100%", "21.5 °C", "0x10", "١٢",
    [], {}, [None], [[]], [{}], {"": None}, {"a": 1}, [1, 2, 3], ["a", "b"], [True, "x", None, 1.5],
    {"value": 1}, {"password": "x"}, {"imsi": "1"}, {"a": {"b": {"c": [1, {"d": "e"}]}}}, [[[[1]]]],
)  # fmt: skip
_WORDS = (
    "temperature",
    "humidity",
    "value",
    "id",
    "type",
    "data",
    "timestamp",
    "tsmId",
    "tsmTs",
    "deviceId",
    "name",
)


def anything(rng: random.Random, depth: int = 0) -> Any:
    """Return any JSON value, the odd ones above all."""
    (kind,) = rng.choices(tuple(_KINDS), tuple(_KINDS.values()))
    return kind(rng, depth)


def _odd(rng: random.Random, _: int) -> Any:
    return rng.choice(ODD)


def _integer(rng: random.Random, _: int) -> int:
    return rng.randint(-(10 ** rng.randint(0, 15)), 10 ** rng.randint(0, 15))


def _real(rng: random.Random, _: int) -> float:
    return rng.uniform(-1, 1) * 10.0 ** rng.randint(-20, 300)


def _text(rng: random.Random, _: int) -> str:
    letters = string.printable + "üß\u2028\U0001f600\x00"
    return "".join(rng.choices(letters, k=rng.randint(0, 40)))


def _long_text(rng: random.Random, _: int) -> str:
    return rng.choice("xü\U0001f600\x01 ") * rng.choice((255, 256, 1025, 2048, 9000))


def _huge_text(rng: random.Random, _: int) -> str:
    return rng.choice("xü") * 300_000


def _array(rng: random.Random, depth: int) -> list[Any]:
    return [] if depth > DEEP else [anything(rng, depth + 1) for _ in range(rng.randint(0, 4))]


def _object(rng: random.Random, depth: int) -> dict[str, Any]:
    if depth > DEEP:
        return {}
    names = [rng.choice((*_WORDS, "x" * rng.randint(0, 300))) for _ in range(rng.randint(0, 4))]
    return {name: anything(rng, depth + 1) for name in names}


DEEP = 3
_KINDS = {
    _odd: 550, _integer: 100, _real: 100, _text: 100, _long_text: 10, _huge_text: 0.5,
    _array: 70, _object: 70,
}  # fmt: skip


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
