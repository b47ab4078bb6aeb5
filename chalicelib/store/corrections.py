"""Corrections: what today's reading of an archived payload changes of what is stored, record by record.

A payload is written into a :class:`Draft`, which is compared with the table.  So a correction writes by
the same code as normalize does, and a dry run goes the same way and stops before the writing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from chalicelib.model import views
from chalicelib.model.assembly import Assembly
from chalicelib.model.digests import digest
from chalicelib.model.receipts import arrival_of
from chalicelib.model.times import to_rfc3339
from chalicelib.store import keys, said
from chalicelib.store.listing import within
from chalicelib.store.said import Provenance
from chalicelib.store.table import LATEST, Key, Plain, Table

_READING = "w"
_PAGE = 500
_DEVICES = 25


class Change(NamedTuple):
    """One record as it was and as it is to be; ``None`` where there is none."""

    id: str
    before: Plain | None
    after: Plain | None

    @property
    def kind(self) -> str:
        """``recorded``, ``withdrawn`` or ``corrected``."""
        if self.before is None:
            return "recorded"
        return "withdrawn" if self.after is None else "corrected"


class Draft(Table):
    """A table that only notes what would be written."""

    def __init__(self, table: Table) -> None:
        super().__init__(table.hub)
        self.rows: dict[Key, tuple[Plain, Plain]] = {}
        """What would be remembered: what replaces, and what is kept from the first writing."""
        self.marks: list[Key] = []

    def remember(self, key: Key, always: Plain, once: Plain) -> bool:
        """Note what a vendor said."""
        self.rows[key] = always, once
        return False

    def put(self, key: Key, item: Plain) -> None:  # noqa: ARG002 - a marker holds nothing
        """Note the marker of a month."""
        self.marks.append(key)


@dataclass(slots=True)
class Correction:
    """What is to be written of one payload, and what that changes."""

    rows: list[tuple[Key, Plain, Plain]] = field(default_factory=list)
    marks: list[Key] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    kept: int = 0
    """Stored records that the payload brought and still brings."""


def drafted(table: Table, tenant: str, assembly: Assembly, source: Provenance) -> Draft:
    """Return what a payload's records would write."""
    draft = Draft(table)
    said.write(draft, tenant, assembly, source)
    return draft


def compare(
    table: Table, tenant: str, assembly: Assembly, source: Provenance, walked_from: int
) -> Correction:
    """Return what writing a payload's records now would change.  Reads them all, writes nothing.

    Payloads from ``walked_from`` until before this one are taken to be written already.
    """
    draft = drafted(table, tenant, assembly, source)
    found = Correction(marks=draft.marks)
    stored = table.get_many(draft.rows, consistent=True)
    for key, (always, once) in draft.rows.items():
        before = stored.get(key)
        if before is None:
            found.rows.append((key, always, once))
            found.changes += _changes(None, _item(key, always))
            continue
        if before["c"] != source.connection_id:
            continue  # another connection said it first: that one's settings decide
        if before["p"] == source.receipt_id and _READING in before:
            found.kept += len(records_of(before))
        if before.get(LATEST, 0) > always.get(LATEST, 0):
            continue  # said again later
        found.changes += _changes(before, _item(key, always))
        if source.receipt_id < before["p"] or _unsaid(before, walked_from, source):
            found.rows.append((key, {**always, **once}, {}))  # the first arrival after all
        elif any(before.get(name) != value for name, value in always.items()):
            found.rows.append((key, always, once))
    return found


def apply(table: Table, correction: Correction) -> None:
    """Write what a correction writes.  Doing it again changes nothing."""
    if not correction.rows:
        return
    for marker in correction.marks:
        if marker not in table.marked:
            table.put(marker, {})
            table.marked.add(marker)
    for key, always, once in correction.rows:
        table.remember(key, always, once)


def records_of(item: Plain) -> dict[str, Plain]:
    """Return the records that an item says, by their ids."""
    sort_key: str = item["sk"]
    if sort_key.startswith((keys.SEGMENT, keys.FACTS)):
        segment = said.segment_of(item)
        rows = [views.measurement_json(segment.device_id, point) for point in segment.points]
        for fact in segment.facts:
            identity = digest("fact", segment.device_id, fact.path, fact.at)
            row = {"device_id": segment.device_id, "path": fact.path, "value": fact.value}
            rows.append({"id": identity, **row, "observed_at": to_rfc3339(fact.at)})
    elif sort_key.startswith(keys.EVENT):
        rows = [views.event_json(said.event_of(item))]
    elif sort_key.startswith(keys.MEDIA):
        rows = [views.media_json(said.media_of(item))]
    else:
        signal = said.signal_of(item)
        identity = digest("signal", signal.device_id, sort_key)
        rows = [{"id": identity, **views.signal_json(signal)}]
    return {row["id"]: row for row in rows}


def brought(item: Plain, connection_id: str, start: int, end: int) -> bool:
    """Say whether a payload brought an item through a connection from ``start`` until before ``end``.

    What operators said, and what the hub noticed itself, no payload brought.
    """
    came = _READING in item and item["c"] == connection_id
    return came and start <= arrival_of(item["p"]) < end


def _unsaid(before: Plain, walked_from: int, source: Provenance) -> bool:
    """Say whether the payload that brought an item was read before this one, and does not say it now."""
    walked = walked_from <= arrival_of(before["p"]) and before["p"] < source.receipt_id
    return walked and before.get(_READING, source.reading) != source.reading


def read_as(item: Plain, reading: str) -> bool:
    """Say whether an item was made by this reading of a payload."""
    return bool(item[_READING] == reading)


def said_of_devices(
    table: Table, tenant: str, vendor: str, place: Plain
) -> tuple[list[Plain], Plain | None]:
    """Return some of all that was said of a vendor's devices, and the place where the rest begins.

    The first place is ``{}``; ``None`` means that this was all.
    """
    waiting: list[str] = place.get("devices", [])
    if not waiting:
        page = within(
            table,
            keys.listing(tenant, keys.DEVICE),
            "",
            "",
            limit=_DEVICES,
            after=place.get("after"),
            index="by_time",
            descending=True,
            keep=lambda item: keys.device_of(item["pk"])[1].startswith(f"{vendor}:"),
        )
        following = {"devices": [item["pk"] for item in page.items], "after": page.after}
        return [], _or_end(following)
    pk, last = waiting[0], place.get("last")
    items, more = table.query(
        pk,
        keys.MEDIA,
        f"{keys.SIGNAL}~",
        limit=_PAGE,
        after={"pk": pk, "sk": last} if last else None,
        consistent=True,
    )
    if more is not None:
        return items, {**place, "last": more["sk"]}
    return items, _or_end({"devices": waiting[1:], "after": place.get("after")})


def _or_end(place: Plain) -> Plain | None:
    return place if place["devices"] or place["after"] else None


def withdraw(table: Table, item: Plain) -> None:
    """Remove what no payload says any more.  Removing it again is fine."""
    table.delete(Key(item["pk"], item["sk"]))


def _item(key: Key, always: Plain) -> Plain:
    return {"pk": key.pk, "sk": key.sk, **always}


def _changes(before: Plain | None, after: Plain) -> list[Change]:
    if before is not None and before["d"] == after["d"]:
        return []
    was, now = records_of(before) if before is not None else {}, records_of(after)
    return [
        Change(identity, was.get(identity), now.get(identity))
        for identity in dict.fromkeys((*now, *was))
        if was.get(identity) != now.get(identity)
    ]
