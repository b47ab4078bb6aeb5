"""Rollups: the summaries of a device's hours, one item a day, from which long aggregates are read.

A cache and never the truth: an hour is always summed up as a whole from its segments, and where an item
is missing, expired or stale, the segments are read instead.  The rollup has what follows from them to the
last bit, because :func:`chalicelib.model.summaries.cells_of` makes both.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

from chalicelib.model.assembly import Point
from chalicelib.model.stale import ALL_HOURS, Stale
from chalicelib.model.state import Device
from chalicelib.model.summaries import CELL, Cell, Series, Summary, cells_of
from chalicelib.model.times import DAY, HOUR, hour_of
from chalicelib.store import devices, keys, said, series
from chalicelib.store.cells import cells as cells_of_points
from chalicelib.store.series import Reading
from chalicelib.store.table import Plain, Table, pack, unpack

_ROOM = 300 * 1024
"""Bytes of packed data: an item holds 400 KB.  A day that has more is read from its segments."""
_PAYLOAD = 20
"""To read a payload's segment is as much work as to read so many points."""
_AGAIN = HOUR
"""Milliseconds between two summings up of a day."""
_FIRST_READ, _LARGEST_READ = 8, 128
"""Days of a query: few at first, more as more are wanted."""


class Rebuilt(NamedTuple):
    """What came of summing up a day: the hours still to be done (as bits), not before when, and the work."""

    left: int
    work: int
    wait_until: int = 0


def cells(
    table: Table,
    tenant: str,
    device: Device,
    metrics: Collection[str],
    *,
    start: int,
    end: int,
    stale: Stale | None = None,
) -> Iterator[Cell]:
    """Yield the cells of some metrics from ``start`` until before ``end`` (ms), both borders of cells.

    They are the cells of the points, read from rollups where there are any.  ``stale`` is the device's, where
    the caller has read its state already.
    """
    reached = start
    wanted = frozenset(metrics) & device.metrics.keys()
    for item, left in _days(table, tenant, device.id, start, end, stale):
        covered, found = _unpacked(item)
        midnight = keys.rolled_day(item["sk"]) * DAY
        for first, last in _runs(covered & ~left):
            low, high = max(midnight + first * HOUR, reached), min(midnight + last * HOUR, end)
            if low >= high:
                continue
            if reached < low:
                yield from cells_of_points(table, tenant, device, wanted, start=reached, end=low)
            for cell in found:
                if low <= cell.start < high and cell.series.metric in wanted:
                    yield cell
            reached = high
    if reached < end:
        yield from cells_of_points(table, tenant, device, wanted, start=reached, end=end)


def rebuild(
    table: Table, tenant: str, device: Device, day: int, hours: int, *, most: int
) -> Rebuilt:
    """Sum up the stale hours of a day (as bits), and those that its rollup never told.

    Stops after the hour in which the work reached ``most``: a point is 1, a payload 20.  What was summed up
    within the last hour waits, so that a device that always speaks late is not summed up with every word.
    Raises ``ConflictError`` if somebody else sums up the same day: he read what we read, or newer.
    """
    key = keys.rollup(tenant, device.id, day)
    read = table.get(key)  # before the segments: who has read them earlier must not write later
    standing = read if read is not None and not _expired(table, read) else None
    covered, kept = _unpacked(standing) if standing else (0, [])
    now = table.hub.now()
    if standing is not None and covered == ALL_HOURS and now < standing["m"] + _AGAIN:
        return Rebuilt(hours, 0, standing["m"] + _AGAIN)
    wanted = hours | ALL_HOURS & ~covered
    taken = _Taken()
    found = _stale_points(table, tenant, device, day, wanted)
    fresh = list(cells_of(taken.points(found, most)))
    whole = 24 if taken.ended is None else _hour(taken.ended)
    left = wanted >> whole << whole
    done = wanted & ~left
    if standing is None and not fresh and not left:
        return Rebuilt(0, taken.work)  # of a day without points there is no rollup
    same = [cell for cell in kept if not done >> _hour(cell.start) & 1]
    data = _packed(covered | done, sorted([*same, *fresh], key=lambda c: (c.start, c.series)))
    item: Plain = {"d": data}
    if not table.hub.config.keep_all:
        ends = (taken.oldest + said.RETENTION) // 1000 if taken.oldest is not None else None
        known = [each for each in (ends, (standing or {}).get("expires_at")) if each is not None]
        item["expires_at"] = min(known, default=None)
    if read is None or any(read.get(name) != value for name, value in item.items()):
        table.replace(key, {**item, "m": now}, read)
    return Rebuilt(left, taken.work)


