"""One device: what it has and where it stands, folded from what was heard of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple

from chalicelib import vendors
from chalicelib.model.state import Device, Heard, Source, State
from chalicelib.model.times import DAY
from chalicelib.store import devices, keys
from chalicelib.store.series import readings
from chalicelib.store.table import ConflictError, Table

_PATIENCE = 3
"""A device is silent after so many expected intervals without a word."""

_NEVER = 400 * DAY
_LOOKED_AT = 1000
"""Measurements looked at for what was the latest before one that was withdrawn."""


class Lost(NamedTuple):
    """A measurement that a segment held and holds no more."""

    name: tuple[Any, ...]
    at: int
    receipt_id: str


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
    table: Table, tenant: str, device_id: str, heard: list[Heard], lost: Sequence[Lost] = ()
) -> None:
    """Fold what was heard of a device, and what is true no more, into its item and its state.

    The device is written before the state: a crash between the two is made good by the retry, which
    folds the same again.
    """
    while True:
        try:
            _fold(table, tenant, device_id, heard, lost)
        except ConflictError:
            continue  # an operator wrote the device meanwhile: read again
        return


def _fold(
    table: Table, tenant: str, device_id: str, heard: list[Heard], lost: Sequence[Lost]
) -> None:
    where = keys.device(tenant, device_id), keys.state(tenant, device_id)
    found = table.get_many(where, consistent=True)
    device_item, state_item = found.get(where[0]), found.get(where[1])
    state = devices.state_of(state_item) if state_item else State()
    if device_item:
        device = devices.device_of(device_item)
    else:
        first = min(heard, key=lambda each: each.received_at)
        device = Device(device_id, first.connection_id, first.received_at)
    stored = dict(device.facts)
    device.recall(state.confirmed)
    for each in heard:
        device.hear(each)
    state.confirmed = device.settle(stored)
    patience = silent_after(device)  # a child's first words say that it is one
    for each in heard:
        state.hear(each, patience)
    for gone in lost:
        _forget(table, tenant, device, state, gone)
    device.presence = state.presence
    parent = device.fact("parent_id")
    if parent and (device_item is None or "parent_id" not in devices.device_of(device_item).facts):
        _register(table, tenant, Device(parent, device.connection_id, device.registered_at))
    silent_at = (state.last_heard or 0) + patience
    devices.save_device(table, tenant, device, device_item, silent_at)
    devices.save_state(table, tenant, device_id, state, state_item)


def _forget(table: Table, tenant: str, device: Device, state: State, lost: Lost) -> None:
    """Where the latest value is no more, take the one before it, if there is one."""
    known = state.latest.get(lost.name)
    if known is None or (known[0].at, known[1].receipt_id) != (lost.at, lost.receipt_id):
        return
    del state.latest[lost.name]
    metric = lost.name[0]
    found = readings(table, tenant, device, {metric}, start=0, end=lost.at + 1, descending=True)
    for reading in islice(found, _LOOKED_AT):
        if reading.point.name == lost.name:
            source = reading.source
            state.latest[lost.name] = (
                reading.point,
                Source(
                    source.received_at,
                    source.connection_id,
                    source.receipt_id,
                    source.adapter_version,
                ),
            )
            return
    if all(name[0] != metric for name in state.latest):
        device.metrics.pop(metric, None)


def _register(table: Table, tenant: str, device: Device) -> None:
    """Make sure that a device exists which nobody has heard of but through its children."""
    known, _ = devices.load_device(table, tenant, device.id)
    if known is None:
        devices.save_device(table, tenant, device, None, 0)
