"""Answers kept for a day by the caller's idempotency key, so that a call that is sent again acts once.

A key is claimed before its call acts and holds the answer afterwards.  Whoever claims may die: then the
claim lapses, and the same call may claim the key again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chalicelib.model.digests import digest
from chalicelib.model.times import DAY
from chalicelib.security import new_name
from chalicelib.store.table import VERSION, ConflictError, Key, Plain, Table, pack, unpack

KEPT = DAY
IN_FLIGHT = 35_000
"""Milliseconds after which nobody can be at work on a call any more: a function has 29 s."""
_LARGEST = 300_000
"""Bytes of an answer that an item has room for."""
_ATTEMPTS = 5


class ReusedError(Exception):
    """The key was used for another call."""


class InFlightError(Exception):
    """The key's first call is not answered yet."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to act for a key."""

    where: Key
    item: Plain
    version: int

    @property
    def reserved(self) -> str:
        """What sets apart the id of whatever the call creates: the same in every attempt at it."""
        return str(self.item["i"])


@dataclass(frozen=True, slots=True)
class Kept:
    """What the key's first call was answered: a JSON value."""

    answer: Any


def claim(table: Table, tenant: str, name: str, request: str) -> Claim | Kept:
    """Claim a tenant's key for a call (``request`` is its digest), or return what it was answered.

    Raises ``ReusedError`` and ``InFlightError``.
    """
    where = Key(f"T#{tenant}#ONCE#{digest(name)}", "CALL")
    found: Plain | None = None
    for _ in range(_ATTEMPTS):
        now = table.hub.now()
        live = found is not None and now < found["k"]
        if found is not None and live and not found.get("free"):
            if found["r"] != request:
                raise ReusedError
            if "d" in found:
                return Kept(unpack(found["d"]))
            if now < found["u"]:
                raise InFlightError
        again = found if found is not None and live and found["r"] == request else None
        item: Plain = {
            "r": request,
            "i": again["i"] if again else new_name(),
            "u": now + IN_FLIGHT,
            "k": now + KEPT,
            "expires_at": -(-(now + KEPT) // 1000),
        }
        try:
            table.replace(where, item, found)
        except ConflictError:
            found = table.get(where)
            continue
        return Claim(where, item, (int(found[VERSION]) if found else 0) + 1)
    raise InFlightError


def keep(table: Table, claimed: Claim, answer: Any) -> None:
    """Keep the answer of a claimed call; one too large is not kept, and the key is free again."""
    data = pack(answer)
    if len(data) > _LARGEST:
        release(table, claimed)
        return
    _write(table, claimed, {**claimed.item, "d": data})


def release(table: Table, claimed: Claim) -> None:
    """Give a key back: its call was refused or failed."""
    _write(table, claimed, {**claimed.item, "free": True})


def _write(table: Table, claimed: Claim, item: Plain) -> None:
    try:
        table.replace(claimed.where, item, {VERSION: claimed.version})
    except ConflictError:
        return  # the claim had lapsed, and whoever has it now decides
