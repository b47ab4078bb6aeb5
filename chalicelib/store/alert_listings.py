"""Listings of alerts: by time alone, by device, or by what they are.

What an alert is (active or cleared, acknowledged, its severity and vendor) is part of a key, so that a
rare kind is found among many others without reading them.  Kinds that exist are marked; a listing of
several kinds reads each and joins them by time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice

from chalicelib.store import keys
from chalicelib.store.alert_kinds import ACTIVE, CLEARED, Kind, Sought
from chalicelib.store.alerts import alert_of
from chalicelib.store.listing import Page, bounds, marked, newest_first
from chalicelib.store.table import Plain, Table

_QUERIES = 100
"""Kinds read for one page, after which it ends with a month; it may then be short and still have a cursor."""


def page(
    table: Table,
    tenant: str,
    sought: Sought,
    *,
    start: int | None,
    end: int | None,
    limit: int,
    after: Plain | None,
) -> Page:
    """Return a page of alerts by ``raised_at`` (``start`` inclusive, ``end`` exclusive, ms), newest first."""
    if sought.everything:
        return newest_first(
            table, tenant, "ALERT", start=start, end=end, limit=limit, after=after, keep=_all
        )
    low, high = bounds(start, end)
    if after is not None:
        high = min(high, after.get("g1sk") or after["g2sk"])  # as former cursors of active alerts
    if low >= high:
        return Page([], None)
    listed = _of_devices if sought.devices else _of_kinds
    return listed(table, tenant, sought, low, high, limit)


def _of_devices(table: Table, tenant: str, sought: Sought, low: str, high: str, limit: int) -> Page:
    """A device's alerts sort by condition, not time: an index would cost more than to read them all."""
    found = [
        item
        for device in sought.devices
        for item in table.walk(keys.device_pk(tenant, device), keys.ALERT, f"{keys.ALERT}~")
        if low <= item.get("g1sk", "") < high and sought.matches(Kind.of(alert_of(item)))
    ]
    return _cut(found, limit)


def _of_kinds(table: Table, tenant: str, sought: Sought, low: str, high: str, limit: int) -> Page:
    found: dict[str, Plain] = {}
    floor, month = low, ""
    for queries, kind in enumerate(_kinds(table, tenant, sought, low, high)):
        if kind.period not in {ACTIVE, month}:
            month = kind.period
            border = f"{month}~"
            if border < floor:
                break  # all that is left was raised before the last one of this page
            if queries >= _QUERIES:
                ready = [item for item in found.values() if item["g1sk"] > border]
                return Page(_cut(ready, limit).items, {"g1sk": border})
        items = table.walk(
            keys.alerts(tenant, kind.name), floor, high,
            index="by_state", descending=True, limit=limit + 2,
        )  # fmt: skip
        # Whatever changed its kind meanwhile comes twice, and counts as it is now.
        found |= {item["g1sk"]: item for item in islice(items, limit + 2) if item["g1sk"] < high}
        if len(found) > limit:
            floor = sorted(found, reverse=True)[limit - 1]
    return _cut(found.values(), limit)


def _kinds(table: Table, tenant: str, sought: Sought, low: str, high: str) -> Iterator[Kind]:
    """Yield the kinds there are, as an alert passes through them, so that none slips through."""
    ranges = []
    if sought.state != CLEARED:
        ranges.append((ACTIVE, f"{ACTIVE}~"))
    if sought.state != ACTIVE:
        ranges.append((low[:7], f"{high[:7]}~"))
    for first, last in ranges:
        # Descending: ``unacknowledged`` before ``acknowledged``, a later month before an earlier one.
        for name in marked(table, tenant, keys.KINDS, first, last, descending=True):
            kind = Kind.named(name)
            if sought.matches(kind):
                yield kind


def _cut(found: Collection[Plain], limit: int) -> Page:
    items = sorted(found, key=lambda item: item["g1sk"], reverse=True)
    last = {"g1sk": items[limit - 1]["g1sk"]} if len(items) > limit else None
    return Page(items[:limit], last)


def _all(_item: Plain) -> bool:
    return True
