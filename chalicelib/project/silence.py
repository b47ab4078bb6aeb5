"""Silence: an online device that has not been heard of for too long goes offline, and is summed up."""

from __future__ import annotations

from chalicelib import aws
from chalicelib.project import rollups
from chalicelib.project.fold import silent_after
from chalicelib.store import devices
from chalicelib.store.table import ConflictError, Table, table_of


def sweep(hub: aws.Hub | None = None) -> int:
    """Look at every device whose moment of silence has come; return how many went offline.

    The moment was planned when the device was last written, so most looks find that it has spoken since
    and plan the next one: one write a device and period, none a message.
    """
    table = table_of(hub or aws.hub())
    now = table.hub.now()
    gone = 0
    allowance = rollups.Allowance(rollups.A_SWEEP)
    for tenant, device_id in devices.due_for_silence(table, now):
        try:
            gone += _look(table, tenant, device_id, now, allowance)
        except ConflictError:
            continue  # it was written this very moment: the next sweep looks again
    return gone


def _look(
    table: Table, tenant: str, device_id: str, now: int, allowance: rollups.Allowance
) -> bool:
    device, item = devices.load_device(table, tenant, device_id)
    state, state_item = devices.load_state(table, tenant, device_id)
    if device is None:
        return False
    silent_at = (state.last_heard or 0) + silent_after(device)
    if silent_at <= now and state.presence == "online":
        # The state first: a crash between the two leaves the device due, and the next sweep ends it.
        state.silent()
        devices.save_state(table, tenant, device_id, state, state_item)
    if allowance.work > 0 and state.stale.due(device_id, now):
        state = rollups.catch_up(table, tenant, device_id, allowance)
    changed = device.presence != state.presence
    device.presence = state.presence
    roll_at = state.stale.look_at(device_id, talking=state.presence == "online")
    devices.save_device(table, tenant, device, item, silent_at, reschedule=True, roll_at=roll_at)
    return changed and state.presence == "offline"
