"""A batch of the table's stream: each device's changes, in their order, folded and written once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from chalicelib import aws, telemetry, vendors
from chalicelib.model.assembly import Assembly
from chalicelib.model.state import Heard, State, Withdrawn
from chalicelib.model.times import hour_of
from chalicelib.project import replies, rollups
from chalicelib.project.fold import fold
from chalicelib.store import alerts, keys, profiles, said
from chalicelib.store.table import ConflictError, Plain, Table, table_of, unmarshal


class _Change(NamedTuple):
    """What a stream record changed: the item as it was and as it is, and when that was (ms)."""

    number: str
    at: int
    old: Plain | None
    new: Plain | None

    @property
    def item(self) -> Plain:
        """The item as it is, or as it was last."""
        return self.new or self.old or {}


def run(event: dict[str, Any], hub: aws.Hub | None = None) -> dict[str, Any]:
    """Process a stream event.  Returns the first change that failed: the mapping retries from there."""
    table = table_of(hub or aws.hub())
    devices: dict[str, list[_Change]] = {}
    allowance = rollups.Allowance(rollups.A_BATCH)
    failed: list[str] = []
    for record in event["Records"]:
        if _is_profile(record):
            failed += _profile(table, record)
            continue
        change = _change(record)
        if change is not None:
            devices.setdefault(change.item["pk"], []).append(change)
    for pk, changes in devices.items():
        try:
            _device(table, pk, changes, allowance)
        except Exception:  # noqa: BLE001 - other devices must not wait for this one
            telemetry.logger().exception("project.failed", extra={"partition": pk})
            failed.append(changes[0].number)
    first = [number for number, _ in _numbers(event) if number in failed][:1]
    return {"batchItemFailures": [{"itemIdentifier": number} for number in first]}


def _numbers(event: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for record in event["Records"]:
        yield record["dynamodb"]["SequenceNumber"], record


def _change(record: Mapping[str, Any]) -> _Change | None:
    """Return what a stream record changed, or ``None`` where it changed neither data nor arrival."""
    image = record["dynamodb"]
    if not image["Keys"]["sk"]["S"].startswith(keys.SAID) or "userIdentity" in record:
        return None  # what has expired was true
    new, old = (
        unmarshal(image[name]) if image.get(name) else None for name in ("NewImage", "OldImage")
    )
    if old and new and all(old.get(name) == new.get(name) for name in ("d", "p")):
        return None
    at = round(float(image["ApproximateCreationDateTime"]) * 1000)
    return _Change(image["SequenceNumber"], at, old, new)


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


def _device(table: Table, pk: str, changes: list[_Change], allowance: rollups.Allowance) -> None:
    tenant, device_id = keys.device_of(pk)
    heard: list[Heard] = []
    gone: list[Withdrawn] = []
    conditions: dict[str, int] = {}
    touched: dict[int, int] = {}
    for change in changes:
        if change.item["sk"].startswith(keys.SEGMENT):
            hour = hour_of(keys.taken_at(change.item["sk"]))
            touched[hour] = max(change.at, touched.get(hour, change.at))
        if change.item["sk"].startswith(keys.SIGNAL):
            signal = said.signal_of(change.item)
            at = min(signal.at, conditions.get(signal.key, signal.at))
            conditions[signal.key] = at
        found = _heard(change.new) if change.new is not None else None
        if found is not None:
            heard.append(found)
        if change.old is not None and change.item["sk"].startswith((keys.SEGMENT, keys.FACTS)):
            gone.append(_withdrawn(change.old, change.new))
    state = fold(table, tenant, device_id, heard, gone, touched) if heard or gone else State()
    for key, at in conditions.items():
        alerts.refold(table, tenant, device_id, key, at)
    for change in changes:
        if change.old is None and change.new and change.new["sk"].startswith(keys.EVENT):
            replies.hear(table, tenant, change.new)
    if allowance.work > 0 and state.stale.due(device_id, table.hub.now()):
        _roll_up(table, tenant, device_id, allowance)


def _roll_up(table: Table, tenant: str, device_id: str, allowance: rollups.Allowance) -> None:
    try:
        rollups.catch_up(table, tenant, device_id, allowance)
    except ConflictError:
        return  # the sweep did it at the same time; what is left is still noted
    except Exception:  # noqa: BLE001 - aggregates are only slower without it; the rest must not wait
        telemetry.logger().exception("rollup.failed", extra={"device_id": device_id})


def _withdrawn(old: Plain, new: Plain | None) -> Withdrawn:
    """Return what a segment says no more."""
    source, was = said.provenance_of(old), said.segment_of(old)
    same = new is not None and new["p"] == old["p"]
    now = said.segment_of(new) if new is not None and same else None
    points = {(p.name, p.at) for p in now.points} if now else set()
    facts = {(f.path, f.at) for f in now.facts} if now else set()
    return Withdrawn(
        source.received_at,
        source.receipt_id,
        tuple(p for p in was.points if (p.name, p.at) not in points),
        tuple(f for f in was.facts if (f.path, f.at) not in facts),
    )


def _heard(item: Plain) -> Heard | None:
    source = said.provenance_of(item)
    where = (source.received_at, source.connection_id)
    sort_key: str = item["sk"]
    if sort_key.startswith((keys.SEGMENT, keys.FACTS)):
        segment = said.segment_of(item)
        moments = {p.at for p in segment.points}
        moments |= {f.at for f in segment.facts if (f.path, f.value) != ("presence", "offline")}
        vendor = segment.device_id.split(":", 1)[0]
        if segment.kind in vendors.adapter(vendor).described:
            moments = set()  # a list that names a device is no sign of its life
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
