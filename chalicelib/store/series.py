"""Series: measurements of one device read back from its segments, in order, as far as asked for.

A segment holds points of one UTC hour and sorts by its first one.  So going up, a point is settled once
every kind of segment has been read past it; going down, once its hour has been read.  Readers take
points from the generator and stop: the cost follows what they take, not the range.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from chalicelib.model.assembly import Point
from chalicelib.model.state import Device
from chalicelib.model.times import HOUR, from_rfc3339, hour_of, to_rfc3339
from chalicelib.model.views import measurement_json
from chalicelib.store import keys, said
from chalicelib.store.said import Provenance
from chalicelib.store.table import Plain, Table

_FIRST_READ, _LARGEST_READ = 16, 256
"""Segments of a query: few at first (one may hold a whole page of points), more as more are wanted."""


class Position(NamedTuple):
    """What a measurement is of a device: the order of a series, and the place of a cursor."""

    at: int
    metric: str
    discriminator: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, value: Any) -> Position:
        """Read a position that went through JSON."""
        at, metric, discriminator = value
        return cls(at, metric, tuple((name, each) for name, each in discriminator))


class Reading(NamedTuple):
    """A measurement and where it came from."""

    point: Point
    source: Provenance

    @property
    def position(self) -> Position:
        """Its place in the order."""
        return Position(self.point.at, self.point.metric, self.point.discriminator)

    def as_json(self, device_id: str) -> dict[str, Any]:
        """Return the measurement as the API shows it."""
        return {
            **measurement_json(device_id, self.point),
            "provenance": self.source.as_json(),
        }


def readings(
    table: Table,
    tenant: str,
    device: Device,
    metrics: Collection[str],
    *,
    start: int,
    end: int,
    descending: bool = False,
    after: Position | None = None,
) -> Iterator[Reading]:
    """Yield a device's measurements of some metrics from ``start`` until before ``end`` (ms).

    Each (moment, metric, discriminator) comes once: the payload that arrived last wins.
    """
    if after is not None:
        start, end = (start, after.at + 1) if descending else (after.at, end)
    kinds = {kind for metric in metrics for kind in device.metrics.get(metric, {}).get("in", ())}
    pk = keys.device_pk(tenant, device.id)
    streams = [
        _Stream(table, pk, kind, start=start, end=end, descending=descending)
        for kind in sorted(kinds)
    ]
    for reading in _merged(streams, frozenset(metrics), descending=descending):
        position = reading.position
        if not start <= position.at < end:
            continue
        if after is not None and (position >= after if descending else position <= after):
            continue
        yield reading


class _Stream:
    """The segments of one message kind, read chunk by chunk."""

    def __init__(
        self, table: Table, pk: str, kind: str, *, start: int, end: int, descending: bool
    ) -> None:
        self._table = table
        self._pk = pk
        prefix = f"{keys.SEGMENT}{kind}#"
        self._low = f"{prefix}{to_rfc3339(hour_of(start))}"
        self._high = f"{prefix}{to_rfc3339(end)}"
        self._descending = descending
        self._after: Plain | None = None
        self._size = _FIRST_READ
        self.done = False
        self.reached = 0
        """The moment up to which (down to which) no unread segment holds a point; once read."""
        self.begun = False

    def read(self) -> list[Plain]:
        """Return the next segments."""
        items, self._after = self._table.query(
            self._pk,
            self._low,
            self._high,
            descending=self._descending,
            limit=self._size,
            after=self._after,
        )
        self.begun, self.done = True, self._after is None
        self._size = min(2 * self._size, _LARGEST_READ)
        if items:
            first = from_rfc3339(items[-1]["sk"].split("#")[2]) or 0
            self.reached = hour_of(first) + HOUR if self._descending else first
        return items


_Found = tuple[tuple[int, str, int], Reading]
"""A reading and its rank among those of the same position: arrival, segment, place in the segment."""


def _merged(
    streams: list[_Stream], metrics: frozenset[str], *, descending: bool
) -> Iterator[Reading]:
    waiting: dict[Position, _Found] = {}
    while open_streams := [stream for stream in streams if not stream.done]:
        # The one that lags behind holds all others back, so it is read next.
        fresh = [stream for stream in open_streams if not stream.begun]
        order = max if descending else min
        behind = fresh[0] if fresh else order(open_streams, key=lambda each: each.reached)
        for item in behind.read():
            _take(waiting, item, metrics)
        open_streams = [stream for stream in streams if not stream.done]
        if not all(stream.begun for stream in open_streams):
            continue
        if open_streams:
            border = order(stream.reached for stream in open_streams)
            settled = [p for p in waiting if (p.at >= border if descending else p.at < border)]
        else:
            settled = list(waiting)
        for position in sorted(settled, reverse=descending):
            yield waiting.pop(position)[1]


def _take(waiting: dict[Position, _Found], item: Plain, metrics: frozenset[str]) -> None:
    source = said.provenance_of(item)
    for number, point in enumerate(said.segment_of(item).points):
        if point.metric not in metrics:
            continue
        reading = Reading(point, source)
        rank = (source.received_at, item["sk"], number)
        known = waiting.get(reading.position)
        if known is None or known[0] < rank:
            waiting[reading.position] = (rank, reading)
