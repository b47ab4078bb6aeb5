"""What a filter means: for one entity, for the range of time that has to be read, for the id it names."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from chalicelib.api.sta.queries import (
    Both,
    Comparison,
    Filter,
    Moment,
    Negation,
    Operator,
    Path,
    moment,
)
from chalicelib.model.times import FIRST, from_rfc3339

END = from_rfc3339("9999-12-31T23:59:59.999Z") or 0
Range = tuple[int, int]
"""Milliseconds: from, and until before."""
EVER: Range = (FIRST, END)
_COMPARE: Mapping[Operator, Callable[[Any, Any], bool]] = {
    "eq": operator.eq, "ne": operator.ne, "gt": operator.gt, "ge": operator.ge,
    "lt": operator.lt, "le": operator.le,
}  # fmt: skip


def bound(filter_: Filter, check: Callable[[Path], bool]) -> Filter:
    """Return a filter whose properties exist, by ``check``, which says whether one is a time."""
    if isinstance(filter_, Both):
        left, right = bound(filter_.left, check), bound(filter_.right, check)
        return replace(filter_, left=left, right=right)
    if isinstance(filter_, Negation):
        return Negation(bound(filter_.of, check))
    if check(filter_.path) and not isinstance(filter_.value, Moment) and filter_.value is not None:
        return replace(filter_, value=moment(str(filter_.value)))
    return filter_


def holds(filter_: Filter | None, read: Callable[[Path], Any]) -> bool:
    """Say whether a filter holds where ``read`` tells the properties."""
    if filter_ is None:
        return True
    if isinstance(filter_, Both):
        either = filter_.word == "or"
        return either if holds(filter_.left, read) is either else holds(filter_.right, read)
    if isinstance(filter_, Negation):
        return not holds(filter_.of, read)
    found, value = read(filter_.path), filter_.value
    if _sort(found) != _sort(value):
        return filter_.operator == "ne"  # what cannot be compared differs, and has no order
    if value is None:
        return filter_.operator == "eq"
    return _COMPARE[filter_.operator](found, value)


def _sort(value: Any) -> str:
    """Return what compares with what: true is no number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number"
    return type(value).__name__


def ranked(value: Any) -> tuple[str, Any]:
    """Return what sorts any property among its like; what is missing comes first."""
    return ("", 0) if value is None else (_sort(value), value)


def span(filter_: Filter | None, times: frozenset[Path]) -> Range:
    """Return the range outside of which the filter cannot hold, told from what it asks of ``times``."""
    if isinstance(filter_, Both):
        (a, b), (c, d) = span(filter_.left, times), span(filter_.right, times)
        return (max(a, c), min(b, d)) if filter_.word == "and" else (min(a, c), max(b, d))
    if not isinstance(filter_, Comparison) or filter_.path not in times:
        return EVER
    if not isinstance(filter_.value, Moment):
        return EVER
    at = filter_.value.at
    first, last = FIRST, END
    if filter_.operator in {"eq", "ge"}:
        first = math.ceil(at)
    if filter_.operator == "gt":
        first = math.floor(at) + 1
    if filter_.operator in {"eq", "le"}:
        last = math.floor(at) + 1
    if filter_.operator == "lt":
        last = math.ceil(at)
    return max(first, FIRST), min(last, END)


def named(filter_: Filter | None, path: Path) -> str | None:
    """Return the text that a property must equal for the filter to hold, if it says so plainly."""
    if isinstance(filter_, Both) and filter_.word == "and":
        return named(filter_.left, path) or named(filter_.right, path)
    if isinstance(filter_, Comparison) and filter_.path == path and filter_.operator == "eq":
        return filter_.value if isinstance(filter_.value, str) else None
    return None
