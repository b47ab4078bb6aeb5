"""A batch of the table's stream: each device's changes, in their order, folded and written once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib import aws, telemetry
from chalicelib.model.assembly import Assembly
from chalicelib.model.state import Heard
from chalicelib.project.fold import Lost, fold
from chalicelib.store import alerts, keys, profiles, said
from chalicelib.store.table import Plain, Table, table_of, unmarshal

_Change = tuple[str, Plain, list[Lost]]


def run(event: dict[str, Any], hub: aws.Hub | None = None) -> dict[str, Any]:
    """Process a stream event.  Returns the first change that failed: the mapping retries from there."""
    table = table_of(hub or aws.hub())
    devices: dict[str, list[_Change]] = {}
    failed: list[str] = []
    for record in event["Records"]:
        if _is_profile(record):
            failed += _profile(table, record)
            continue
        change = _change(record)
        if change is not None:
            devices.setdefault(change[1]["pk"], []).append(change)
    for pk, changes in devices.items():
        try:
            lost = [each for _, _, some in changes for each in some]
            _device(table, pk, [item for _, item, _ in changes], lost)
        except Exception:  # noqa: BLE001 - other devices must not wait for this one
            telemetry.logger().exception("project.failed", extra={"partition": pk})
            failed.append(changes[0][0])
    first = [number for number, _ in _numbers(event) if number in failed][:1]
    return {"batchItemFailures": [{"itemIdentifier": number} for number in first]}


def _numbers(event: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for record in event["Records"]:
        yield record["dynamodb"]["SequenceNumber"], record


def _change(record: Mapping[str, Any]) -> _Change | None:
    """Return what a stream record changed, or ``None`` where nothing but provenance did."""
    image = record["dynamodb"]
    if "NewImage" not in image or not image["Keys"]["sk"]["S"].startswith(keys.SAID):
        return None
    new = unmarshal(image["NewImage"])
    old = unmarshal(image["OldImage"]) if image.get("OldImage") else None
    if "d" not in new or (old is not None and old.get("d") == new["d"]):
        return None
    return image["SequenceNumber"], new, _lost(old, new) if old is not None else []


def _lost(old: Plain, new: Plain) -> list[Lost]:
    """Return the measurements that a segment holds no more: history was put through a better adapter."""
    if not new["sk"].startswith(keys.SEGMENT):
        return []
    held = {(point.name, point.at) for point in said.segment_of(new).points}
    receipt_id = said.provenance_of(new).receipt_id
    return [
        Lost(point.name, point.at, receipt_id)
        for point in said.segment_of(old).points
        if (point.name, point.at) not in held
    ]


def _is_profile(record: Mapping[str, Any]) -> bool:
    where = record["dynamodb"]["Keys"]
    return keys.is_profile(where["pk"]["S"], where["sk"]["S"])


def _profile(table: Table, record: Mapping[str, Any]) -> list[str]:
    """Store the events that a changed profile means; return the change's number if that failed."""
    image = record["dynamodb"]
    if "NewImage" not in image:
        return []
    old = unmarshal(image["OldImage"]) if image.get("OldImage") else None
    try:
        for tenant, event, source in profiles.told(old, unmarshal(image["NewImage"])):
            said.write(table, tenant, Assembly(events=[event]), source)
    except Exception:  # noqa: BLE001 - the devices of the batch must not wait for it
        telemetry.logger().exception("drift.failed")
        return [image["SequenceNumber"]]
    return []


def _device(table: Table, pk: str, items: list[Plain], lost: list[Lost]) -> None:
    tenant, device_id = keys.device_of(pk)
    heard: list[Heard] = []
    conditions: dict[str, int] = {}
    for item in items:
        if item["sk"].startswith(keys.SIGNAL):
            signal = said.signal_of(item)
            at = min(signal.at, conditions.get(signal.key, signal.at))
            conditions[signal.key] = at
        found = _heard(item)
        if found is not None:
            heard.append(found)
    if heard:
        fold(table, tenant, device_id, heard, lost)
    for key, at in conditions.items():
        alerts.refold(table, tenant, device_id, key, at)


def _heard(item: Plain) -> Heard | None:
    source = said.provenance_of(item)
    where = (source.received_at, source.connection_id)
    sort_key: str = item["sk"]
    if sort_key.startswith((keys.SEGMENT, keys.FACTS)):
        segment = said.segment_of(item)
        moments = {p.at for p in segment.points}
        moments |= {f.at for f in segment.facts if (f.path, f.value) != ("presence", "offline")}
        return Heard(
            tuple(moments),
            *where,
            segment.kind,
            segment.points,
            segment.facts,
            receipt_id=source.receipt_id,
            adapter_version=source.adapter_version,
        )
    if sort_key.startswith(keys.EVENT):
        event = said.event_of(item)
        # What the hub noticed of a connection says nothing of a device.
        return Heard((event.at,), *where) if event.type != profiles.EVENT else None
    if sort_key.startswith(keys.MEDIA):
        return Heard((said.media_of(item).at,), *where)
    if sort_key.startswith(keys.SIGNAL):
        signal = said.signal_of(item)
        return Heard((signal.at,), *where, about=True) if signal.by is None else None
    return None
