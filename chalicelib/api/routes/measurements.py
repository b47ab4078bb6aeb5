"""Measurements: a device's series by range, and the latest of several devices."""

from __future__ import annotations

from itertools import islice
from typing import Any

from chalicelib.api.calls import Call
from chalicelib.api.routes.devices import existing, latest_of
from chalicelib.store import devices, series
from chalicelib.store.series import Position


def in_range(call: Call) -> Any:
    """List a device's measurements in time order."""
    device = existing(call)
    if call.nothing:
        return call.page([], None)
    found = series.readings(
        call.table,
        call.tenant,
        device,
        call.query["metric"] or list(device.metrics),
        start=call.query["from"],
        end=call.query["to"],
        descending=call.query["order"] == "desc",
        after=None if call.after is None else Position.of(call.after),
    )
    rows = list(islice(found, call.limit + 1))
    page = rows[: call.limit]
    after = page[-1].position if len(rows) > call.limit else None
    return call.page([row.as_json(device.id) for row in page], after)


def latest(call: Call) -> Any:
    """Read the latest measurements of several devices; unknown ones are left out."""
    wanted = call.query["device"]
    states = devices.states(call.table, call.tenant, wanted)
    metrics = call.query["metric"]
    rows = [
        row
        for device_id in wanted
        if device_id in states
        for row in latest_of(device_id, states[device_id])
        if not metrics or row["metric"] in metrics
    ]
    return {"data": rows}
