"""Devices: listed, read, changed by operators, and where they stand."""

from __future__ import annotations

from typing import Any

from chalicelib.api.calls import Call
from chalicelib.api.problems import not_found
from chalicelib.model.state import Device, State
from chalicelib.model.times import to_rfc3339
from chalicelib.model.views import measurement_json
from chalicelib.store import devices
from chalicelib.store.said import Provenance


def list_devices(call: Call) -> Any:
    """List devices, newest registered first."""
    page = devices.devices(
        call.table,
        call.tenant,
        limit=call.limit,
        after=call.after,
        keep=lambda device: _wanted(call, device),
    )
    found = [devices.device_of(item) for item in page.items]
    states = devices.states(call.table, call.tenant, [device.id for device in found])
    rows = [_json(device, states.get(device.id)) for device in found]
    return call.page(rows, page.after)


def read(call: Call) -> Any:
    """Read one device."""
    return _json(*_known(call))


def change(call: Call) -> Any:
    """Change what operators say of a device."""
    given = call.given()
    # A new interval may mean silence already: the next sweep looks and plans the looks that follow.
    look_at = call.hub.now() if "expected_interval_seconds" in given else None
    device = devices.change_device(
        call.table,
        call.tenant,
        call.path["device_id"],
        lambda device: _apply(device.operator, given),
        look_at=look_at,
    )
    if device is None:
        raise not_found("device")
    return _json(device, _state(call, device))


def state(call: Call) -> Any:
    """Read the latest value of every metric of a device."""
    device, known = _known(call)
    return {
        "device_id": device.id,
        "presence": device.presence,
        "last_seen_at": _last_seen(known),
        "data": latest_of(device.id, known),
    }


def existing(call: Call) -> Device:
    """Return the device of the path, or refuse the call."""
    device, _ = devices.load_device(call.table, call.tenant, call.path["device_id"])
    if device is None:
        raise not_found("device")
    return device


def latest_of(device_id: str, state: State) -> list[dict[str, Any]]:
    """Return the latest measurements in a state, one a metric and discriminator."""
    rows = []
    for _, (point, source) in sorted(state.latest.items(), key=lambda row: repr(row[0])):
        _, connection_id, receipt_id, version = source
        provenance = Provenance(connection_id, receipt_id, version)
        rows.append({**measurement_json(device_id, point), "provenance": provenance.as_json()})
    return rows


def _known(call: Call) -> tuple[Device, State]:
    found = devices.load(call.table, call.tenant, call.path["device_id"])
    if found is None:
        raise not_found("device")
    return found


def _state(call: Call, device: Device) -> State:
    return devices.load_state(call.table, call.tenant, device.id)[0]


def _json(device: Device, state: State | None) -> dict[str, Any]:
    return device.as_json(_last_seen(state))


def _last_seen(state: State | None) -> str | None:
    moment = state.last_seen if state else None
    return to_rfc3339(moment) if moment is not None else None


def _wanted(call: Call, device: Device) -> bool:
    query = call.query
    labels = device.operator
    text = (query["q"] or "").lower()
    return (
        (not query["vendor"] or device.vendor in query["vendor"])
        and (not query["tag"] or not set(query["tag"]).isdisjoint(labels.get("tags", ())))
        and (not query["group"] or not set(query["group"]).isdisjoint(labels.get("groups", ())))
        and query["presence"] in {None, device.presence}
        and query["parent"] in {None, device.fact("parent_id")}
        and (text in device.id.lower() or text in (device.name or "").lower())
    )


def _apply(operator: dict[str, Any], given: dict[str, Any]) -> None:
    for name, value in given.items():
        if name == "location" and value is not None:
            merged = {**operator.get("location", {}), **value}
            operator["location"] = {k: v for k, v in merged.items() if v is not None}
        elif value is None:
            operator.pop(name, None)
        else:
            operator[name] = value
