"""What Viziosense's applications and alerts become.

VPM watches parking spots; VCB counts through barriers, VCZ in zones, VCW in crowds, VYD in yards.
Only the parking list and the alerts are documented field by field: the counting applications are
read leaf by leaf, by name and class.  Counts have no unit; times are epoch seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeGuard

from chalicelib.model.decode import leaves
from chalicelib.model.metrics import METRICS, Value
from chalicelib.model.records import (
    AlertSignal,
    Event,
    Fact,
    MalformedPayloadError,
    Measurement,
    Record,
)
from chalicelib.model.times import from_seconds

VENDOR = "viziosense"
Entry = dict[str, Any]


class Envelope(NamedTuple):
    """What all entries of one post share: the camera, the application and the moment of sending."""

    stream: str | None
    application: str
    at: int | None


PERSON = "person"
VEHICLES = frozenset({"car", "truck", "bus", "van", "motorcycle"})
PEOPLE: Mapping[str, str] = {"in": "people_in", "out": "people_out", "count": "people_count"}
"""Fields of a counting marker and their metrics, where a person or no class is counted."""
_OWN = frozenset({"id", "name", "event_ts", "cls"})
"""Fields that say whose, when and what; every other one of a counting marker is a leaf."""


def spot(entry: Entry, envelope: Envelope) -> Iterator[Record]:
    """Read a parking spot: a device of its own below the camera.

    Its ``event_ts`` is the moment of its last change, often minutes before the list was sent.
    """
    device = _identifier(entry, "id")
    if device is None:
        # Not the camera: two nameless spots of one list would be one reading.
        raise MalformedPayloadError("id is missing", "id")
    at = from_seconds(entry.get("event_ts")) or envelope.at
    yield from _child(device, entry, envelope, at)
    occupied = entry.get("is_active")
    if entry.get("deactivated") is True or not _is_value(occupied):
        return
    kind = text(entry.get("cls"))
    yield _measurement(device, "occupied", occupied, at, kind)


def marker(entry: Entry, envelope: Envelope) -> Iterator[Record]:
    """Read a counting marker (barrier, zone, crowd, yard); without an id it is the camera."""
    child = _identifier(entry, "id")
    device = child or envelope.stream or ""
    at = from_seconds(entry.get("event_ts")) or envelope.at
    if child is not None:
        yield from _child(child, entry, envelope, at)
    stated = _class(entry)
    vehicles: list[int | float] = []
    for path, leaf in leaves({field: entry[field] for field in entry if field not in _OWN}):
        if leaf is None or isinstance(leaf, str):
            yield Fact(device, f"attributes.{path}", leaf, at)
            continue
        field, _, name = path.partition(".")
        by_class = isinstance(entry.get(field), dict) and field in PEOPLE and "." not in name
        kind = name if by_class else stated
        counted = by_class or path in PEOPLE
        if counted and (kind is None or kind.lower() == PERSON):
            yield _measurement(device, PEOPLE[field], leaf, at)
        elif counted and field == "count" and kind and kind.lower() in VEHICLES:
            if by_class and not isinstance(leaf, bool):
                vehicles.append(leaf)
            else:
                # One class alone says so: another class may follow, at the same moment.
                yield _measurement(device, "vehicle_count", leaf, at, kind)
        else:
            yield _measurement(device, f"{VENDOR}.{path}", leaf, at, kind)
    if vehicles:
        yield _measurement(device, "vehicle_count", sum(vehicles), at)


def alert(entry: Entry, envelope: Envelope) -> Iterator[Record]:
    """Read an alert: FIRING raises under its ``uuid``, CLEARING clears under ``previous_uuid``."""
    device = _identifier(entry, "deviceUuid") or envelope.stream
    if device is None:
        raise MalformedPayloadError("neither deviceUuid nor stream_id", "deviceUuid")
    at = from_seconds(entry.get("timestamp")) or envelope.at
    action, previous = entry.get("type"), text(entry.get("previous_uuid"))
    if action == "FIRING":
        key = _identifier(entry, "uuid")
        if key is None:
            raise MalformedPayloadError("uuid is missing", "uuid")
        name, message = _name(entry, envelope), _message(entry)
        yield AlertSignal(device, key, "raise", at, name, "warning", message)
    elif action == "CLEARING" and previous is not None:
        yield AlertSignal(device, previous, "clear", at)
    else:
        # A clearing that does not say of what must not clear anything.
        yield Event(device, f"{VENDOR}.alert", at, entry)


def unlisted(body: Any, envelope: Envelope) -> Event:
    """Return the event that keeps a whole message of an application that has no reader."""
    return Event(envelope.stream, f"{VENDOR}.{envelope.application}", envelope.at, body)


APPLICATIONS: Mapping[str, Callable[[Entry, Envelope], Iterable[Record]]] = {
    "VPM": spot,
    "VCB": marker,
    "VCZ": marker,
    "VCW": marker,
    "VYD": marker,
}
"""Every listed ``type`` of an envelope."""


def text(value: Any) -> str | None:
    """Return a text that says something, else ``None``."""
    return value if isinstance(value, str) and value.strip() else None


def _identifier(entry: Entry, field: str) -> str | None:
    """Return an id; absent is ``None``, but what is no text belongs to nobody and is an error."""
    stated = entry.get(field)
    if stated is not None and not isinstance(stated, str):
        raise MalformedPayloadError(f"{field} is no text", field)
    return text(stated)


def _child(device: str, entry: Entry, envelope: Envelope, at: int | None) -> Iterator[Record]:
    if envelope.stream is not None and device != envelope.stream:
        yield Fact(device, "parent_id", envelope.stream, at)
    name = text(entry.get("name"))
    if name is not None:
        yield Fact(device, "name", name, at)


def _class(entry: Entry) -> str | None:
    stated = entry.get("cls")
    if stated is None or stated == "":
        return None
    # Something was counted, but nobody knows what: at least no people.
    return stated if isinstance(stated, str) else "unknown"


def _is_value(value: Any) -> TypeGuard[Value]:
    return isinstance(value, int | float)


def _measurement(
    device: str, metric: str, value: Value, at: int | None, kind: str | None = None
) -> Measurement:
    known = METRICS.get(metric)
    attributes = {} if kind is None else {"class": kind}
    unit = known.unit if known else None
    return Measurement(device, metric, value, at, unit, attributes=attributes)


def _name(entry: Entry, envelope: Envelope) -> str:
    summary = entry.get("rule_summary")
    rule = text(summary.get("rule")) if isinstance(summary, dict) else None
    parts = (text(entry.get("app_type")) or envelope.application, rule)
    return ".".join(part for part in parts if part) or "alert"


def _message(entry: Entry) -> str | None:
    """Say where it happened and which number crossed which: ``Zone-name: 112, limit 100``."""
    place, summary = entry.get("reference_marker"), entry.get("rule_summary")
    where = text(place.get("name")) if isinstance(place, dict) else None
    limit = summary.get("trigger_value") if isinstance(summary, dict) else None
    value = entry.get("actual_value")
    numbers = ", ".join(
        f"{word}{number}"
        for word, number in (("", value), ("limit ", limit))
        if isinstance(number, int | float) and not isinstance(number, bool)
    )
    return ": ".join(part for part in (where, numbers) if part) or None
