"""Renormalizations: operators' orders to read a connection's archived payloads again, and how far they are.

A connection's orders are numbered, and an order is made under the number after the last one: so of two
that are made at once one is refused, and only one is under way.  The row is the truth; queue messages
only name it and its step.  Jobs (``store/jobs.py``) have random ids and no such number: any of them may run
beside another, and a message that does not name a job's next slice is only outdated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from chalicelib.model.times import to_rfc3339
from chalicelib.store.listing import Page, within
from chalicelib.store.table import VERSION, ConflictError, Key, Plain, Table, pack, unpack

RUNNING, DONE, FAILED = "running", "done", "failed"
PAYLOADS, LEFTOVERS = "payloads", "leftovers"
COUNTS = ("payloads", "recorded", "corrected", "withdrawn", "quarantined", "released")
_PATIENCE = 15 * 60_000
"""Milliseconds after which a step's message is taken for lost; a failed one is hidden for six minutes."""
_STALLED = "RENORMALIZE"
"""The partition of ``by_state`` that lists what is under way by the moment it counts as stalled."""


@dataclass(frozen=True, slots=True)
class Renormalization:
    """One order: payloads that arrived from ``start`` until before ``end`` (ms), and what became of it."""

    tenant: str
    connection_id: str
    number: int
    start: int
    end: int
    dry_run: bool
    requested_at: int
    state: str = RUNNING
    finished_at: int | None = None
    reason: str | None = None
    """Why it failed."""
    reading: str = ""
    """By which reading it goes; by another one it begins anew."""
    phase: str = PAYLOADS
    """``payloads`` puts them through; ``leftovers`` removes what they do not say any more."""
    arrived: tuple[int, str] | None = None
    """The place of the last payload that was put through."""
    oldest: int | None = None
    """When the first payload arrived that the archive still has."""
    place: Mapping[str, Any] = field(default_factory=dict)
    """Where the search for leftovers goes on."""
    counts: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    kept: int = 0
    """Records that payloads brought and still bring: a dry run finds the leftovers by them."""
    examples: tuple[Mapping[str, Any], ...] = ()
    step: int = 0
    stalls: int = 0
    """How often it was revived since its last step."""
    version: int = 0

    @property
    def id(self) -> str:
        """Its id; it carries the connection's."""
        return f"rnm_{self.connection_id.removeprefix('con_')}_{self.number}"

    @property
    def progress(self) -> float:
        """The share of the range that was walked, below 1 until all is done."""
        if self.state == DONE:
            return 1.0
        if self.phase == LEFTOVERS:
            return 0.99
        end = min(self.end, self.requested_at)
        if self.arrived is None or end <= self.start:
            return 0.0
        return round(min(0.99, (self.arrived[0] - self.start) / (end - self.start)), 4)

    def anew(self, reading: str) -> Renormalization:
        """Return the order as it is begun, by a reading."""
        return replace(
            self,
            reading=reading,
            phase=PAYLOADS,
            arrived=None,
            oldest=None,
            place={},
            counts=dict.fromkeys(COUNTS, 0),
            kept=0,
            examples=(),
        )

    def counted(self, **numbers: int) -> Renormalization:
        """Return it with numbers added to its counts."""
        counts = {name: self.counts[name] + numbers.get(name, 0) for name in COUNTS}
        return replace(self, counts=counts)

    def as_json(self) -> dict[str, Any]:
        """Return it as the API shows it."""
        finished = self.finished_at
        return {
            "id": self.id,
            "connection_id": self.connection_id,
            "state": self.state,
            "reason": self.reason,
            "dry_run": self.dry_run,
            "from": to_rfc3339(self.start),
            "to": to_rfc3339(self.end),
            "requested_at": to_rfc3339(self.requested_at),
            "finished_at": to_rfc3339(finished) if finished is not None else None,
            "progress": self.progress,
            "counts": dict(self.counts),
            "examples": [dict(each) for each in self.examples],
        }


def begin(table: Table, order: Renormalization) -> Renormalization | None:
    """Store a new order under the next number; ``None`` while another one is under way."""
    latest, _ = table.query(
        _pk(order.tenant, order.connection_id), descending=True, limit=1, consistent=True
    )
    if latest and renormalization_of(latest[0]).state == RUNNING:
        return None
    number = renormalization_of(latest[0]).number + 1 if latest else 1
    try:
        return save(table, replace(order, number=number))
    except ConflictError:
        return None


def find(table: Table, tenant: str, connection_id: str, number: int) -> Renormalization | None:
    """Return an order as it is now, or ``None``."""
    item = table.get(_key(tenant, connection_id, number))
    return renormalization_of(item) if item else None


def find_by_id(
    table: Table, tenant: str, connection_id: str, identity: str
) -> Renormalization | None:
    """Return an order of a connection by its id, or ``None``."""
    number = identity.rpartition("_")[2]
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        return None
    found = find(table, tenant, connection_id, int(number))
    return found if found is not None and found.id == identity else None


def save(table: Table, order: Renormalization) -> Renormalization:
    """Write an order and return it as stored.  Raises ``ConflictError`` if it changed since it was read."""
    item: Plain = {"d": pack(_body(order))}
    if order.state == RUNNING:
        wake = to_rfc3339(table.hub.now() + _PATIENCE)
        item |= {"g2pk": _STALLED, "g2sk": f"{wake}#{order.id}"}
    read = {VERSION: order.version} if order.version else None
    table.replace(_key(order.tenant, order.connection_id, order.number), item, read)
    return replace(order, version=order.version + 1)


def orders(
    table: Table, tenant: str, connection_id: str, *, limit: int, after: Plain | None
) -> Page:
    """Return a page of a connection's orders, newest first."""
    pk = _pk(tenant, connection_id)
    return within(table, pk, "", "", limit=limit, after=after, descending=True)


def stalled(table: Table, now: int) -> Iterator[Renormalization]:
    """Yield every order under way that was not heard of for too long, as it is stored."""
    for item in table.walk(_STALLED, "0", to_rfc3339(now), index="by_state"):
        found = table.get(Key(item["pk"], item["sk"]))
        order = renormalization_of(found) if found else None
        if order is not None and order.state == RUNNING and found and found["g2sk"] == item["g2sk"]:
            yield order


def renormalization_of(item: Mapping[str, Any]) -> Renormalization:
    """Return the order that a stored item holds."""
    _, tenant, _, connection_id = item["pk"].split("#", 3)
    body = unpack(item["d"])
    arrived = body.pop("arrived")
    return Renormalization(
        tenant=tenant,
        connection_id=connection_id,
        number=int(item["sk"]),
        version=int(item[VERSION]),
        arrived=(arrived[0], arrived[1]) if arrived else None,
        examples=tuple(body.pop("examples")),
        **body,
    )


def _body(order: Renormalization) -> dict[str, Any]:
    body = asdict(order)
    for name in ("tenant", "connection_id", "number", "version"):
        del body[name]  # they stand in the key, and beside it
    return body


def _pk(tenant: str, connection_id: str) -> str:
    return f"T#{tenant}#N#{connection_id}"


def _key(tenant: str, connection_id: str, number: int) -> Key:
    return Key(_pk(tenant, connection_id), f"{number:09d}")
