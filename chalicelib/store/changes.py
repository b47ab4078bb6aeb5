"""What a change of a stored item means to the outside: two images in, CloudEvents out.  Pure.

The same images give the same events with the same ids, so that a stream batch tried again delivers what
was delivered before.  Unchanged data gives nothing, whatever else of the item changed.

:func:`measured` and :func:`recalled` make the events again that stored records were first told by; a replay
reads them from the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from chalicelib.model.alerts import Alert
from chalicelib.model.assembly import Point, measurement_id
from chalicelib.model.cloudevents import CloudEvent, about_device, about_integration
from chalicelib.model.digests import digest
from chalicelib.model.state import Device
from chalicelib.model.times import from_rfc3339, to_rfc3339
from chalicelib.model.views import event_json, measurement_json, media_json
from chalicelib.store import (
    alerts,
    commands,
    devices,
    integrations,
    keys,
    profiles,
    said,
    standings,
)
from chalicelib.store.said import Provenance
from chalicelib.store.table import VERSION

Item = Mapping[str, Any]


def changes(old: Item | None, new: Item, changed_at: int | None) -> Iterator[CloudEvent]:
    """Yield the events of one stored change.

    ``changed_at`` is the stream's own moment of the change (ms), the only time that a change of a device
    has; it is part of the stream record, so it does not move when the batch is tried again.
    """
    if "d" not in new or (old is not None and old.get("d") == new["d"]):
        return iter(())
    sort_key: str = new["sk"]
    if sort_key == keys.DEVICE:
        return _device(old, new, changed_at)
    for prefix, events in _KINDS:
        if sort_key.startswith(prefix):
            return events(old, new)
    return iter(())


def _segment(old: Item | None, new: Item) -> Iterator[CloudEvent]:
    segment, source = said.segment_of(new), said.provenance_of(new)
    before: dict[str, str] = {}
    for point in said.segment_of(old).points if old is not None else ():
        identity = measurement_id(segment.device_id, point)
        before[identity] = _version(identity, point)
    now = {measurement_id(segment.device_id, point): point for point in segment.points}
    for identity, point in now.items():
        version = _version(identity, point)
        if before.get(identity) == version:
            continue
        kind = "measurement.corrected" if identity in before else "measurement.recorded"
        yield _told(kind, version, segment.device_id, point, source)


def measured(device_id: str, point: Point, source: Provenance) -> CloudEvent:
    """Return the event of a measurement as it stands."""
    version = _version(measurement_id(device_id, point), point)
    return _told("measurement.recorded", version, device_id, point, source)


def _told(kind: str, identity: str, device_id: str, point: Point, source: Provenance) -> CloudEvent:
    data = measurement_json(device_id, point) | {"provenance": source.as_json()}
    return about_device(kind, identity, device_id, source.connection_id, at=point.at, data=data)


def _version(identity: str, point: Point) -> str:
    """Return the id of what a measurement now says: another value of the same one is another change."""
    said_now = (point.value, point.unit, point.window_ms, point.quality, dict(point.attributes))
    return digest("measurement.version", identity, *said_now)


def _event(_: Item | None, new: Item) -> Iterator[CloudEvent]:
    event, source = said.event_of(new), said.provenance_of(new)
    # What the hub itself noticed goes out under its own name.
    kind = event.type if event.type == profiles.EVENT else "event.occurred"
    identity = digest(kind, event.id, event.type, event.data)
    data = event_json(event) | {"provenance": source.as_json()}
    yield about_device(
        kind, identity, event.device_id, source.connection_id, at=event.at, data=data
    )


def _media(_: Item | None, new: Item) -> Iterator[CloudEvent]:
    record, source = said.media_of(new), said.provenance_of(new)
    data = media_json(record)
    identity = digest("media.added", data)
    data["provenance"] = source.as_json()
    yield about_device(
        "media.added", identity, record.device_id, source.connection_id, at=record.at, data=data
    )


def _alert(old: Item | None, new: Item) -> Iterator[CloudEvent]:
    before = alerts.alert_of(old) if old is not None else None
    for event in recalled(new):
        if event["type"] not in _reached(before):
            yield event


def _reached(alert: Alert | None) -> set[str]:
    """Return the turns that an alert has taken."""
    if alert is None:
        return set()
    later = {"alert.acknowledged": alert.acknowledged, "alert.cleared": alert.cleared}
    return {"alert.raised", *(kind for kind, mark in later.items() if mark)}


def recalled(item: Item, raised: Alert | None = None) -> Iterator[CloudEvent]:
    """Yield the events of a stored alert's life in order, each with the alert as it was at that turn.

    ``raised`` is the alert as its first raise made it, where later raises may have reworded it.
    """
    now, source = alerts.alert_of(item), said.provenance_of(item)
    begun = raised or replace(now, acknowledged=None, cleared=None)
    yield _turned("alert.raised", now.raised_at, begun, source)
    acknowledged, cleared = now.acknowledged, now.cleared
    if acknowledged:
        still = None if cleared and acknowledged[0] <= cleared[0] else cleared
        yield _turned("alert.acknowledged", acknowledged[0], replace(now, cleared=still), source)
    if cleared:
        known = None if acknowledged and acknowledged[0] > cleared[0] else acknowledged
        yield _turned("alert.cleared", cleared[0], replace(now, acknowledged=known), source)


def _turned(kind: str, at: int, alert: Alert, source: Provenance) -> CloudEvent:
    identity = digest(kind, alert.id)
    data = alert.as_json() | {"provenance": source.as_json()}
    return about_device(kind, identity, alert.device_id, source.connection_id, at=at, data=data)


def _device(old: Item | None, new: Item, changed_at: int | None) -> Iterator[CloudEvent]:
    before = devices.device_of(old) if old is not None else None
    now = devices.device_of(new)
    at = now.registered_at if changed_at is None else changed_at
    # A device may come back to what it was, and every return is news: its version tells them apart.
    version = int(new.get(VERSION, 0))
    kinds: list[tuple[str, int]] = []
    if before is None:
        kinds.append(("device.registered", now.registered_at))
    elif _lasting(before) != _lasting(now):
        kinds.append(("device.updated", at))
    if now.presence != "unknown" and (before is None or before.presence != now.presence):
        kinds.append((f"device.{now.presence}", at))
    for kind, moment in kinds:
        yield _of_device(kind, now, version if before else 0, moment)


def registered(device: Device) -> CloudEvent:
    """Return the event of a device's registration, with the device as it stands."""
    return _of_device("device.registered", device, 0, device.registered_at)


