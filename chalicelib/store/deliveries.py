"""Deliveries that need remembering: those that failed once, and those that wait.

A delivery that succeeds at once leaves nothing here.  A row keeps its events as they will be sent, so a
retry sends the same body, and its whole log of attempts.  A row is the truth; queue messages only name
it, and one that was lost is replaced when the row's moment in the ``DUE`` index comes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chalicelib.model.cloudevents import CloudEvent
from chalicelib.model.decode import compress, gunzip
from chalicelib.model.digests import digest
from chalicelib.model.times import DAY, to_rfc3339
from chalicelib.store import keys
from chalicelib.store.listing import Page, indexed, newest_first, oldest_first
from chalicelib.store.table import VERSION, ConflictError, Key, Plain, Table, pack, unpack

RETENTION = 30 * DAY
PENDING, DELIVERED, DEAD, CANCELLED = "pending", "delivered", "dead", "cancelled"
QUEUE_REACH = 900_000
"""Milliseconds for which SQS can delay a message; what is due later waits in the index."""
_AHEAD = 90_000
"""Milliseconds before its time at which a parked row is handed to the queue (the sweep is once a minute)."""
_GRACE = 120_000
"""Milliseconds after its time at which a row is handed to the queue again: its message must be lost."""
_PATIENCE = 900_000
"""The same for a row that the sweep has handed over: the queue may be long, so do not lengthen it."""
_ITEM_LIMIT = 300 * 1024
"""Bytes of packed events that a row holds itself (an item holds 400 KB); more waits in the bucket."""
_FEW = 100
"""Rows of a page of what waits: often only the first is wanted, and a whole page would be 1 MB."""
_SHARDS = 4
"""Partitions of the index of what is due: one takes a thousand writes a second."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message for one integration, and every try of it so far.  Moments in milliseconds."""

    id: str
    tenant: str
    integration_id: str
    event_ids: tuple[str, ...]
    batch: bool
    """Whether the events go as one list, as they did the first time."""
    state: str
    created_at: int
    attempts: tuple[Mapping[str, Any], ...] = ()
    next_attempt_at: int | None = None
    """``None`` while pending: it waits for its integration, disabled or unable to take more."""
    packed: bytes | None = None
    pointer: str | None = None
    place: str | None = None
    """Where it stands in its device's line, if its integration asks for order."""
    behind: bool = False
    """Whether another one of its device has to go first."""
    version: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the delivery as the API shows it."""
        due = self.next_attempt_at if self.state == PENDING else None
        return {
            "id": self.id,
            "integration_id": self.integration_id,
            "event_ids": list(self.event_ids),
            "state": self.state,
            "next_attempt_at": to_rfc3339(due) if due is not None else None,
            "attempts": [dict(attempt) for attempt in self.attempts],
        }


def identity_of(integration_id: str, event_ids: Sequence[str], replay: str | None = None) -> str:
    """Return the id of a delivery: the same for the same events.  It carries the integration's.

    What a replay sends is another delivery than the first one, whose row may stand there, dead or delivered.
    """
    name = integration_id.removeprefix("int_")
    again = () if replay is None else (replay,)
    return f"dlv_{name}_{digest('delivery', list(event_ids), *again)}"


def integration_of(identity: str) -> str:
    """Return the integration of a delivery's id (of nobody, for a text that is no such id)."""
    return f"int_{identity.removeprefix('dlv_').rpartition('_')[0]}"


def begun(
    tenant: str,
    integration_id: str,
    events: Sequence[CloudEvent],
    *,
    batch: bool,
    now: int,
    replay: str | None = None,
) -> Delivery:
    """Return a delivery that nobody has attempted and that is not yet stored."""
    event_ids = tuple(event["id"] for event in events)
    identity = identity_of(integration_id, event_ids, replay)
    packed = pack(list(events))
    return Delivery(identity, tenant, integration_id, event_ids, batch, PENDING, now, packed=packed)


def find(table: Table, tenant: str, identity: str) -> Delivery | None:
    """Return a delivery as it is now, or ``None``."""
    item = table.get(_key(tenant, integration_of(identity), identity))
    return delivery_of(item) if item else None


def many(table: Table, tenant: str, identities: Iterable[str]) -> dict[str, Delivery]:
    """Return many deliveries by id as they are now; those that are not stored are left out."""
    wanted = [_key(tenant, integration_of(each), each) for each in identities]
    found = table.get_many(wanted, consistent=True)
    return {row.id: row for row in map(delivery_of, found.values())}


