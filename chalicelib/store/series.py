"""Series: measurements of one device read back from its segments, in order, as far as asked for.

A segment holds points of one UTC hour and sorts by its first one.  So going up, a point is settled once
every kind of segment has been read past it; going down, once its hour has been read.  Readers take
points from the generator and stop: the cost follows what they take, not the range.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar

from chalicelib.model.assembly import FactAt, Point, Segment
from chalicelib.model.state import Device
from chalicelib.model.times import DAY, HOUR, hour_of, to_rfc3339
from chalicelib.model.views import measurement_json
from chalicelib.store import keys, said
from chalicelib.store.said import Provenance
from chalicelib.store.table import Plain, Table

_LOOKED_BACK = 20_000
"""Segments of a message kind among which the newest of something is looked for."""
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
    consistent: bool = False,
) -> Iterator[Reading]:
    """Yield a device's measurements of some metrics from ``start`` until before ``end`` (ms).

    Each (moment, metric, discriminator) comes once: the payload that arrived last wins.  With
    ``consistent`` whatever was written before is seen, at twice the price.
    """
    if after is not None:
        start, end = (start, after.at + 1) if descending else (after.at, end)
    kinds = {kind for metric in metrics for kind in device.metrics.get(metric, {}).get("in", ())}
    pk = keys.device_pk(tenant, device.id)
    streams = [
        _Stream(table, pk, kind, start=start, end=end, descending=descending, consistent=consistent)
        for kind in sorted(kinds)
    ]
    for reading in _merged(streams, frozenset(metrics), descending=descending):
        position = reading.position
        if not start <= position.at < end:
            continue
        if after is not None and (position >= after if descending else position <= after):
            continue
        yield reading


def newest_points(
    table: Table, tenant: str, device: Device, names: Collection[tuple[Any, ...]]
) -> tuple[dict[tuple[Any, ...], Reading], bool]:
    """Return the newest reading of each (metric, *discriminator) that has one, and whether that is all.

    Looks back over a bounded number of segments.  What was dated too far ahead does not count.
    """
    kinds = {kind for name in names for kind in device.metrics.get(name[0], {}).get("in", ())}

    def take(segment: Segment) -> Iterator[tuple[tuple[Any, ...], Point]]:
        return ((point.name, point) for point in segment.points)

    found, complete = _newest(table, tenant, device.id, kinds, frozenset(names), take)
    return {name: Reading(each.said, each.source) for name, each in found.items()}, complete


def newest_facts(
    table: Table, tenant: str, device: Device, paths: Collection[str]
) -> dict[str, tuple[FactAt, Provenance]]:
    """Return the newest fact of each path that has one, among a bounded number of segments."""
    kinds = {kind for row in device.metrics.values() for kind in row["in"]}

    def take(segment: Segment) -> Iterator[tuple[str, FactAt]]:
        return ((fact.path, fact) for fact in segment.facts)

    found, _ = _newest(table, tenant, device.id, [*kinds, None], frozenset(paths), take)
    return {path: (each.said, each.source) for path, each in found.items()}


_Name = TypeVar("_Name")
_Said = TypeVar("_Said", Point, FactAt)


class _Newest(NamedTuple, Generic[_Said]):
    rank: tuple[int, int, str, str, int]
    said: _Said
    source: Provenance


def _newest(
    table: Table,
    tenant: str,
    device_id: str,
    kinds: Iterable[str | None],
    wanted: frozenset[_Name],
    take: Callable[[Segment], Iterable[tuple[_Name, _Said]]],
) -> tuple[dict[_Name, _Newest[_Said]], bool]:
    """Look back through the segments of each kind (``None``: those of all kinds that hold facts alone)."""
    pk = keys.device_pk(tenant, device_id)
    found: dict[_Name, _Newest[_Said]] = {}
    complete = True
    for kind in kinds:
        prefix = keys.FACTS if kind is None else f"{keys.SEGMENT}{kind}#"
        items = table.walk(pk, prefix, f"{prefix}~", descending=True, consistent=True)
        for item in islice(items, _LOOKED_BACK):
            segment, source = said.segment_of(item), said.provenance_of(item)
            if kind is not None and len(found) == len(wanted):
                ends = hour_of(segment.first) + HOUR
                if all(ends <= each.rank[0] for each in found.values()):
                    break  # this one and all older ones
            for number, (name, each) in enumerate(take(segment)):
                if name not in wanted or each.at > source.received_at + DAY:
                    continue
                rank = (each.at, source.received_at, source.receipt_id, item["sk"], number)
                if name not in found or found[name].rank < rank:
                    found[name] = _Newest(rank, each, source)
        else:
            complete = complete and next(items, None) is None
    return found, complete


class _Stream:
    """The segments of one message kind, read chunk by chunk."""

    def __init__(
        self,
        table: Table,
        pk: str,
        kind: str,
        *,
        start: int,
        end: int,
        descending: bool,
        consistent: bool,
    ) -> None:
        self._table = table
        self._pk = pk
        prefix = f"{keys.SEGMENT}{kind}#"
        self._low = f"{prefix}{to_rfc3339(hour_of(start))}"
        self._high = f"{prefix}{to_rfc3339(end)}"
        self._descending = descending
        self._consistent = consistent
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
            consistent=self._consistent,
        )
        self.begun, self.done = True, self._after is None
        self._size = min(2 * self._size, _LARGEST_READ)
        if items:
            first = keys.taken_at(items[-1]["sk"])
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
    received_at = source.received_at  # read from the receipt each time
    for number, point in enumerate(said.segment_of(item).points):
        if point.metric not in metrics:
            continue
        reading = Reading(point, source)
        rank, position = (received_at, item["sk"], number), reading.position
        known = waiting.get(position)
        if known is None or known[0] < rank:
            waiting[position] = (rank, reading)
