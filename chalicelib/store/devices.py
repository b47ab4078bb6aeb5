"""Devices and their states: written by folding, under a version, so that no writer undoes another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from chalicelib.model.assembly import Point
from chalicelib.model.state import Device, State
from chalicelib.model.times import from_rfc3339, to_rfc3339
from chalicelib.store import keys
from chalicelib.store.listing import Page, within
from chalicelib.store.table import ConflictError, Plain, Table, pack, unpack

SILENCE = "SILENCE"
"""The partition of ``by_state`` that lists online devices by the moment they would be silent too long."""


def load_device(table: Table, tenant: str, device_id: str) -> tuple[Device | None, Plain | None]:
    """Return a device and the item it was read from (``None``, ``None``: there is none)."""
    item = table.get(keys.device(tenant, device_id))
    return (device_of(item), item) if item else (None, None)


def load_state(table: Table, tenant: str, device_id: str) -> tuple[State, Plain | None]:
    """Return a device's state (empty for a new one) and the item it was read from."""
    item = table.get(keys.state(tenant, device_id))
    return (state_of(item), item) if item else (State(), None)


def save_device(
    table: Table,
    tenant: str,
    device: Device,
    read: Plain | None,
    silent_at: int,
    *,
    reschedule: bool = False,
) -> bool:
    """Write a device if it differs from what was read.  Raises ``ConflictError`` if that is outdated.

    ``silent_at`` is when an online device is to be looked at for silence; a look already planned stands
    unless ``reschedule``, so that hearing of a device does not write it.
    """
    item: Plain = {
        "d": pack(
            {
                "facts": dict(sorted(device.facts.items())),
                "operator": device.operator,
                "metrics": dict(sorted(device.metrics.items())),
                "presence": device.presence,
            }
        ),
        "c": device.connection_id,
        "g1pk": keys.listing(tenant, keys.DEVICE),
        "g1sk": f"{to_rfc3339(device.registered_at)}#{device.id}",
    }
    if device.presence == "online":
        planned = None if reschedule else (read or {}).get("g2sk")
        look = planned or f"{to_rfc3339(silent_at)}#{tenant}#{device.id}"
        item |= {"g2pk": SILENCE, "g2sk": look}
    if read and all(read.get(n) == item.get(n) for n in ("d", "c", "g2pk", "g2sk")):
        return False
    table.replace(keys.device(tenant, device.id), item, read)
    return True


def save_state(
    table: Table, tenant: str, device_id: str, state: State, read: Plain | None
) -> bool:
    """Write a state if it differs from what was read.  Raises ``ConflictError`` if that is outdated."""
    latest = [
        [*point, received_at]
        for _, (point, received_at) in sorted(state.latest.items(), key=lambda row: repr(row[0]))
    ]
    data = pack([latest, state.last_seen, state.last_heard, list(state.evidence)])
    if read and read["d"] == data:
        return False
    table.replace(keys.state(tenant, device_id), {"d": data}, read)
    return True


def device_of(item: Mapping[str, Any]) -> Device:
    """Return the device that a stored item holds."""
    _, device_id = keys.device_of(item["pk"])
    body = unpack(item["d"])
    return Device(
        id=device_id,
        connection_id=item["c"],
        registered_at=_moment(item["g1sk"]),
        facts={path: (value, at, got) for path, (value, at, got) in body["facts"].items()},
        operator=body["operator"],
        metrics=body["metrics"],
        presence=body["presence"],
    )


def state_of(item: Mapping[str, Any]) -> State:
    """Return the state that a stored item holds."""
    latest, last_seen, last_heard, evidence = unpack(item["d"])
    state = State(last_seen=last_seen, last_heard=last_heard, evidence=(evidence[0], evidence[1]))
    for *fields, received_at in latest:
        point = Point(*fields)
        state.latest[point.metric, *point.discriminator] = (point, received_at)
    return state


def states(table: Table, tenant: str, device_ids: Iterable[str]) -> dict[str, State]:
    """Return the states of many devices; those without one are left out."""
    found = table.get_many(keys.state(tenant, device_id) for device_id in device_ids)
    return {keys.device_of(key.pk)[1]: state_of(item) for key, item in found.items()}


def devices(
    table: Table,
    tenant: str,
    *,
    limit: int,
    after: Plain | None,
    keep: Callable[[Device], bool],
) -> Page:
    """Return a page of a tenant's devices, newest registered first."""
    return within(
        table,
        keys.listing(tenant, keys.DEVICE),
        "",
        "",
        limit=limit,
        after=after,
        index="by_time",
        descending=True,
        keep=lambda item: keep(device_of(item)),
    )


def change_device(
    table: Table, tenant: str, device_id: str, change: Callable[[Device], None]
) -> Device | None:
    """Apply an operator's change to a device and return it; ``None`` if there is no such device."""
    while True:
        device, item = load_device(table, tenant, device_id)
        if device is None or item is None:
            return None
        change(device)
        try:
            save_device(table, tenant, device, item, _moment(item.get("g2sk", "")))
        except ConflictError:
            continue
        return device


def due_for_silence(table: Table, now: int) -> Iterable[tuple[str, str]]:
    """Yield tenant and id of every online device whose moment of silence has come."""
    for item in table.walk(SILENCE, "0", to_rfc3339(now), index="by_state"):
        yield keys.device_of(item["pk"])


def _moment(text: str) -> int:
    return from_rfc3339(text.split("#", 1)[0]) or 0
