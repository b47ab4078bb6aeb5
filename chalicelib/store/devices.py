"""Devices and their states: written by folding, under a version, so that no writer undoes another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from chalicelib.model.assembly import Point
from chalicelib.model.stale import Stale
from chalicelib.model.state import Device, Source, State
from chalicelib.model.times import from_rfc3339, to_rfc3339
from chalicelib.store import keys
from chalicelib.store.listing import Page, within
from chalicelib.store.table import ConflictError, Plain, Table, pack, position, unpack

_ROOM = 360 * 1024
"""Bytes of packed data: an item holds 400 KB."""
_READ = 100
"""Devices of a query."""
SILENCE = "SILENCE"
"""The partition of ``by_state`` that lists devices by when to look at them: for silence, for rollups."""


def load_device(table: Table, tenant: str, device_id: str) -> tuple[Device | None, Plain | None]:
    """Return a device and the item it was read from (``None``, ``None``: there is none)."""
    item = table.get(keys.device(tenant, device_id))
    return (device_of(item), item) if item else (None, None)


def load_state(table: Table, tenant: str, device_id: str) -> tuple[State, Plain | None]:
    """Return a device's state (empty for a new one) and the item it was read from."""
    item = table.get(keys.state(tenant, device_id))
    return (state_of(item), item) if item else (State(), None)


def load(table: Table, tenant: str, device_id: str) -> tuple[Device, State] | None:
    """Return a device and its state (empty where it never spoke) by one call, or ``None``."""
    where = keys.device(tenant, device_id), keys.state(tenant, device_id)
    found = table.get_many(where, consistent=True)
    if where[0] not in found:
        return None
    state = state_of(found[where[1]]) if where[1] in found else State()
    return device_of(found[where[0]]), state


def save_device(
    table: Table,
    tenant: str,
    device: Device,
    read: Plain | None,
    silent_at: int,
    *,
    reschedule: bool = False,
    roll_at: int | None = None,
) -> bool:
    """Write a device if it differs from what was read.  Raises ``ConflictError`` if that is outdated.

    ``silent_at`` is when an online device is to be looked at for silence, ``roll_at`` when any device is for
    its rollups.  A look already planned stands, unless that one is earlier or with ``reschedule``: hearing
    of a device does not write it.
    """
    item: Plain = {
        "d": _pack_device(device),
        "c": device.connection_id,
        "g1pk": keys.listing(tenant, keys.DEVICE),
        "g1sk": f"{to_rfc3339(device.registered_at)}#{device.id}",
    }
    moments = [silent_at] if device.presence == "online" else []
    moments += [] if roll_at is None else [roll_at]
    if moments:
        planned = None if reschedule else (read or {}).get("g2sk")
        if planned is None or (roll_at is not None and roll_at < _moment(planned)):
            planned = f"{to_rfc3339(min(moments))}#{tenant}#{device.id}"
        item |= {"g2pk": SILENCE, "g2sk": planned}
    if read and all(read.get(n) == item.get(n) for n in ("d", "c", "g2pk", "g2sk")):
        return False
    table.replace(keys.device(tenant, device.id), item, read)
    return True


def save_state(table: Table, tenant: str, device_id: str, state: State, read: Plain | None) -> bool:
    """Write a state if it differs from what was read.  Raises ``ConflictError`` if that is outdated."""
    data = _pack_state(state)
    if read and read["d"] == data:
        return False
    table.replace(keys.state(tenant, device_id), {"d": data}, read)
    return True


