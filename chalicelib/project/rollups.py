"""Rollups kept up: the stale days of a device summed up once they are over and quiet."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.model.state import State
from chalicelib.store import devices, rollups
from chalicelib.store.table import Table

A_BATCH, A_SWEEP = 60_000, 300_000
"""Points that a batch of the stream, and a sweep, may read for rollups: half a second, three seconds."""
_A_DAY = 2_000
"""The calls for one day are as much work as reading so many points."""


@dataclass(slots=True)
class Allowance:
    """The work that one invocation may still do for rollups, in points read."""

    work: int


def catch_up(table: Table, tenant: str, device_id: str, allowance: Allowance) -> State:
    """Sum up the days of a device that are due, as far as the allowance goes; return its state then.

    The rollups are written before the state that calls their hours fresh: a crash between the two leaves
    them stale, and they are made again.  Raises ``ConflictError`` if the device was heard of meanwhile.
    """
    device, _ = devices.load_device(table, tenant, device_id)
    state, item = devices.load_state(table, tenant, device_id)
    for day in state.stale.due(device_id, table.hub.now()):
        if device is None or allowance.work <= 0:
            break
        hours = state.stale.hours(day)
        rebuilt = rollups.rebuild(table, tenant, device, day, hours, most=allowance.work)
        allowance.work -= max(rebuilt.work, _A_DAY)
        state.stale.leave(day, rebuilt.left, rebuilt.wait_until)
    devices.save_state(table, tenant, device_id, state, item)
    return state