def save(table: Table, row: Delivery, *, handed_over: bool = False) -> Delivery:
    """Write a delivery and return it as stored.  Raises ``ConflictError`` if it changed since it was read.

    ``handed_over`` says that a message naming it is in the queue, however far off its time was.
    """
    if row.version == 0:
        pointers, row = _first(table, row)
        for pointer, item in pointers.items():
            table.put(pointer, item)
    read = {VERSION: row.version} if row.version else None
    key = _key(row.tenant, row.integration_id, row.id)
    table.replace(key, _item(table, row, handed_over=handed_over), read)
    return replace(row, version=row.version + 1)


def save_new(table: Table, rows: Iterable[Delivery]) -> None:
    """Write deliveries that nobody has stored, many at a time."""
    items: dict[Key, Plain] = {}
    for each in rows:
        pointers, row = _first(table, each)
        items |= pointers
        key = _key(row.tenant, row.integration_id, row.id)
        items[key] = _item(table, row, handed_over=False) | {VERSION: 1}
    table.put_many(items)


def forget(table: Table, row: Delivery) -> None:
    """Remove a delivery that came through at its first attempt: it is only counted."""
    table.delete(_key(row.tenant, row.integration_id, row.id))


def cancel(table: Table, tenant: str, identity: str) -> bool:
    """Give up a pending delivery; False if it is not pending any more."""
    while True:
        row = find(table, tenant, identity)
        if row is None or row.state != PENDING:
            return False
        try:
            save(table, replace(row, state=CANCELLED, next_attempt_at=None))
        except ConflictError:
            continue
        return True


def events_of(table: Table, row: Delivery) -> list[CloudEvent]:
    """Return the events of a delivery, as they were first sent."""
    if row.packed is not None:
        return unpack(row.packed)  # type: ignore[no-any-return]
    bucket = table.hub.config.bucket
    answer = table.hub.s3.get_object(Bucket=bucket, Key=str(row.pointer))
    return json.loads(gunzip(answer["Body"].read()))  # type: ignore[no-any-return]


def due(table: Table, now: int) -> Iterator[Delivery]:
    """Yield every pending delivery that is to be handed to the queue now, as it is stored."""
    for shard in range(_SHARDS):
        for item in table.walk(f"DUE#{shard}", "0", to_rfc3339(now), index="by_state"):
            found = table.get(Key(item["pk"], item["sk"]))
            row = delivery_of(found) if found else None
            if row is not None and row.state == PENDING and row.next_attempt_at is not None:
                yield row


def waiting(table: Table, tenant: str, integration_id: str) -> Iterator[Delivery]:
    """Yield every delivery that waits for its integration, the oldest first."""
    for item in table.walk(_waiting(tenant, integration_id), index="by_state", limit=_FEW):
        found = table.get(Key(item["pk"], item["sk"]))
        row = delivery_of(found) if found else None
        if row is not None and row.state == PENDING and row.next_attempt_at is None:
            yield row


def deliveries(
    table: Table,
    tenant: str,
    integration_id: str,
    *,
    start: int | None,
    end: int | None,
    limit: int,
    after: Plain | None,
    states: frozenset[str] | None = None,
) -> Page:
    """Return a page of an integration's deliveries, newest first."""
    return newest_first(
        table,
        tenant,
        _listing(integration_id),
        start=start,
        end=end,
        limit=limit,
        after=after,
        keep=lambda item: states is None or item["s"] in states,
    )


def in_order(
    table: Table, tenant: str, integration_id: str, end: int, *, limit: int, after: Plain | None
) -> Page:
    """Return a page of all deliveries of an integration that began before ``end``, oldest first."""
    return oldest_first(
        table, tenant, _listing(integration_id), start=None, end=end, limit=limit, after=after
    )


def of_receipt(table: Table, tenant: str, receipt_id: str) -> list[Delivery]:
    """Return the deliveries of what a receipt's payload said, as far as they are remembered."""
    pointers = table.walk(_receipt(tenant, receipt_id, "").pk)
    found = many(table, tenant, [pointer["sk"] for pointer in pointers])
    return sorted(found.values(), key=lambda row: (row.created_at, row.id))


def line_of(device: str, number: str, part: int) -> str:
    """Return the place in a device's line of a part of a message: messages are numbered in their order."""
    return f"{digest(device, length=10)}#{number:0>20}#{part:04d}"


def stand_in_line(table: Table, row: Delivery) -> None:
    """Let a stored delivery stand in its device's line.  Doing it again changes nothing."""
    table.put(_line(row), {"i": row.id, **_expiry(table, row)})


def leave_line(table: Table, row: Delivery) -> None:
    """Take a delivery out of its device's line."""
    if row.place is not None:
        table.delete(_line(row))


