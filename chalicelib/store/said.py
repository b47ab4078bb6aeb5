"""What vendors said: segments, events, media and alert signals.  Written by normalize, read by all.

Each item holds its data packed in one binary attribute ``d`` (a pure function of the payload), beside
it ``p``, the receipt that first brought it, ``v``, the adapter's version, and ``w``, the reading (version
and settings) that made ``d`` of a payload.  Comparing ``d`` of two images tells whether anything changed;
provenance alone never counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from chalicelib.model.assembly import (
    Assembly,
    EventRecord,
    FactAt,
    MediaRecord,
    Point,
    Segment,
    SignalRecord,
)
from chalicelib.model.receipts import arrival_of
from chalicelib.model.records import Media
from chalicelib.model.times import DAY, from_rfc3339
from chalicelib.store import keys
from chalicelib.store.listing import indexed
from chalicelib.store.table import LATEST, Key, Plain, Table, pack, unpack

RETENTION = 400 * DAY


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a record came from."""

    connection_id: str
    receipt_id: str
    adapter_version: int
    reading: str = ""
    """What payloads were read by, where a record follows from one: adapter and settings, digested."""

    def as_json(self) -> dict[str, Any]:
        """Return the member ``provenance`` of a record."""
        return {
            "connection_id": self.connection_id,
            "receipt_id": self.receipt_id,
            "adapter_version": self.adapter_version,
        }

    @property
    def received_at(self) -> int:
        """When the payload arrived, in milliseconds."""
        return arrival_of(self.receipt_id)


def provenance_of(item: Mapping[str, Any]) -> Provenance:
    """Return where a stored item came from."""
    return Provenance(item["c"], item["p"], int(item["v"]))


class Entry(NamedTuple):
    """One item of the table that a payload means: where it is, what it says, how it is listed."""

    key: Key
    data: bytes
    items: tuple[int, ...]
    """The numbers of the payload's items that it comes from."""
    listed: tuple[str, int, str] | None = None
    """Listing, moment and id of what is listed by tenant and time."""


def entries(tenant: str, assembly: Assembly) -> Iterator[Entry]:
    """Yield everything that one payload says, as it is stored."""
    for segment in assembly.segments:
        key = keys.segment(
            tenant,
            segment.device_id,
            segment.kind,
            segment.first,
            segment.digest,
            points=bool(segment.points),
        )
        yield Entry(key, _pack_segment(segment), segment.items)
    for event in assembly.events:
        key = keys.event(tenant, event.device_id, event.at, event.id)
        data = pack([event.type, event.data], sort_keys=True)
        yield Entry(key, data, event.items, ("EVENT", event.at, event.id))
    for media in assembly.media:
        key = keys.media(tenant, media.device_id, media.at, media.id)
        yield Entry(key, _pack_media(media), media.items, ("MEDIA", media.at, media.id))
    for signal in assembly.signals:
        key = keys.signal(tenant, signal.device_id, signal.key, signal.at, signal.digest)
        yield Entry(key, _pack_signal(signal), signal.items)


def write(table: Table, tenant: str, assembly: Assembly, source: Provenance) -> set[int]:
    """Store everything that one payload said.  Doing it again changes nothing.

    Returns the numbers of the items of which everything stood there already.
    """
    stood: set[int] = set()
    changed: set[int] = set()
    for entry in entries(tenant, assembly):
        same = remember(table, tenant, entry, source)
        (stood if same else changed).update(entry.items)
    return stood - changed


def remember(table: Table, tenant: str, entry: Entry, source: Provenance) -> bool:
    """Store one item; return whether it stood there already."""
    index = indexed(table, tenant, *entry.listed) if entry.listed else {}
    always: Plain = {"d": entry.data, "v": source.adapter_version, **index}
    if source.reading:
        always["w"] = source.reading
    if entry.key.sk.startswith(keys.MEDIA):
        # A clip that is sent again has a new link: the latest counts.
        always[LATEST] = source.received_at
    once: Plain = {"p": source.receipt_id, "c": source.connection_id}
    # Signals never expire: an alert may stay open for longer than anything else is kept.
    if not table.hub.config.keep_all and not entry.key.sk.startswith(keys.SIGNAL):
        once["expires_at"] = (source.received_at + RETENTION) // 1000
    return table.remember(entry.key, always, once)


