"""Allowances: what all processes together still let an API key do.

A process takes a share of a key's allowance when it needs one, and asks again when that is used up.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from chalicelib.model.pace import Pace
from chalicelib.store.table import VERSION, ConflictError, Key, Table

_ATTEMPTS = 5


class Allowance(NamedTuple):
    """What is left of a key's allowance, as it was last read or written."""

    pace: Pace
    version: int = 0


def take(
    table: Table, tenant: str, key_id: str, known: Allowance, most: int
) -> tuple[int, Allowance]:
    """Take up to ``most`` of what is left; return how many, and what is left then.

    ``known`` saves the read where no other process took anything meanwhile.
    """
    where = Key(f"T#{tenant}#RATE#{key_id}", "ALLOWANCE")
    for _ in range(_ATTEMPTS):
        now = table.hub.now()
        granted = min(most, known.pace.left(now))
        if not granted:
            return 0, known
        pace = known.pace.taken(granted, now)
        expires_at = (now + pace.full_in(now)) // 1000 + 60  # full again: not worth a row
        item = {"f": pace.full_at, "n": pace.requests, "expires_at": expires_at}
        try:
            table.replace(where, item, {VERSION: known.version} if known.version else None)
        except ConflictError:
            known = _read(table, where, known.pace)
            continue
        return granted, Allowance(pace, known.version + 1)
    return 1, known  # with so many processes at once none is held up for it


def _read(table: Table, where: Key, pace: Pace) -> Allowance:
    found = table.get(where)
    if found is None:
        return Allowance(replace(pace, full_at=0))
    full_at = int(found["f"]) if int(found["n"]) == pace.requests else 0
    return Allowance(replace(pace, full_at=full_at), int(found[VERSION]))
