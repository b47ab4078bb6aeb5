"""Corrections: what a payload says today against what is stored of it, record by record.

A record that today's adapter reads otherwise has the same key, so it is corrected in place.  What it
does not read any more is withdrawn where it can be found: among the segments, facts, events and media of
the devices, kinds and hours that the payload speaks of.  An alert signal under another key stays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from chalicelib.model.assembly import Assembly
from chalicelib.model.times import HOUR, to_rfc3339
from chalicelib.model.views import event_json, measurement_json, media_json
from chalicelib.store import keys, profiles, said
from chalicelib.store.said import Entry, Provenance
from chalicelib.store.table import Key, Plain, Table, pack

_NOTHING = pack({})
"""A segment of which everything was withdrawn: its stream record tells project, a removed item would not."""
Records = dict[str, Any]
"""Records as outsiders see them, by what identifies them."""


@dataclass(slots=True)
class Correction:
    """What putting a payload through again changes.  Nothing is written until :meth:`write`."""

    changed: list[Entry] = field(default_factory=list)
    withdrawn: list[Plain] = field(default_factory=list)
    before: Records = field(default_factory=dict)
    after: Records = field(default_factory=dict)

    def differences(self) -> Iterator[tuple[str, str, Any, Any]]:
        """Yield ``added``, ``corrected`` or ``withdrawn``, the record's id, and both its forms."""
        for identity in self.before.keys() | self.after.keys():
            before, after = self.before.get(identity), self.after.get(identity)
            if before is None:
                yield "added", identity, None, after
            elif after is None:
                yield "withdrawn", identity, before, None
            elif before != after:
                yield "corrected", identity, before, after

    def write(self, table: Table, tenant: str, source: Provenance) -> None:
        """Store it.  Doing it again changes nothing."""
        for entry in self.changed:
            said.remember(table, tenant, entry, source)
        for item in self.withdrawn:
            key = Key(item["pk"], item["sk"])
            if key.sk.startswith((keys.SEGMENT, keys.FACTS)):
                table.remember(key, {"d": _NOTHING, "v": source.adapter_version}, {})
            else:
                table.delete(key)


class Stored:
    """What is stored of a stretch of history, read in few requests and kept up to date by what is written."""

    def __init__(self, table: Table, tenant: str) -> None:
        self._table = table
        self._tenant = tenant
        self._items: dict[Key, Plain | None] = {}
        self._ranges: dict[tuple[str, str, int], dict[str, list[Plain]]] = {}

    def load(self, assemblies: Iterable[Assembly]) -> None:
        """Read what several payloads say, at once."""
        wanted = [
            entry.key
            for assembly in assemblies
            for entry in said.entries(self._tenant, assembly)
            if entry.key not in self._items
        ]
        found = self._table.get_many(wanted, consistent=True)
        self._items |= {key: found.get(key) for key in wanted}

    def compare(self, assembly: Assembly, receipt_id: str) -> Correction:
        """Compare what a payload says today with what is stored of it, which is from now on as it says."""
        wanted = {entry.key: entry for entry in said.entries(self._tenant, assembly)}
        found = Correction()
        for key, entry in wanted.items():
            item = self._items[key]
            if item is not None and _same(item, entry):
                continue
            found.changed.append(entry)
            found.after |= _records(_as_item(entry))
            found.before |= _records(item) if item is not None else {}
            self._items[key] = {"p": receipt_id, **(item or {}), **_as_item(entry)}
        for item in self._of_receipt(assembly.touched, receipt_id):
            if Key(item["pk"], item["sk"]) not in wanted:
                found.withdrawn.append(item)
                found.before |= _records(item)
        return found

    def _of_receipt(
        self, touched: Iterable[tuple[str, str, int]], receipt_id: str
    ) -> Iterator[Plain]:
        """Yield what a payload first brought of what it speaks of."""
        ranges: set[tuple[str, str, int]] = set()
        for device_id, kind, hour in touched:
            pk = keys.device_pk(self._tenant, device_id)
            for prefix in (
                f"{keys.SEGMENT}{kind}#",
                f"{keys.FACTS}{kind}#",
                keys.EVENT,
                keys.MEDIA,
            ):
                ranges.add((pk, prefix, hour))
        for each in sorted(ranges):
            if each not in self._ranges:
                self._ranges[each] = self._read(*each)
            yield from self._ranges[each].pop(receipt_id, ())

    def _read(self, pk: str, prefix: str, hour: int) -> dict[str, list[Plain]]:
        low, high = (f"{prefix}{to_rfc3339(moment)}" for moment in (hour, hour + HOUR))
        found: dict[str, list[Plain]] = defaultdict(list)
        for item in self._table.walk(pk, low, high, consistent=True):
            if "p" in item and item["d"] != _NOTHING and not _noticed(item):
                found[item["p"]].append(item)
        return found


def _same(item: Plain, entry: Entry) -> bool:
    if item["d"] == entry.data or not entry.key.sk.startswith(keys.MEDIA):
        return bool(item["d"] == entry.data)
    # An item sent again brings a fresh link: the one that stands is the later one.
    known, new = (
        said.media_of(_as_item(entry) | {"d": data}).media for data in (item["d"], entry.data)
    )
    return replace(known, url=None, expires_at=None) == replace(new, url=None, expires_at=None)


def _as_item(entry: Entry) -> Plain:
    return {"pk": entry.key.pk, "sk": entry.key.sk, "d": entry.data}


def _noticed(item: Plain) -> bool:
    """Say whether an item is an event of the hub's own, which no adapter makes."""
    return item["sk"].startswith(keys.EVENT) and said.event_of(item).type == profiles.EVENT


def _records(item: Mapping[str, Any]) -> Records:
    sort_key: str = item["sk"]
    if sort_key.startswith((keys.SEGMENT, keys.FACTS)):
        segment = said.segment_of(item)
        found: Records = {}
        for point in segment.points:
            shown = measurement_json(segment.device_id, point)
            found[shown["id"]] = shown
        for fact in segment.facts:
            shown = {"device_id": segment.device_id, "fact": fact.path, "value": fact.value}
            shown["observed_at"] = to_rfc3339(fact.at)
            found[f"{segment.device_id} {fact.path} {fact.at}"] = shown
        return found
    if sort_key.startswith(keys.EVENT):
        event = event_json(said.event_of(item))
        return {event["id"]: event}
    if sort_key.startswith(keys.MEDIA):
        media = media_json(said.media_of(item))
        return {media["id"]: media}
    signal = said.signal_of(item)
    shown = {"device_id": signal.device_id, "key": signal.key, "action": signal.action}
    shown |= {"at": to_rfc3339(signal.at), "name": signal.name, "severity": signal.severity}
    return {f"{item['pk']} {sort_key}": shown | {"message": signal.message}}