# --- packing ---------------------------------------------------------------------------------------


def _pack_segment(segment: Segment) -> bytes:
    """Columns: readings that share metric, unit, window, quality and attributes form one series.

    Series that were taken at the same moments (three levels of one window) share one list of times.
    """
    series: dict[str, tuple[list[Any], list[int], list[Any]]] = {}
    for point in segment.points:
        head = [point.metric, point.unit, point.window_ms, point.quality, dict(point.attributes)]
        name = repr(head)
        _, times, values = series.setdefault(name, (head, [], []))
        times.append(point.at - segment.first)
        values.append(point.value)
    clocks: list[list[int]] = []
    rows = []
    for head, times, values in series.values():
        if times not in clocks[-8:]:
            clocks.append(times)
        row: list[Any] = [len(clocks) - 1 - clocks[::-1].index(times), values, head[0], head[1]]
        if head[2] or head[3] != "good" or head[4]:
            row += [head[2], "" if head[3] == "good" else head[3], head[4]]
        rows.append(row)
    body: Plain = {"t": clocks, "s": rows} if rows else {}
    if segment.facts:
        body["f"] = [[f.path, f.value, f.at - segment.first] for f in segment.facts]
    return pack(body)


def segment_of(item: Mapping[str, Any]) -> Segment:
    """Return the segment that a stored item (``M#`` or ``F#``) holds."""
    _, device_id = keys.device_of(item["pk"])
    _, kind, first_text, name = item["sk"].split("#", 3)
    first = from_rfc3339(first_text) or 0
    body = unpack(item["d"])
    points: list[Point] = []
    for row in body.get("s", ()):
        clock, values, metric, unit, window, quality, attributes = (*row, None, "", {})[:7]
        points.extend(
            Point(metric, first + delta, value, unit, window, quality or "good", attributes)
            for delta, value in zip(body["t"][clock], values, strict=True)
        )
    facts = tuple(FactAt(path, value, first + delta) for path, value, delta in body.get("f", ()))
    return Segment(device_id, kind, first, name, tuple(points), facts)


def event_of(item: Mapping[str, Any]) -> EventRecord:
    """Return the event that a stored item holds."""
    _, device_id = keys.device_of(item["pk"])
    _, at, identity = item["sk"].split("#", 2)
    kind, data = unpack(item["d"])
    return EventRecord(identity, device_id, kind, from_rfc3339(at) or 0, data)


def _pack_media(record: MediaRecord) -> bytes:
    media = record.media
    return pack([media.kind, media.reference, media.url, media.duration_seconds, media.expires_at])


def media_of(item: Mapping[str, Any]) -> MediaRecord:
    """Return the media reference that a stored item holds."""
    _, device_id = keys.device_of(item["pk"])
    _, at_text, identity = item["sk"].split("#", 2)
    at = from_rfc3339(at_text) or 0
    kind, reference, url, duration, expires = unpack(item["d"])
    media = Media(None, kind, reference, url, at, duration, expires)
    return MediaRecord(identity, device_id, media, at)


def _pack_signal(signal: SignalRecord) -> bytes:
    return pack(
        [
            signal.key,
            signal.action,
            signal.name,
            signal.severity,
            signal.message,
            signal.by,
            signal.source,
            signal.noted_at,
        ]
    )


def signal_of(item: Mapping[str, Any]) -> SignalRecord:
    """Return the alert signal that a stored item holds."""
    _, device_id = keys.device_of(item["pk"])
    _, _, at, name = item["sk"].split("#", 3)
    key, action, title, severity, message, by, source, noted_at = unpack(item["d"])
    moment = from_rfc3339(at) or 0
    return SignalRecord(
        device_id, key, action, moment, name, title, severity, message, by, source, noted_at
    )