class _Taken:
    """Points on their way, their work counted, and the earliest arrival among them."""

    def __init__(self) -> None:
        self.work = 0
        self.oldest: int | None = None
        self.ended: int | None = None
        """The hour that was not begun any more."""

    def points(self, found: Iterable[Reading], most: int) -> Iterator[Point]:
        hour, receipt = None, ""
        for reading in found:
            if self.work >= most and hour_of(reading.point.at) != hour:
                self.ended = hour_of(reading.point.at)
                return
            hour = hour_of(reading.point.at)
            self.work += 1
            if reading.source.receipt_id != receipt:
                receipt = reading.source.receipt_id
                self.work += _PAYLOAD
                arrival = reading.source.received_at
                self.oldest = arrival if self.oldest is None else min(self.oldest, arrival)
            yield reading.point


def _stale_points(
    table: Table, tenant: str, device: Device, day: int, hours: int
) -> Iterator[Reading]:
    for first, last in _runs(hours):
        yield from series.readings(
            table,
            tenant,
            device,
            device.metrics.keys(),
            start=day * DAY + first * HOUR,
            end=day * DAY + last * HOUR,
            consistent=True,
        )


def _days(
    table: Table, tenant: str, device_id: str, start: int, end: int, stale: Stale | None
) -> Iterator[tuple[Plain, int]]:
    """Yield the rollups of a range, each with its hours that do not count (as bits)."""
    low, high = start // DAY, min((end - 1) // DAY, table.hub.now() // DAY - 1)
    if low > high:
        return  # a day that is not over has none
    # The state before the rollups: an hour that becomes stale in between is as it was just now.
    if stale is None:
        stale = devices.load_state(table, tenant, device_id)[0].stale
    first, last = keys.rollup(tenant, device_id, low), keys.rollup(tenant, device_id, high)
    after, size = None, _FIRST_READ
    while True:
        items, after = table.query(first.pk, first.sk, last.sk, limit=size, after=after)
        for item in items:
            if not _expired(table, item):
                yield item, stale.hours(keys.rolled_day(item["sk"]))
        if after is None:
            return
        size = min(2 * size, _LARGEST_READ)


def _expired(table: Table, item: Plain) -> bool:
    """Say whether the first point that an item tells of may be gone."""
    return bool(item.get("expires_at", 10**12) <= table.hub.now() // 1000)


def _hour(moment: int) -> int:
    return moment % DAY // HOUR


def _runs(hours: int) -> Iterator[tuple[int, int]]:
    """Yield the runs of hours that are set, from the first to before the last."""
    hour = 0
    while hours >> hour:
        if hours >> hour & 1:
            first = hour
            while hours >> hour & 1:
                hour += 1
            yield first, hour
        else:
            hour += 1


# --- packing ---------------------------------------------------------------------------------------


def _packed(covered: int, found: list[Cell]) -> bytes:
    """Columns: of each series its cells, and of these one list for each number of a summary.

    Moments count from the start of their cell; numbers that are alike then stand side by side.
    """
    rows: dict[Series, list[list[Any]]] = {}
    for cell in found:
        summary = cell.summary.as_list()
        summary[_FIRST_AT] -= cell.start
        summary[_LAST_AT] -= cell.start
        rows.setdefault(cell.series, []).append([cell.start % DAY // CELL, *summary])
    data = pack([covered, [[*name, *zip(*each, strict=True)] for name, each in rows.items()]])
    return data if len(data) <= _ROOM else pack([0, []])


_FIRST_AT, _LAST_AT = -4, -2
"""Where a summary's list has the moments of its first and of its last point."""


def _unpacked(item: Plain) -> tuple[int, list[Cell]]:
    """Return the hours that a rollup tells, as bits, and its cells in order."""
    midnight = keys.rolled_day(item["sk"]) * DAY
    covered, rows = unpack(item["d"])
    found: list[Cell] = []
    for metric, discriminator, *columns in rows:
        name = Series.of((metric, discriminator))
        for number, *summary in zip(*columns, strict=True):
            start = midnight + number * CELL
            summary[_FIRST_AT] += start
            summary[_LAST_AT] += start
            found.append(Cell(name, start, Summary.of(summary)))
    return covered, sorted(found, key=lambda cell: (cell.start, cell.series))