def first_in_line(table: Table, tenant: str, integration_id: str, device: str) -> Delivery | None:
    """Return the delivery that a device's others wait for, or ``None``."""
    pk, line = keys.integration_pk(tenant, integration_id), digest(device, length=10)
    while True:
        low = f"{keys.LINE}{line}#"
        found, _ = table.query(pk, low, f"{low}~", limit=1, consistent=True)
        if not found:
            return None
        row = find(table, tenant, found[0]["i"])
        if row is not None and row.state == PENDING:
            return row
        table.delete(Key(pk, found[0]["sk"]))  # whoever ended it died before it had left


def _line(row: Delivery) -> Key:
    return Key(keys.integration_pk(row.tenant, row.integration_id), f"{keys.LINE}{row.place}")


def delivery_of(item: Mapping[str, Any]) -> Delivery:
    """Return the delivery that a stored item holds."""
    tenant, integration_id = keys.integration_of(item["pk"])
    event_ids, attempts = unpack(item["a"])
    return Delivery(
        id=item["sk"].removeprefix("L#"),
        tenant=tenant,
        integration_id=integration_id,
        event_ids=tuple(event_ids),
        batch=bool(item["b"]),
        state=item["s"],
        created_at=int(item["at"]),
        attempts=tuple(attempts),
        next_attempt_at=int(item["n"]) if "n" in item else None,
        packed=item.get("d"),
        pointer=item.get("x"),
        place=item.get("o"),
        behind=bool(item.get("h", 0)),
        version=int(item[VERSION]),
    )


def _first(table: Table, row: Delivery) -> tuple[dict[Key, Plain], Delivery]:
    """Return what must be written before the row is (unnamed it could not be found), and the row."""
    if row.packed is not None and len(row.packed) > _ITEM_LIMIT:
        name = f"deliveries/{row.tenant}/{row.id}"
        body = compress(json.dumps(unpack(row.packed)).encode())
        table.hub.s3.put_object(Bucket=table.hub.config.bucket, Key=name, Body=body)
        events, row = unpack(row.packed), replace(row, packed=None, pointer=name)
    else:
        events = unpack(row.packed) if row.packed is not None else []
    receipts = {
        provenance["receipt_id"]
        for event in events
        if (provenance := event["data"].get("provenance")) is not None
    }
    pointers = {
        _receipt(row.tenant, receipt_id, row.id): _expiry(table, row)
        for receipt_id in sorted(receipts)
    }
    return pointers, row


def _item(table: Table, row: Delivery, *, handed_over: bool) -> Plain:
    item: Plain = {
        "a": pack([list(row.event_ids), list(row.attempts)]),
        "b": int(row.batch),
        "s": row.state,
        "at": row.created_at,
        "n": row.next_attempt_at,
        "d": row.packed,
        "x": row.pointer,
        "o": row.place,
        "h": int(row.behind) or None,
        **indexed(table, row.tenant, _listing(row.integration_id), row.created_at, row.id),
        **_expiry(table, row),
    }
    if row.state == PENDING and row.next_attempt_at is None and not row.behind:
        item |= {
            "g2pk": _waiting(row.tenant, row.integration_id),
            "g2sk": f"{to_rfc3339(row.created_at)}#{row.id}",
        }
    elif row.state == PENDING and row.next_attempt_at is not None:
        wake = _wake(row.next_attempt_at, table.hub.now(), handed_over=handed_over)
        shard = int.from_bytes(row.id.encode()[-4:], "big") % _SHARDS
        item |= {"g2pk": f"DUE#{shard}", "g2sk": f"{to_rfc3339(wake)}#{row.id}"}
    return item


def _wake(due_at: int, now: int, *, handed_over: bool) -> int:
    if handed_over:
        return max(due_at, now) + _PATIENCE
    return due_at - _AHEAD if due_at - now > QUEUE_REACH else due_at + _GRACE


def _expiry(table: Table, row: Delivery) -> Plain:
    if table.hub.config.keep_all:
        return {}
    return {"expires_at": (row.created_at + RETENTION) // 1000}


def _key(tenant: str, integration_id: str, identity: str) -> Key:
    return Key(keys.integration_pk(tenant, integration_id), f"L#{identity}")


def _receipt(tenant: str, receipt_id: str, identity: str) -> Key:
    return Key(f"T#{tenant}#R#{receipt_id}", identity)


def _listing(integration_id: str) -> str:
    return f"I#{integration_id}"


def _waiting(tenant: str, integration_id: str) -> str:
    return f"T#{tenant}#I#{integration_id}#WAITING"
