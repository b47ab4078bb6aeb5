"""From the store to entities: found by id, walked as collections, each step counted against a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from chalicelib.api.sta import ids
from chalicelib.api.sta.entities import KINDS, Node, located
from chalicelib.api.sta.filters import EVER, Range
from chalicelib.api.sta.ids import Series
from chalicelib.api.sta.queries import refused
from chalicelib.model.metrics import METRICS
from chalicelib.model.state import Device, State
from chalicelib.store import devices, series
from chalicelib.store.series import Position
from chalicelib.store.table import Table

SURVEYED = 1000
"""Devices, newest first, whose metrics are the tenant's ObservedProperties."""
_STATES = 25
"""States read at a time."""
_ID_BYTES = 1900
"""An id longer than this exists nowhere, and DynamoDB refuses keys of more than 2 KB."""
_LOOKED, _SHOWN, _BEGUN, _STATE = 1, 5, 40, 10
"""What an entity looked at, an entity shown, a series begun and a state read take of a budget."""


@dataclass(slots=True)
class Budget:
    """What an answer may still cost: some 10000 entities looked at, or 2000 shown, or 250 series begun."""

    left: int = 10_000

    def spend(self, cost: int) -> None:
        """Take note of a cost."""
        self.left -= cost

    def show(self) -> None:
        """Take note of an entity shown."""
        self.spend(_SHOWN)

    @property
    def over(self) -> bool:
        """Whether all is spent."""
        return self.left <= 0


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of a collection is walked: from behind a place; for readings also a range and direction."""

    after: Any = None
    span: Range = EVER
    descending: bool = False


Step = tuple[Node | None, Any]
"""An entity, or none where there was only something to look past, and the place behind it."""


class Collection(NamedTuple):
    """Entities of one kind that can be walked; ``path`` is its address below the root."""

    kind: str
    path: str
    walk: Callable[[Window, Budget], Iterator[Step]]


@dataclass(slots=True)
class Reader:
    """Reads one tenant's entities, each device and state once."""

    table: Table
    tenant: str
    _devices: dict[str, Device | None] = field(default_factory=dict)
    _states: dict[str, State] = field(default_factory=dict)

    def find(self, kind: str, identity: str) -> Node | None:
        """Return an entity by its id, or ``None``."""
        if not 0 < len(identity.encode("utf-8", "replace")) <= _ID_BYTES:
            return None
        found: Node | None = None
        if kind == "ObservedProperty":
            found = Node(kind, metric=identity) if self._is_measured(identity) else None
        elif kind == "Datastream":
            wanted = ids.series_of(identity)
            found = self._series(wanted) if wanted else None
        elif kind == "Observation":
            reading = ids.reading_of(identity)
            found = self._reading(*reading) if reading else None
        elif device := self._device(identity):
            found = _of_device(kind, device)
        return found

    def collection(self, kind: str) -> Collection:
        """Return all entities of a kind; refuse Observations, which are too many to have an order."""
        path = KINDS[kind].plural
        match kind:
            case "Observation":
                raise refused(
                    "Observations are read in a Datastream: Datastreams('…')/Observations."
                )
            case "HistoricalLocation":
                return Collection(kind, path, _empty)
            case "ObservedProperty":
                return Collection(kind, path, self._observed_properties)
            case "Datastream":
                return Collection(kind, path, self._datastreams)
        return Collection(kind, path, lambda window, _: self._of_devices(kind, window))

    def related(self, node: Node, kind: str, path: str) -> Collection:
        """Return the entities of a kind that one entity leads to."""
        if kind == "HistoricalLocation":
            return Collection(kind, path, _empty)
        if kind == "Observation":
            return Collection(
                kind, path, lambda window, budget: self._readings(node, window, budget)
            )
        if kind == "Datastream" and node.device is None:
            metric = node.metric
            return Collection(
                kind, path, lambda window, budget: self._datastreams(window, budget, metric)
            )
        device = node.of
        if kind == "Datastream":
            return Collection(
                kind, path, lambda window, budget: self._series_of(device, window, budget)
            )
        return Collection(kind, path, lambda window, _: _one(_of_device(kind, device), window))

    def only(self, kind: str, path: str, identity: str) -> Collection:
        """Return the one entity of an id, if there is one, as a collection."""
        return Collection(kind, path, lambda window, _: _one(self.find(kind, identity), window))

    # --- by id

    def _device(self, device_id: str) -> Device | None:
        if device_id not in self._devices:
            device, _ = devices.load_device(self.table, self.tenant, device_id)
            self._devices[device_id] = device
        return self._devices[device_id]

    def _series(self, wanted: Series) -> Node | None:
        device = self._device(wanted.device_id)
        if device is None or (wanted.metric, wanted.discriminator) not in self._names(device):
            return None
        return Node("Datastream", device, wanted.metric, wanted.discriminator)

    def _reading(self, wanted: Series, at: int) -> Node | None:
        device = self._device(wanted.device_id)
        if device is None:
            return None
        node = Node("Datastream", device, wanted.metric, wanted.discriminator)
        window = Window(span=(at, at + 1), descending=True)
        found = (each for each, _ in self._readings(node, window, Budget()) if each)
        return next(found, None)

    def _is_measured(self, metric: str) -> bool:
        if metric in METRICS:
            return True
        found = devices.walk(self.table, self.tenant, None)
        return any(metric in device.metrics for device, _ in islice(found, Budget().left))

    # --- walked

    def _of_devices(self, kind: str, window: Window) -> Iterator[Step]:
        for device, place in devices.walk(self.table, self.tenant, window.after):
            yield (
                (None if kind == "Location" and not located(device) else Node(kind, device)),
                place,
            )

    def _observed_properties(self, window: Window, budget: Budget) -> Iterator[Step]:
        budget.spend(_LOOKED * SURVEYED)
        found = islice(devices.walk(self.table, self.tenant, None), SURVEYED)
        for metric in sorted({metric for device, _ in found for metric in device.metrics}):
            if window.after is None or metric > window.after:
                yield Node("ObservedProperty", metric=metric), metric

    def _datastreams(
        self, window: Window, budget: Budget, metric: str | None = None
    ) -> Iterator[Step]:
        """Yield all Datastreams, device by device; a place is behind a device, or within the next one."""
        behind, reached = window.after or (None, None)
        walked = devices.walk(self.table, self.tenant, behind)
        while some := list(islice(walked, _STATES)):
            self._remember([device for device, _ in some if _measures(device, metric)], budget)
            for device, place in some:
                if _measures(device, metric):
                    for node, name in self._series_of(device, Window(reached), budget):
                        if node is not None and metric in {None, node.metric}:
                            yield node, [behind, name]
                behind, reached = place, None
                yield None, [behind, None]

    def _series_of(self, device: Device, window: Window, budget: Budget) -> Iterator[Step]:
        if device.id not in self._states:
            budget.spend(_STATE)
        reached = window.after and (window.after[0], _pairs(window.after[1]))
        for name in self._names(device):
            if reached is None or name > reached:
                yield Node("Datastream", device, *name), list(name)

    def _readings(self, node: Node, window: Window, budget: Budget) -> Iterator[Step]:
        start, end = window.span
        if start >= end:
            return
        budget.spend(_BEGUN)
        for reading in series.readings(
            self.table,
            self.tenant,
            node.of,
            [node.metric],
            start=start,
            end=end,
            descending=window.descending,
            after=None if window.after is None else Position.of(window.after),
        ):
            mine = reading.point.discriminator == node.discriminator
            found = node._replace(kind="Observation", reading=reading) if mine else None
            yield found, reading.position

    def _names(self, device: Device) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
        """Return metric and discriminator of a device's series, sorted."""
        if device.id not in self._states:
            self._states[device.id], _ = devices.load_state(self.table, self.tenant, device.id)
        named = [(metric, tuple(apart)) for metric, *apart in self._states[device.id].latest]
        known = {metric for metric, _ in named}
        # What was dated too far ahead is in no state.
        return sorted([*named, *((each, ()) for each in device.metrics if each not in known)])

    def _remember(self, wanted: list[Device], budget: Budget) -> None:
        new = [device.id for device in wanted if device.id not in self._states]
        found = devices.states(self.table, self.tenant, new)
        budget.spend(_STATE * len(new))
        self._states |= {each: found.get(each, State()) for each in new}


def _of_device(kind: str, device: Device) -> Node | None:
    """Return the entity of a kind that shows a device, if there is one."""
    if kind == "HistoricalLocation" or (kind == "Location" and located(device) is None):
        return None
    return Node(kind, device)


def _measures(device: Device, metric: str | None) -> bool:
    return metric is None or metric in device.metrics


def _one(node: Node | None, window: Window) -> Iterator[Step]:
    if node is not None and window.after is None:
        yield node, True


def _empty(_window: Window, _budget: Budget) -> Iterator[Step]:
    return iter(())


def _pairs(value: Any) -> tuple[tuple[str, str], ...]:
    return tuple((name, each) for name, each in value)
