"""Watch how vendors' items look: learn every message type's fields, and notice when they change.

Nothing here decides about a record.  A process that knows a message type pays nothing for an item that
looks like one before; it reads a type's profile once, and again every few minutes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from chalicelib.model.shapes import FIELDS, LEARNING, Shape, Source, shape_of, signature
from chalicelib.store import profiles
from chalicelib.store.connections import Connection
from chalicelib.store.profiles import Stored
from chalicelib.store.table import ConflictError, Table
from chalicelib.vendors import Item

FRESH = 5 * 60_000
"""Milliseconds for which a profile is believed: other processes learn too."""
KINDS = 100
"""Message types watched of a connection: a type's name is the vendor's text."""
LOOKS = 300
"""Items looked at closely of one payload and message type."""
_ATTEMPTS = 10
_SIGNATURES = 1000
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")


class _Look(NamedTuple):
    """One item that may teach something."""

    source: Source
    shape: Shape
    signature: Any


@dataclass(slots=True)
class _Known:
    """What this process knows of a message type."""

    stored: Stored
    read_at: int
    latest: int | None = None
    settled: set[Any] = field(default_factory=set)
    """Signatures of items that teach nothing any more, from the arrival ``latest`` on."""


@lru_cache(maxsize=8)
def _known(_table: Table) -> dict[str, dict[str, _Known]]:
    """What this process knows, by connection and message type."""
    return {}


@lru_cache(maxsize=1024)
def name_of(kind: str) -> str:
    """Return a message kind as it stands in keys."""
    return _UNSAFE.sub("_", kind)[:40]


def watch(
    table: Table, connection: Connection, items: Iterable[tuple[int, Item]], source: Source
) -> None:
    """Look at the items of one payload, each with its number in it.

    Raises what the table raises: what was not learned is looked at again with the whole payload.
    """
    known = _known(table).setdefault(connection.id, {})
    if len(_known(table)) > 1000:
        _known(table).clear()
    found: dict[str, list[_Look]] = defaultdict(list)
    now = table.hub.now()
    for ordinal, item in items:
        mine, mark = known.get(item.kind), signature(item.body)
        if mine is not None and mark in mine.settled and _believed(mine, now, source.at):
            continue
        if mine is None and item.kind not in found and len(known) + len(found) >= KINDS:
            continue
        looks = found[item.kind]
        if len(looks) >= LOOKS or (len(looks) >= LEARNING and looks[-1].signature == mark):
            continue  # of ten thousand items of one arrival a few teach what all do
        looks.append(_Look(source._replace(ordinal=ordinal), shape_of(item.body), mark))
    for kind, looks in found.items():
        known[kind] = _learned(table, connection, kind, known.get(kind), looks)


def _believed(mine: _Known, now: int, at: int) -> bool:
    fresh = now - mine.read_at < FRESH
    return fresh and mine.latest is not None and at >= mine.latest


def _learned(
    table: Table, connection: Connection, kind: str, mine: _Known | None, looks: Sequence[_Look]
) -> _Known:
    where = (connection.tenant, connection.id)
    now, name = table.hub.now(), name_of(kind)
    if mine is None or now - mine.read_at >= FRESH:
        stored, read_at = profiles.read(table, *where, name, consistent=False), now
        settled = mine.settled if mine is not None and mine.stored == stored else set[Any]()
    else:
        stored, read_at, settled = mine.stored, mine.read_at, mine.settled
    for attempt in range(_ATTEMPTS):
        profile = stored.profile.copy()
        for look in looks:
            profile.learn(look.shape, look.source)
        if profile == stored.profile:
            break
        try:
            stored = profiles.write(
                table, *where, connection.vendor, name, Stored(profile, stored.version)
            )
        except ConflictError:
            if attempt == _ATTEMPTS - 1:
                raise
            stored, read_at = profiles.read(table, *where, name), now
            continue
        settled = set()
        break
    if len(settled) > _SIGNATURES:
        settled = set()
    settled |= {
        look.signature
        for look in looks
        if len(look.shape) < FIELDS and stored.profile.settled(look.shape)
    }
    return _Known(stored, read_at, stored.profile.latest, settled)
