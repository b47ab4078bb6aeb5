"""History: stored records of a range, as the events they were first told by, to be told again.

A walk goes through the tenant's events, media and alerts by their listings and through measurements device
by device, oldest first within each.  It comes in small steps, and each step says where the walk goes on, so
that work may stop after any step and be taken up elsewhere.  What the filter cannot match is not read.

Measurements come as the API shows them: of two values of one reading the one that counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from chalicelib.model import matching
from chalicelib.model.cloudevents import CloudEvent
from chalicelib.model.matching import Filter, facts_of
from chalicelib.model.state import Device
from chalicelib.model.times import from_rfc3339, to_rfc3339
from chalicelib.store import alerts, changes, devices, keys, profiles, series
from chalicelib.store.listing import Page, oldest_first, within
from chalicelib.store.series import Position
from chalicelib.store.table import Plain, Table, position

_STEP = 100
"""Items of a step at most."""
_LONGEST_ID = 1900
"""Bytes: a device with a longer id cannot be stored."""
_UNMEASURED = {"metrics": ()}
_ALERTS = ("alert.raised", "alert.acknowledged", "alert.cleared")
_PARTS: Sequence[tuple[str, Mapping[str, Any]]] = (
    ("EVENT", {"types": ("event.occurred", profiles.EVENT), "severities": (), **_UNMEASURED}),
    ("MEDIA", {"types": ("media.added",), "event_types": (), "severities": (), **_UNMEASURED}),
    ("ALERT", {"types": _ALERTS, "event_types": (), **_UNMEASURED}),
)
"""What is listed, and what a filter can know of it before it is read."""
_REGISTERED = {"types": ("device.registered",), "event_types": (), "severities": (), **_UNMEASURED}
_MEASURED = {"types": ("measurement.recorded",), "event_types": (), "severities": ()}
_PREFIXES = {"EVENT": keys.EVENT, "MEDIA": keys.MEDIA}


class Place(NamedTuple):
    """Where a walk goes on: part, target and the item behind which; within a device, the reading."""

    part: int = 0
    target: int = 0
    after: Plain | None = None
    reading: Position | None = None

    @classmethod
    def of(cls, value: Any) -> Place:
        """Read a place that went through JSON (``None``: the beginning)."""
        if value is None:
            return cls()
        part, target, after, reading = value
        return cls(part, target, after, Position.of(reading) if reading is not None else None)


class Step(NamedTuple):
    """One step: how many events it looked at, those that match, and where the walk goes on."""

    looked_at: int
    events: list[CloudEvent]
    place: Place


@dataclass(frozen=True, slots=True)
class History:
    """The records of a tenant from ``start`` until before ``end`` (ms) that a filter matches.

    ``rules`` are the filter.  ``thorough``: look at all records, also where the filter cannot match.
    """

    table: Table
    tenant: str
    rules: Mapping[str, Any]
    start: int
    end: int
    thorough: bool = False

    def walk(self, place: Place) -> Iterator[Step]:
        """Yield the steps from a place to the end."""
        if self.start >= self.end:
            return
        for number, (part, known) in enumerate(_PARTS):
            if number >= place.part and self._possible(known):
                yield from self._listed(
                    number, part, place if number == place.part else Place(number)
                )
        last = len(_PARTS)
        if self._possible(_REGISTERED) or self._possible(_MEASURED):
            yield from self._devices(place if place.part == last else Place(last))

    # --- what is listed --------------------------------------------------------------------------------

    def _listed(self, number: int, part: str, place: Place) -> Iterator[Step]:
        targets: Sequence[str | None] = [None] if self._targets is None else self._targets
        for target in range(place.target, len(targets)):
            after = place.after if target == place.target else None
            while True:
                page = self._page(part, targets[target], after)
                events = [event for item in page.items for event in self._told(part, item)]
                after = page.after
                following = Place(number, target + 1) if after is None else None
                yield self._step(events, following or Place(number, target, after))
                if after is None:
                    break

    def _page(self, part: str, device_id: str | None, after: Plain | None) -> Page:
        # An alert may be cleared long after it was raised, and is listed by its raise.
        start = None if part == "ALERT" else self.start
        if device_id is None:
            return oldest_first(
                self.table, self.tenant, part, start=start, end=self.end, limit=_STEP, after=after
            )
        if part == "ALERT":
            low, high = keys.ALERT, f"{keys.ALERT}~"
        else:
            prefix = _PREFIXES[part]
            low, high = f"{prefix}{to_rfc3339(self.start)}", f"{prefix}{to_rfc3339(self.end)}"
        pk = keys.device_pk(self.tenant, device_id)
        return within(self.table, pk, low, high, limit=_STEP, after=after)

    def _told(self, part: str, item: Plain) -> Iterator[CloudEvent]:
        if part != "ALERT":
            yield from changes.changes(None, item, None)
            return
        begun = alerts.alert_of(item).raised_at
        raised = alerts.as_raised(self.table, item) if self._within(begun) else None
        for event in changes.recalled(item, raised):
            if self._within(from_rfc3339(event["time"]) or 0):
                yield event

    # --- what is read device by device -------------------------------------------------------------------

    def _devices(self, place: Place) -> Iterator[Step]:
        reading = place.reading
        for here, behind, device in self._each_device(place):
            known = {
                "vendors": (device.vendor,),
                "devices": (device.id,),
                "tags": device.labels[0],
                "groups": device.labels[1],
            }
            new = reading is None and self._within(device.registered_at)
            if new and self._possible({**_REGISTERED, **known}):
                reading = _FIRST
                yield self._step([changes.registered(device)], here._replace(reading=reading))
            yield from self._measured(device, known, here, reading)
            yield Step(0, [], behind)
            reading = None

    def _measured(
        self, device: Device, known: Mapping[str, Any], here: Place, after: Position | None
    ) -> Iterator[Step]:
        metrics = [
            metric
            for metric in device.metrics
            if self._possible({**_MEASURED, **known, "metrics": (metric,)})
        ]
        if not metrics:
            return
        found = series.readings(
            self.table,
            self.tenant,
            device,
            metrics,
            start=self.start,
            end=self.end,
            after=after if after != _FIRST else None,
        )
        while rows := list(islice(found, _STEP)):
            events = [changes.measured(device.id, row.point, row.source) for row in rows]
            yield self._step(events, here._replace(reading=rows[-1].position))

    def _each_device(self, place: Place) -> Iterator[tuple[Place, Place, Device]]:
        """Yield each device with its place and the place behind it."""
        part = len(_PARTS)
        if self._targets is not None:
            for number in range(place.target, len(self._targets)):
                found = devices.many(self.table, self.tenant, [self._targets[number]])
                for device in found.values():
                    yield Place(part, number), Place(part, number + 1), device
            return
        here = place._replace(reading=None)
        while True:
            page = devices.devices(
                self.table, self.tenant, limit=_STEP, after=here.after, keep=lambda _: True
            )
            for item in page.items:
                behind = Place(part, 0, position(item, "by_time"))
                yield here, behind, devices.device_of(item)
                here = behind
            if page.after is None:
                return

    # --- the filter -------------------------------------------------------------------------------

    @property
    def _targets(self) -> list[str] | None:
        """The only devices that can match, where the filter names them."""
        named = None if self.thorough else matching.literal(self.rules, "devices")
        if named is None:
            return None
        return [each for each in named if len(each.encode("utf-8", "replace")) <= _LONGEST_ID]

    def _possible(self, known: Mapping[str, Any]) -> bool:
        return self.thorough or matching.possible(self.rules, known)

    def _step(self, events: Sequence[CloudEvent], place: Place) -> Step:
        wanted = Filter.of(self.rules)
        labels = {}
        if wanted.labels and events:
            subjects = {event["subject"] for event in events}
            labels = devices.labels(self.table, self.tenant, subjects)
        matching_events = [
            event
            for event in events
            if wanted.matches(facts_of(event, *labels.get(event["subject"], ((), ()))))
        ]
        return Step(len(events), matching_events, place)

    def _within(self, moment: int) -> bool:
        return self.start <= moment < self.end


_FIRST = Position(-(10**18), "", ())
"""Before any reading, but behind the device's registration."""