def _of_device(kind: str, device: Device, version: int, at: int) -> CloudEvent:
    identity, shown = digest(kind, device.id, version), device.as_json(None)
    return about_device(kind, identity, device.id, device.connection_id, at=at, data=shown)


def _command(old: Item | None, new: Item) -> Iterator[CloudEvent]:
    now = commands.command_of(new)
    shown = now.as_json()
    if old is not None and commands.command_of(old).as_json() == shown:
        return
    identity = digest("command.updated", now.id, now.version)
    at = now.updated_at
    yield about_device(
        "command.updated", identity, now.device_id, now.connection_id, at=at, data=shown
    )


def _standing(old: Item | None, new: Item) -> Iterator[CloudEvent]:
    before = standings.condition_of(old) if old is not None else standings.WELL
    now = standings.condition_of(new)
    _, identity = keys.integration_of(new["pk"])
    data: dict[str, Any] = {"integration_id": identity}
    if now.failing_at is not None and before.failing_at != now.failing_at:
        since = to_rfc3339(now.failing_since or now.failing_at)
        data |= {"failing_since": since, "failures": now.failures, "reason": now.reason}
        yield about_integration("integration.failing", identity, now.failing_at, data)
    elif before.failing_at is not None and now.well_at is not None and now.failing_at is None:
        data |= {"failing_since": to_rfc3339(before.failing_since or before.failing_at)}
        yield about_integration("integration.recovered", identity, now.well_at, data)


def _integration(old: Item | None, new: Item) -> Iterator[CloudEvent]:
    now = integrations.integration_of(new)
    before = integrations.integration_of(old).disabled if old is not None else None
    if now.disabled and now.disabled != before:
        at = from_rfc3339(now.disabled["at"]) or 0
        data = {"integration_id": now.id, **now.disabled}
        yield about_integration("integration.disabled", now.id, at, data)


def _lasting(device: Device) -> dict[str, Any]:
    shown = device.as_json(None)
    del shown["presence"]
    return shown


_KINDS: tuple[tuple[str, Callable[[Item | None, Item], Iterator[CloudEvent]]], ...] = (
    (keys.SEGMENT, _segment),
    (keys.EVENT, _event),
    (keys.MEDIA, _media),
    (keys.ALERT, _alert),
    (keys.COMMAND, _command),
    (keys.STANDING, _standing),
    (keys.INTEGRATION, _integration),
)
