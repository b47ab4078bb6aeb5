"""From what an adapter says to what the table stores: the pure middle of normalize.

Vendor prefix, arrival time where the vendor sent none, possible ranges, redaction and stable ids are
settled here, once for all vendors.  The result is a pure function of the payload (and of its arrival
time only where it carries none); provenance stands beside it, never in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

from chalicelib.model.decode import is_secret, readable, redacted
from chalicelib.model.digests import canonical, digest
from chalicelib.model.metrics import Value, refusal
from chalicelib.model.records import (
    DISCRIMINATORS,
    AlertSignal,
    Event,
    Fact,
    Measurement,
    Media,
    Record,
    Rejected,
)
from chalicelib.model.times import DAY, hour_of

NAME_LIMIT = 255
"""Characters of a metric name, an attribute path, an alert key or a discriminator."""
TEXT_LIMIT = 1024
"""Characters kept of a string attribute; the whole text stays in the archive."""
LINK_LIMIT = 8192
"""Characters of a media reference or link."""
DATA_LIMIT = 256 * 1024
"""Characters of an event's data as JSON: an item of the table holds 400 KB."""
POINTS_PER_SEGMENT = 2000
DEVICE_LIMIT = 900
"""UTF-8 bytes of a native device id: with tenant and moment it is a sort key, which holds 1024."""
_FEW = 25
"""So few points or facts always fit into an item, however long their names are."""
_BULK = 160 * 1024
"""Bytes that the points, or the facts, of one segment may have unpacked."""
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")
_Row = TypeVar("_Row")


class Point(NamedTuple):
    """One measurement inside a segment; ``at`` in milliseconds, ``window_ms`` the period before it."""

    metric: str
    at: int
    value: Value
    unit: str | None
    window_ms: int | None
    quality: str
    attributes: Mapping[str, Any]

    @property
    def name(self) -> tuple[Any, ...]:
        """What it is a reading of: metric and discriminator."""
        return (self.metric, *self.discriminator)

    @property
    def discriminator(self) -> tuple[tuple[str, str], ...]:
        """The attribute values that set apart readings of one metric at one instant.

        A spot is occupied or not, whatever stands in it: there ``class`` sets nothing apart.
        """
        if not self.attributes or self.metric == "occupied":
            return ()
        return tuple((k, str(self.attributes[k])) for k in DISCRIMINATORS if k in self.attributes)


class FactAt(NamedTuple):
    """One slow fact of a device and when the vendor said it."""

    path: str
    value: Any
    at: int


@dataclass(frozen=True, slots=True)
class Segment:
    """All that one payload says of one device in one message kind and UTC hour: one item of the table."""

    device_id: str
    kind: str
    first: int
    digest: str
    points: tuple[Point, ...] = ()
    facts: tuple[FactAt, ...] = ()
    items: tuple[int, ...] = field(default=(), compare=False)
    """The numbers of the payload's items that it comes from."""


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event with its id, ready to store."""

    id: str
    device_id: str
    type: str
    at: int
    data: Any
    items: tuple[int, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class MediaRecord:
    """A media reference with its id, ready to store."""

    id: str
    device_id: str
    media: Media
    at: int
    items: tuple[int, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class SignalRecord:
    """An alert signal ready to store; ``digest`` tells apart signals of one key at one moment."""

    device_id: str
    key: str
    action: str  # raise, clear, acknowledge
    at: int
    digest: str
    name: str | None = None
    severity: str | None = None
    message: str | None = None
    by: str | None = None  # the operator, None for the vendor
    source: str = "vendor"
    noted_at: int | None = None
    """When an operator spoke; ``at`` is then the vendor's moment that this answers."""
    items: tuple[int, ...] = field(default=(), compare=False)


@dataclass(slots=True)
class Assembly:
    """Everything that one payload became."""

    segments: list[Segment] = field(default_factory=list)
    events: list[EventRecord] = field(default_factory=list)
    media: list[MediaRecord] = field(default_factory=list)
    signals: list[SignalRecord] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    refused: set[int] = field(default_factory=set, compare=False)
    """The numbers of the items of which something was rejected."""
    touched: set[tuple[str, str, int]] = field(default_factory=set, compare=False)
    """Device, message kind and hour of everything that the items speak of."""


class ItemLike(Protocol):
    """What assembly needs of a vendor's item."""

    kind: str
    path: str

    @property
    def same_as(self) -> Any:
        """What two sendings of one item have in common."""


class OutcomeLike(Protocol):
    """What assembly needs of an adapter's outcome."""

    @property
    def item(self) -> Any:
        """The item it came from: an :class:`ItemLike`."""

    @property
    def records(self) -> tuple[Record, ...]:
        """What the item became."""

    @property
    def rejected(self) -> Rejected | None:
        """Why it became nothing."""


