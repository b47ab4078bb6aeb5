"""Tallies: how many items of a connection came, what became of them, how late they were.

A process counts in memory and adds what it has to the hour's item, at most once a minute a connection.
The figures are for operators: a redelivery counts again, and what a process had not yet added when it
ended is lost.  They never delay or fail a payload.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Lock
from typing import NamedTuple

from chalicelib import telemetry
from chalicelib.model.times import DAY, HOUR
from chalicelib.store import keys
from chalicelib.store.table import Plain, Table

EVERY = 60_000
"""Milliseconds between two writes of one process for one connection."""
RETENTION = 30 * DAY
OUTCOMES = ("accepted", "duplicate", "quarantined", "unknown")
OTHER = "other"
"""All message types that the adapter does not model: their names are the vendor's text."""
_FINE = 8
"""Buckets an octave: a delay is known within a twentieth."""
_NAMES = 150
"""Numbers of one write: its expression may have 4 KB."""


class Counted(NamedTuple):
    """Items that count alike: their kind, what became of them, the buckets of their delays.

    ``late`` is ``None`` where the vendor gave no time; ``early`` is 0 where it was not ahead of ours.
    """

    kind: str
    outcome: str
    late: int | None
    early: int


@dataclass(slots=True)
class Tally:
    """What was counted of a connection and not yet written."""

    numbers: Counter[str] = field(default_factory=Counter)
    received: int = 0
    seen: dict[str, int] = field(default_factory=dict)

    def count(self, item: Counted, number: int, received_at: int) -> None:
        """Count a number of items."""
        self.numbers[f"n.{item.outcome}"] += number
        self.received = max(self.received, received_at)
        self.seen[item.kind] = max(received_at, self.seen.get(item.kind, 0))
        if item.late is not None:
            self.numbers[f"l.{item.kind}.{item.late}"] += number
        if item.early:
            self.numbers[f"k.{item.kind}.{item.early}"] += number


@dataclass(slots=True)
class _Open:
    tallies: dict[tuple[str, str], Tally] = field(default_factory=dict)
    written: dict[tuple[str, str], int] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)


@lru_cache(maxsize=8)
def _open(_table: Table) -> _Open:
    """What this process has counted."""
    return _Open()


def count(
    table: Table,
    tenant: str,
    connection_id: str,
    received_at: int,
    counted: Mapping[Counted, int],
) -> None:
    """Count the items of one payload, in memory."""
    known = _open(table)
    with known.lock:
        tally = known.tallies.setdefault((tenant, connection_id), Tally())
        for item, number in counted.items():
            tally.count(item, number, received_at)


def write_due(table: Table, *, all_of_them: bool = False) -> None:
    """Write what was counted of connections of which nothing was written for a minute.  Never fails."""
    known, now = _open(table), table.hub.now()
    with known.lock:
        due = [
            where
            for where in known.tallies
            if all_of_them or now - known.written.get(where, 0) >= EVERY
        ]
        taken = {where: known.tallies.pop(where) for where in due}
        if len(known.written) > 10_000:
            known.written.clear()
        known.written |= dict.fromkeys(due, now)
    for (tenant, connection_id), tally in taken.items():
        try:
            _write(table, tenant, connection_id, tally, now)
        except Exception:  # noqa: BLE001 - figures for operators, no reason to receive a payload again
            telemetry.logger().exception("tally.lost", extra={"connection_id": connection_id})


def _write(table: Table, tenant: str, connection_id: str, tally: Tally, now: int) -> None:
    latest: Plain = {"at": tally.received}
    latest |= {f"s.{kind}": at for kind, at in tally.seen.items()}
    if not table.hub.config.keep_all:
        latest["expires_at"] = (now + RETENTION) // 1000
    numbers = list(tally.numbers.items())
    for start in range(0, len(numbers), _NAMES):
        part = dict(numbers[start : start + _NAMES])
        table.add(keys.hour(tenant, connection_id, now), part, latest)


# --- reading -------------------------------------------------------------------------------------


@dataclass(slots=True)
class Delays:
    """How late items came: counts by bucket of their delay, and of how far they came from the future."""

    late: Counter[int] = field(default_factory=Counter)
    early: Counter[int] = field(default_factory=Counter)

    def late_at(self, share: float) -> float | None:
        """Return the delay in seconds that a share of the items did not exceed, about."""
        return _quantile(self.late, share, self.late.total())

    def ahead_at(self, share: float) -> float | None:
        """Return how many seconds ahead of arrival a share of the items were at most, about."""
        return _quantile(self.early, share, self.late.total())


@dataclass(slots=True)
class Figures:
    """What was counted of a connection."""

    received: int | None = None
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    lately: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    """The counts of the newest hour that has any."""
    seen: dict[str, int] = field(default_factory=dict)
    delays: dict[str, Delays] = field(default_factory=dict)


def figures(table: Table, tenant: str, connection_id: str, now: int) -> Figures:
    """Return what was counted in the last 24 hours, and when anything came last."""
    pk = keys.connection_pk(tenant, connection_id)
    end = f"{keys.HOUR}~"
    newest, _ = table.query(pk, keys.HOUR, end, descending=True, limit=1, consistent=True)
    found = Figures()
    if not newest:
        return found
    since = keys.hour(tenant, connection_id, now - DAY + HOUR).sk
    rows = list(table.walk(pk, since, end, consistent=True))
    for row in [*newest, *rows]:
        found.received = max(row["at"], found.received or 0)
        for name, value in row.items():
            if name.startswith("s."):
                found.seen[name[2:]] = max(value, found.seen.get(name[2:], 0))
    for row in rows:
        hour = {outcome: row.get(f"n.{outcome}", 0) for outcome in OUTCOMES}
        if any(hour.values()):
            found.lately = hour
        for outcome, number in hour.items():
            found.counts[outcome] += number
        _add_delays(found.delays, row)
    return found


def _add_delays(delays: dict[str, Delays], row: Mapping[str, object]) -> None:
    for name, number in row.items():
        if name.startswith(("l.", "k.")) and isinstance(number, int):
            kind, _, where = name[2:].rpartition(".")
            mine = delays.setdefault(kind, Delays())
            (mine.late if name[0] == "l" else mine.early)[int(where)] += number


def together(delays: Iterable[Delays]) -> Delays:
    """Return the delays of all message types as one."""
    found = Delays()
    for each in delays:
        found.late += each.late
        found.early += each.early
    return found


def bucket(milliseconds: int) -> int:
    """Return the bucket of a delay, 0 for none."""
    return (milliseconds**_FINE).bit_length() if milliseconds > 0 else 0


def _quantile(buckets: Mapping[int, int], share: float, total: int) -> float | None:
    """Return the middle of the bucket that holds a quantile; what is in no bucket is 0."""
    if not total:
        return None
    rank = max(1, math.ceil(share * total)) - (total - sum(buckets.values()))
    for each in sorted(buckets):
        rank_before, rank = rank, rank - buckets[each]
        if rank_before > 0 >= rank:
            return round(2 ** ((each - 0.5) / _FINE) / 1000, 3) if each else 0.0
    return 0.0
