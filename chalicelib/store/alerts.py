"""Alerts: folded from the signals of one (device, key) and written as what the signals make them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from chalicelib.model.alerts import Alert, fold
from chalicelib.model.assembly import Assembly, SignalRecord
from chalicelib.model.times import from_rfc3339, to_rfc3339
from chalicelib.store import alert_kinds, keys, said
from chalicelib.store.listing import indexed
from chalicelib.store.said import Provenance
from chalicelib.store.table import ConflictError, Key, Plain, Table, pack, unpack


def refold(table: Table, tenant: str, device_id: str, key: str, changed_at: int) -> list[Alert]:
    """Fold the signals of a condition anew from the alert before ``changed_at`` and write what differs.

    Returns the alerts of that stretch.  Reading starts where the change can matter, so the cost does not
    grow with a condition's history.
    """
    while True:
        try:
            return _refold(table, tenant, device_id, key, changed_at)
        except ConflictError:
            continue


def _refold(table: Table, tenant: str, device_id: str, key: str, changed_at: int) -> list[Alert]:
    pk, condition = keys.device_pk(tenant, device_id), keys.condition(key)
    prefix = f"{keys.ALERT}{condition}#"
    before, _ = table.query(
        pk, prefix, f"{prefix}{to_rfc3339(changed_at)}", descending=True, limit=1, consistent=True
    )
    begin = min(changed_at, _raised_at(before[0])) if before else changed_at
    start = to_rfc3339(begin)
    stored = {
        item["sk"]: item
        for item in table.walk(pk, f"{prefix}{start}", f"{prefix}~", consistent=True)
    }
    signals_prefix = f"{keys.SIGNAL}{condition}#"
    items = list(table.walk(pk, f"{signals_prefix}{start}", f"{signals_prefix}~", consistent=True))
    sources = {said.signal_of(item).digest: said.provenance_of(item) for item in items}
    signals = [said.signal_of(item) for item in items]
    alerts = fold(signals)
    wanted: set[str] = set()
    for alert in alerts:
        where = keys.alert(tenant, device_id, key, alert.raised_at)
        wanted.add(where.sk)
        _save(table, tenant, where, alert, _origin(alert, signals, sources), stored.get(where.sk))
    raised = {signal.at for signal in signals if signal.action == "raise"}
    for sk in stored.keys() - wanted:
        former = alert_of(stored[sk])
        if former.raised_at not in raised:
            table.delete(keys.pointer(tenant, former.id))  # its raise was withdrawn
        _merge(table, stored[sk], alerts)
    return alerts


def _merge(table: Table, item: Plain, alerts: list[Alert]) -> None:
    """Remove an alert that is part of another one: an earlier raise came late.

    Whoever was told that it was raised is told that it ended, by a last change before it goes.
    """
    alert = alert_of(item)
    if alert.cleared is None:
        whole = [each.id for each in alerts if each.raised_at < alert.raised_at]
        note = f"an earlier raise came late: this is now {whole[-1]}" if whole else None
        ended = replace(alert, cleared=(alert.raised_at, None, note))
        provenance = {name: item[name] for name in ("p", "c", "v")}
        table.replace(Key(item["pk"], item["sk"]), {"d": _packed(ended), **provenance}, item)
    table.delete(Key(item["pk"], item["sk"]))


def _origin(
    alert: Alert, signals: list[SignalRecord], sources: Mapping[str, Provenance]
) -> Provenance:
    first = next(s for s in signals if s.action == "raise" and s.at == alert.raised_at)
    return sources[first.digest]


def _save(
    table: Table, tenant: str, where: Key, alert: Alert, source: Provenance, read: Plain | None
) -> None:
    item: Plain = {
        "d": _packed(alert),
        "p": source.receipt_id,
        "c": source.connection_id,
        "v": source.adapter_version,
    }
    if read and read["d"] == item["d"]:
        return
    item |= indexed(table, tenant, "ALERT", alert.raised_at, alert.id)
    item |= alert_kinds.indexed(table, tenant, alert, item["g1sk"])
    if not table.hub.config.keep_all and alert.cleared is not None:
        item["expires_at"] = (table.hub.now() + said.RETENTION) // 1000
    if read is None:
        table.put(keys.pointer(tenant, alert.id), {"at_pk": where.pk, "at_sk": where.sk})
    table.replace(where, item, read)


def _packed(alert: Alert) -> bytes:
    return pack(
        [
            alert.key,
            alert.name,
            alert.severity,
            alert.message,
            alert.updated_at,
            alert.source,
            alert.cleared,
            alert.acknowledged,
        ]
    )


def alert_of(item: Mapping[str, Any]) -> Alert:
    """Return the alert that a stored item holds."""
    _, device_id = keys.device_of(item["pk"])
    key, name, severity, message, updated_at, source, cleared, acknowledged = unpack(item["d"])
    return Alert(
        device_id,
        key,
        name,
        severity,
        message,
        _raised_at(item),
        updated_at,
        source,
        tuple(cleared) if cleared else None,
        tuple(acknowledged) if acknowledged else None,
    )


def as_json(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored alert as the API and deliveries show it."""
    return {**alert_of(item).as_json(), "provenance": said.provenance_of(item).as_json()}


def as_raised(table: Table, item: Mapping[str, Any]) -> Alert:
    """Return a stored alert as its first raise made it: one query, where later raises updated it."""
    now = alert_of(item)
    if now.updated_at > now.raised_at:
        moment = f"{keys.SIGNAL}{keys.condition(now.key)}#{to_rfc3339(now.raised_at)}#"
        said_then, _ = table.query(item["pk"], moment, f"{moment}~")
        raises = [
            signal for each in said_then if (signal := said.signal_of(each)).action == "raise"
        ]
        if raises:
            return fold([min(raises, key=lambda signal: signal.digest)])[0]
    return replace(now, cleared=None, acknowledged=None)


def find(table: Table, tenant: str, identity: str) -> Plain | None:
    """Return the stored alert of an id, or ``None``.

    Where an earlier raise came late, the alert begins earlier and has another id: its former id still
    finds it.
    """
    pointer = table.get(keys.pointer(tenant, identity))
    if pointer is None:
        return None
    pk, sk = pointer["at_pk"], pointer["at_sk"]
    condition = sk[: sk.rindex("#") + 1]
    found, _ = table.query(pk, condition, sk, descending=True, limit=1, consistent=True)
    return found[0] if found else None


def signal(table: Table, tenant: str, record: SignalRecord, source: Provenance) -> None:
    """Store an operator's signal (acknowledge, clear) beside the vendor's."""
    said.write(table, tenant, Assembly(signals=[record]), source)


def _raised_at(item: Mapping[str, Any]) -> int:
    return from_rfc3339(item["sk"].rsplit("#", 1)[1]) or 0