def measurement_id(device_id: str, point: Point) -> str:
    """Return the id of a measurement: equal on every redelivery and after every correction."""
    return digest("measurement", device_id, point.metric, point.at, point.discriminator)


def assemble(
    vendor: str,
    connection_id: str,
    received_at: int,
    outcomes: Iterable[OutcomeLike],
    settings: Mapping[str, Any] | None = None,
) -> Assembly:
    """Turn a payload's outcomes into what is stored of it."""
    return _Assembler(vendor, connection_id, received_at, settings or {}).run(outcomes)


@dataclass(slots=True)
class _Group:
    points: list[Point] = field(default_factory=list)
    facts: list[FactAt] = field(default_factory=list)
    items: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)

    def seen(self, item: str, number: int) -> None:
        if not self.items or self.items[-1] != item:
            self.items.append(item)
        if not self.numbers or self.numbers[-1] != number:
            self.numbers.append(number)


class _Assembler:
    def __init__(
        self, vendor: str, connection_id: str, received_at: int, settings: Mapping[str, Any]
    ) -> None:
        self.vendor = vendor
        self.connection_device = f"{vendor}:connection.{connection_id}"
        self.received_at = received_at
        self.identifiers = bool(settings.get("allow_identifiers"))
        self.out = Assembly()
        self.number = 0
        self.groups: dict[tuple[str, str, int], _Group] = {}

    def run(self, outcomes: Iterable[OutcomeLike]) -> Assembly:
        for self.number, outcome in enumerate(outcomes):
            if outcome.rejected is not None:
                self._reject(outcome.rejected.path, outcome.rejected.reason)
                continue
            item = outcome.item
            if any(_too_long(record.device) for record in outcome.records):
                self._reject(item.path, "the device id is too long")
                continue
            kind = _UNSAFE.sub("_", item.kind)[:40]
            same = digest(item.same_as)
            for ordinal, record in enumerate(outcome.records):
                self._take(record, kind, same, ordinal, item.path)
        for (device_id, kind, _), group in self.groups.items():
            self.out.segments.extend(_segments(device_id, kind, group))
        self.out.touched.update(self.groups)
        return self.out

    def _take(self, record: Record, kind: str, same: str, ordinal: int, path: str) -> None:
        device_id = self._device(record.device)
        at = self.received_at if record.at is None else record.at
        match record:
            case Measurement():
                self._measurement(record, device_id, at, kind, same, ordinal, path)
                return
            case Fact():
                self._fact(record, device_id, at, kind, same)
            case Event():
                data = redacted(record.data, identifiers=self.identifiers)
                self._event(device_id, record.type, at, data, (same, ordinal), path)
            case Media():
                self._media(record, device_id, at, same, path)
            case AlertSignal():
                self.out.signals.append(
                    SignalRecord(
                        device_id=device_id,
                        key=record.key[:NAME_LIMIT],
                        action=record.action,
                        at=at,
                        digest=digest(record.action, same, length=10),
                        name=record.name[:NAME_LIMIT] if record.name else None,
                        severity=record.severity,
                        message=record.message[:TEXT_LIMIT] if record.message else None,
                        items=(self.number,),
                    )
                )
        self._touch(device_id, kind, at)

    def _touch(self, device_id: str, kind: str, at: int) -> None:
        self.out.touched.add((device_id, kind, hour_of(at)))

    def _device(self, native: str | None) -> str:
        return self.connection_device if not native else f"{self.vendor}:{native}"

    def _measurement(
        self,
        record: Measurement,
        device_id: str,
        at: int,
        kind: str,
        same: str,
        ordinal: int,
        path: str,
    ) -> None:
        if "." in record.metric and not self._public(record.metric):
            self._touch(device_id, kind, at)
            return
        value = record.value
        if not isinstance(value, bool) and isinstance(value, int) and abs(value) > 2**53:
            value = float(value)
        reason = refusal(record.metric, value)
        if reason is None and len(record.metric) > NAME_LIMIT:
            reason = f"a name longer than {NAME_LIMIT} characters"
        if reason is not None:
            data = {
                "metric": record.metric[:NAME_LIMIT],
                "value": readable(value),
                "reason": reason,
            }
            data |= {k: v for k, v in record.attributes.items() if k in DISCRIMINATORS}
            self._touch(device_id, kind, at)
            self._event(device_id, "measurement.rejected", at, data, (same, ordinal), path)
            return
        quality = record.quality
        if at > self.received_at + DAY and quality == "good":
            quality = "suspect"
        attributes = (
            {k: v[:NAME_LIMIT] if isinstance(v, str) else v for k, v in record.attributes.items()}
            if record.attributes
            else {}
        )
        if record.at is None:
            attributes["time_source"] = "received"
        group = self._group(device_id, kind, at, same)
        group.points.append(
            Point(record.metric, at, value, record.unit, record.window_ms, quality, attributes)
        )

    def _fact(self, record: Fact, device_id: str, at: int, kind: str, same: str) -> None:
        path, value = record.path, record.value
        if path.startswith("attributes."):
            name = path.removeprefix("attributes.")
            if len(name) > NAME_LIMIT or not self._public(name):
                return
        if path == "parent_id" and isinstance(value, str):
            if _too_long(value):
                return
            value = self._device(value)
        value = value[:TEXT_LIMIT] if isinstance(value, str) else readable(value)
        self._group(device_id, kind, at, same).facts.append(FactAt(path, value, at))

    def _public(self, name: str) -> bool:
        """Say whether a vendor's own name may be stored: it names no secret, no forbidden identifier."""
        return not is_secret(name, identifiers=self.identifiers)

    def _event(
        self, device_id: str, kind: str, at: int, data: Any, same: tuple[str, int], path: str
    ) -> None:
        if len(canonical(data)) > DATA_LIMIT:
            self._reject(path, f"an event of more than {DATA_LIMIT} characters")
            return
        kind = kind[:NAME_LIMIT]
        identity = digest("event", device_id, kind, at, same)
        self.out.events.append(EventRecord(identity, device_id, kind, at, data, (self.number,)))

    def _media(self, record: Media, device_id: str, at: int, same: str, path: str) -> None:
        if max(len(record.reference), len(record.url or "")) > LINK_LIMIT:
            self._reject(path, f"a link of more than {LINK_LIMIT} characters")
            return
        identity = digest("media", device_id, record.kind, record.reference, same)
        self.out.media.append(MediaRecord(identity, device_id, record, at, (self.number,)))

    def _reject(self, path: str, reason: str) -> None:
        self.out.refused.add(self.number)
        self.out.rejected.append(Rejected(path[:TEXT_LIMIT], reason[:TEXT_LIMIT]))

    def _group(self, device_id: str, kind: str, at: int, same: str) -> _Group:
        where = (device_id, kind, hour_of(at))
        group = self.groups.get(where)
        if group is None:
            group = self.groups[where] = _Group()
        group.seen(same, self.number)
        return group