def _pack_device(device: Device) -> bytes:
    facts = sorted(device.facts.items())
    metrics = sorted(device.metrics.items())
    while True:
        data = pack(
            {
                "facts": dict(facts),
                "operator": device.operator,
                "metrics": dict(metrics),
                "presence": device.presence,
            }
        )
        if len(data) <= _ROOM or not (facts or metrics):
            return data
        # A thousand long random texts fit into no item: what was said last is kept.
        facts = sorted(sorted(facts, key=lambda row: row[1][1:])[len(facts) // 4 + 1 :])
        metrics = metrics[: len(metrics) * 3 // 4]


def _pack_state(state: State) -> bytes:
    rows = sorted(state.latest.items(), key=lambda row: repr(row[0]))
    confirmed = sorted(state.confirmed.items())
    while True:
        # A payload brings many of the latest values: its provenance is kept once.
        sources: dict[Source, int] = {}
        latest = [[*point, sources.setdefault(source, len(sources))] for _, (point, source) in rows]
        seen, evidence = [state.seen, state.seen_by_signal], list(state.evidence)
        body = [latest, seen, state.last_heard, evidence, list(sources), dict(confirmed)]
        stale = state.stale.as_list()
        data = pack([*body, stale] if stale else body)
        if len(data) <= _ROOM or not (rows or confirmed):
            return data
        confirmed = confirmed[: len(confirmed) * 3 // 4]
        newest = sorted(rows, key=lambda row: row[1][0].at)[len(rows) // 4 + 1 :]
        rows = sorted(newest, key=lambda row: repr(row[0]))


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
    latest, (seen, signal), last_heard, evidence, sources, confirmed, *rest = unpack(item["d"])
    state = State({}, seen, signal, last_heard, (evidence[0], evidence[1]))
    state.stale = Stale.of(rest[0]) if rest else Stale()
    state.confirmed = {path: (at, received_at) for path, (at, received_at) in confirmed.items()}
    for *fields, number in latest:
        point = Point(*fields)
        state.latest[point.name] = (point, Source(*sources[number]))
    return state


def many(table: Table, tenant: str, device_ids: Iterable[str]) -> dict[str, Device]:
    """Return many devices by id; those that do not exist are left out."""
    found = table.get_many(keys.device(tenant, device_id) for device_id in device_ids)
    return {keys.device_of(key.pk)[1]: device_of(item) for key, item in found.items()}


def labels(
    table: Table, tenant: str, device_ids: Iterable[str]
) -> dict[str, tuple[Sequence[str], Sequence[str]]]:
    """Return tags and groups of many devices; those that do not exist are left out."""
    found = many(table, tenant, device_ids)
    return {device_id: device.labels for device_id, device in found.items()}


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


def walk(table: Table, tenant: str, after: Plain | None) -> Iterator[tuple[Device, Plain]]:
    """Yield a tenant's devices in the same order, each with the position behind it, as far as is taken."""
    pk = keys.listing(tenant, keys.DEVICE)
    while True:
        items, after = table.query(pk, index="by_time", descending=True, limit=_READ, after=after)
        for item in items:
            yield device_of(item), position(item, "by_time")
        if after is None:
            return


def change_device(
    table: Table,
    tenant: str,
    device_id: str,
    change: Callable[[Device], None],
    *,
    look_at: int | None = None,
) -> Device | None:
    """Apply an operator's change to a device and return it; ``None`` if there is no such device.

    ``look_at`` is when the device is to be looked at for silence, where the change bears on that.
    """
    while True:
        device, item = load_device(table, tenant, device_id)
        if device is None or item is None:
            return None
        change(device)
        planned = _moment(item["g2sk"]) if "g2sk" in item else None
        silent_at = planned or 0 if look_at is None else look_at
        reschedule = look_at is not None
        try:
            save_device(
                table, tenant, device, item, silent_at, reschedule=reschedule, roll_at=planned
            )
        except ConflictError:
            continue
        return device


def due_for_silence(table: Table, now: int) -> Iterable[tuple[str, str]]:
    """Yield tenant and id of every device that is to be looked at."""
    for item in table.walk(SILENCE, "0", to_rfc3339(now), index="by_state"):
        yield keys.device_of(item["pk"])


def _moment(text: str) -> int:
    return from_rfc3339(text.split("#", 1)[0]) or 0
