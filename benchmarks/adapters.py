"""CPU of a payload: from bytes to records, against parsing the same bytes and checking their fields."""

from __future__ import annotations

import json
from typing import NamedTuple

from benchmarks.payloads import KINDS, Kind
from benchmarks.timing import best_of
from chalicelib.model.envelope import arrived
from chalicelib.reading import read
from chalicelib.store.connections import Connection
from chalicelib.store.said import entries

SIZES = (1, 10, 100, 1000)
_ARRIVAL = 1_795_000_000_000


class Row(NamedTuple):
    """Microseconds a payload."""

    vendor: str
    kind: str
    items: int
    parsed: float
    """``json.loads`` alone."""
    checked: float
    """Parsed and checked by pydantic's compiled parser: the bare parse-and-validate."""
    records: float
    """Through the adapter to records: identity, units, ranges, times, devices."""
    stored: float
    """The same, packed as the items of the table: all that normalize computes before it writes."""


def measure(*, rounds: int = 5, seconds: float = 0.05, sizes: tuple[int, ...] = SIZES) -> list[Row]:
    """Measure each vendor's most frequent message."""
    return [_row(kind, items, rounds, seconds) for kind in KINDS for items in sizes]


def _row(kind: Kind, items: int, rounds: int, seconds: float) -> Row:
    body = kind.body(items)
    connection = Connection("con_benchmark", "t", kind.vendor, "benchmark", 0)
    envelope = arrived(connection.id, _ARRIVAL, body, kind.topic)
    assembly = read(connection, envelope).assembly
    if assembly.rejected or not assembly.segments:
        raise ValueError(f"{kind.vendor} {kind.name}: the adapter does not take this payload")
    works = (
        lambda: json.loads(body),
        lambda: kind.checks.validate_json(body),
        lambda: read(connection, envelope),
        lambda: list(entries("t", read(connection, envelope).assembly)),
    )
    taken = [each * 1e6 for each in best_of(works, rounds=rounds, seconds=seconds)]
    return Row(kind.vendor, kind.name, items, *taken)


def table(rows: list[Row]) -> str:
    """Return the rows as a text table."""
    head = (
        f"{'vendor':15}{'message':17}{'items':>6}{'json':>10}{'checked':>10}{'records':>10}{'stored':>10}"
        f"{'records/checked':>17}{'stored/checked':>16}"
    )
    lines = [head, "-" * len(head)]
    lines += [
        f"{r.vendor:15}{r.kind:17}{r.items:6}{r.parsed:10.1f}{r.checked:10.1f}{r.records:10.1f}"
        f"{r.stored:10.1f}{r.records / r.checked:16.1f}x{r.stored / r.checked:15.1f}x"
        for r in rows
    ]
    return "\n".join(["CPU of a payload in microseconds", *lines])