def _too_long(native: str | None) -> bool:
    if native is None or 4 * len(native) <= DEVICE_LIMIT:  # a character has four bytes at most
        return False
    return len(native.encode("utf-8", "surrogatepass")) > DEVICE_LIMIT


def _segments(device_id: str, kind: str, group: _Group) -> Iterator[Segment]:
    """Yield a group as items that fit the table: the first holds facts beside its points."""
    identity, numbers = digest(group.items, length=10), tuple(group.numbers)
    facts = list(_pieces(group.facts, _bulk_of_facts))
    start = 0
    for points in _pieces(group.points, _bulk_of_points):
        beside = facts.pop(0) if start == 0 and facts else ()
        name = f"{identity}.{start}" if start else identity
        first = min(point.at for point in points)
        yield Segment(device_id, kind, first, name, points, beside, numbers)
        start += len(points)
    for number, alone in enumerate(facts):
        name = f"{identity}.f{number}" if number else identity
        first = min(fact.at for fact in alone)
        yield Segment(device_id, kind, first, name, facts=alone, items=numbers)


def _pieces(rows: list[_Row], bulk: Callable[[list[_Row]], int]) -> Iterator[tuple[_Row, ...]]:
    for start in range(0, len(rows), POINTS_PER_SEGMENT):
        yield from _halves(rows[start : start + POINTS_PER_SEGMENT], bulk)


def _halves(rows: list[_Row], bulk: Callable[[list[_Row]], int]) -> Iterator[tuple[_Row, ...]]:
    if len(rows) <= _FEW or bulk(rows) <= _BULK:
        yield tuple(rows)
        return
    middle = len(rows) // 2
    yield from _halves(rows[:middle], bulk)
    yield from _halves(rows[middle:], bulk)


def _bulk_of_points(points: list[Point]) -> int:
    heads = {f"{p.metric}{p.unit}{p.attributes or ''}" for p in points}
    return sum(len(head.encode()) for head in heads) + 40 * len(points)


def _bulk_of_facts(facts: list[FactAt]) -> int:
    return sum(len(f"{fact.path}{fact.value}".encode()) + 20 for fact in facts)
