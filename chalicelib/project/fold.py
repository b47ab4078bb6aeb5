"""One device: what it has and where it stands, folded from what was heard of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chalicelib import vendors
from chalicelib.model.state import Device, Heard, Source, State, Withdrawn
from chalicelib.model.times import DAY
from chalicelib.store import devices, keys, series
from chalicelib.store.table import ConflictError, Table

_PATIENCE = 3
"""A device is silent after so many expected intervals without a word."""

_NEVER = 400 * DAY
_NOTHING: Mapping[int, int] = {}


def silent_after(device: Device) -> int:
    """Return after how many milliseconds without a word a device counts as offline.

    A child (a parking spot, a zone) speaks when something changes; whether it is there, its parent tells.
    """
    if device.expected_interval:
        return round(device.expected_interval * _PATIENCE * 1000)
    if device.fact("parent_id"):
        return _NEVER
    return vendors.adapter(device.vendor).silent_after(device.native_id) * 1000


def fold(
    table: Table,
    tenant: str,
    device_id: str,
    heard: list[Heard],
    gone: Sequence[Withdrawn] = (),
    touched: Mapping[int, int] = _NOTHING,
) -> State:
    """Fold what was heard of a device, and what is said no more, into its item and its state.

    ``touched`` are the hours whose measurements changed, and when.  The device is written before the state: a
    crash between the two is made good by the retry, which folds the same again.
    """
    while True:
        try:
            return _fold(table, tenant, device_id, heard, gone, touched)
        except ConflictError:
            continue  # an operator or the sweep wrote the device meanwhile: read again


def _fold(
    table: Table,
    tenant: str,
    device_id: str,
    heard: list[Heard],
    gone: Sequence[Withdrawn],
    touched: Mapping[int, int],
) -> State:
    where = keys.device(tenant, device_id), keys.state(tenant, device_id)
    found = table.get_many(where, consistent=True)
    device_item, state_item = found.get(where[0]), found.get(where[1])
    state = devices.state_of(state_item) if state_item else State()
    if device_item:
        device = devices.device_of(device_item)
    elif not heard:
        return state
    else:
        first = min(heard, key=lambda each: each.received_at)
        device = Device(device_id, first.connection_id, first.received_at)
    stored = dict(device.facts)
    device.recall(state.confirmed)
    for each in heard:
        device.hear(each)
    _forget_facts(table, tenant, device, gone)
    state.confirmed = device.settle(stored)
    patience = silent_after(device)  # a child's first words say that it is one
    for each in heard:
        state.hear(each, patience)
    _forget_points(table, tenant, device, state, gone)
    for hour, at in touched.items():
        state.stale.touch(hour, at)
    device.presence = state.presence
    parent = device.fact("parent_id")
    if parent and (device_item is None or "parent_id" not in devices.device_of(device_item).facts):
        _register(table, tenant, Device(parent, device.connection_id, device.registered_at))
    silent_at = (state.last_heard or 0) + patience
    roll_at = state.stale.look_at(device_id, talking=state.presence == "online")
    devices.save_device(table, tenant, device, device_item, silent_at, roll_at=roll_at)
    devices.save_state(table, tenant, device_id, state, state_item)
    return state


def _forget_facts(table: Table, tenant: str, device: Device, gone: Sequence[Withdrawn]) -> None:
    """Take back facts that are said no more, for the newest that are."""
    lost = {path for each in gone for path in device.forget(each)}
    if lost:
        for path, (fact, source) in series.newest_facts(table, tenant, device, lost).items():
            device.facts[path] = fact.value, fact.at, source.received_at


def _forget_points(
    table: Table, tenant: str, device: Device, state: State, gone: Sequence[Withdrawn]
) -> None:
    """Take back latest values that are said no more, for the newest that are, and metrics without any."""
    lost = {name for each in gone for name in state.forget(each)}
    if not lost:
        return
    found, complete = series.newest_points(table, tenant, device, lost)
    for name, (point, source) in found.items():
        origin = (source.connection_id, source.receipt_id, source.adapter_version)
        state.latest[name] = point, Source(source.received_at, *origin)
    if complete:
        listed = {name[0] for name in state.latest}
        for metric in {name[0] for name in lost} - listed:
            device.metrics.pop(metric, None)


def _register(table: Table, tenant: str, device: Device) -> None:
    """Make sure that a device exists which nobody has heard of but through its children."""
    known, _ = devices.load_device(table, tenant, device.id)
    if known is None:
        devices.save_device(table, tenant, device, None, 0)
