"""Listings by tenant and time, through month buckets of the ``by_time`` index.

A marker item says which months hold anything, so that a listing walks neither empty months nor other
tenants' items; a filter beyond the key narrows within a budget of items read a page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from chalicelib.model.times import to_rfc3339
from chalicelib.store import keys
from chalicelib.store.table import Key, Plain, Table, position

BUDGET = 1000
"""Items read for one page at most; a page may then be short and still have a cursor."""


class Page(NamedTuple):
    """Items of one page and where the next begins (``None``: there is no next)."""

    items: list[Plain]
    after: Plain | None


def indexed(table: Table, tenant: str, what: str, at: int, identity: str) -> Plain:
    """Return the index attributes that list an item, having made sure that its month is marked."""
    month = keys.month_of(at)
    mark(table, tenant, what, month)
    return {"g1pk": keys.listing(tenant, what, month), "g1sk": f"{to_rfc3339(at)}#{identity}"}


def mark(table: Table, tenant: str, what: str, name: str) -> None:
    """Make sure that a partition of a listing is known to hold something: a month, or a kind of alerts."""
    marker = Key(f"T#{tenant}", f"B#{what}#{name}")
    if marker not in table.marked:
        table.put(marker, {})
        table.marked.add(marker)


def marked(
    table: Table, tenant: str, what: str, first: str, last: str, *, descending: bool
) -> Iterator[str]:
    """Yield the names of a listing's partitions that hold something, from ``first`` to ``last``."""
    prefix = f"B#{what}#"
    found = table.walk(f"T#{tenant}", prefix + first, prefix + last, descending=descending)
    return (marker["sk"].removeprefix(prefix) for marker in found)


def newest_first(
    table: Table,
    tenant: str,
    what: str,
    *,
    start: int | None,
    end: int | None,
    limit: int,
    after: Plain | None,
    keep: Callable[[Plain], bool],
) -> Page:
    """Return a page of a bucketed listing: ``start`` inclusive, ``end`` exclusive, in milliseconds."""
    return _bucketed(table, tenant, what, bounds(start, end), limit, after, keep, descending=True)


def oldest_first(
    table: Table,
    tenant: str,
    what: str,
    *,
    start: int | None,
    end: int | None,
    limit: int,
    after: Plain | None,
) -> Page:
    """Return a page of the same listing the other way round, for work that goes on where it stopped."""
    ends = bounds(start, end)
    return _bucketed(table, tenant, what, ends, limit, after, lambda _: True, descending=False)


def _bucketed(
    table: Table,
    tenant: str,
    what: str,
    ends: tuple[str, str],
    limit: int,
    after: Plain | None,
    keep: Callable[[Plain], bool],
    *,
    descending: bool,
) -> Page:
    low, high = ends
    if low >= high:
        return Page([], None)
    first, last = low[:7], high[:7]
    if after is not None:
        reached = after["g1pk"].rsplit("#", 1)[1]
        first, last = (first, reached) if descending else (reached, last)
    found: list[Plain] = []
    budget = BUDGET
    for month in marked(table, tenant, what, first, last, descending=descending):
        partition = keys.listing(tenant, what, month)
        resume = after if after and after["g1pk"] == partition else None
        while True:
            size = min(max(limit + 1, 100), budget)
            items, more = table.query(
                partition,
                low,
                high,
                index="by_time",
                descending=descending,
                limit=size,
                after=resume,
            )
            budget -= len(items)
            found += [item for item in items if keep(item)]
            if len(found) > limit:
                return _cut(found, limit, "by_time")
            if budget <= 0:
                return Page(found, position(items[-1], "by_time"))
            if more is None:
                break
            resume = more
    return Page(found, None)


def within(
    table: Table, pk: str, low: str, high: str, *, limit: int, after: Plain | None, **options: Any
) -> Page:
    """Return a page of one partition (not bucketed), filtered by ``keep``."""
    keep: Callable[[Plain], bool] = options.pop("keep", lambda _: True)
    index = options.get("index")
    found: list[Plain] = []
    budget = BUDGET
    while True:
        size = min(max(limit + 1, 100), budget)
        items, more = table.query(pk, low, high, limit=size, after=after, **options)
        budget -= len(items)
        found += [item for item in items if keep(item)]
        if len(found) > limit:
            return _cut(found, limit, index)
        if more is None:
            return Page(found, None)
        if budget <= 0:
            return Page(found, more)
        after = more


def _cut(found: list[Plain], limit: int, index: str | None) -> Page:
    """Return the first ``limit`` of more: only then is there a next page."""
    return Page(found[:limit], position(found[limit - 1], index))


def bounds(start: int | None, end: int | None) -> tuple[str, str]:
    """Return the ends of a range (ms) as they compare with the places of a listing."""
    low = to_rfc3339(start) if start is not None else "0001"
    high = to_rfc3339(end) if end is not None else "9999-12-31T23:59:59.999Z~"
    return low, high
