"""What follows from what was said of a device: latest values, presence, slow facts.

Pure folds.  Each is idempotent and indifferent to order: the newest ``observed_at`` wins, and among
equals the later arrival, so that duplicates and reordering of payloads end in the same state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from chalicelib.model.assembly import FactAt, Point
from chalicelib.model.metrics import kind_of
from chalicelib.model.stale import Stale
from chalicelib.model.times import DAY

NAMES_LIMIT = 1000
"""Metrics, and attributes, that one device can have: a payload with a million names must not break it."""
LOCATION = ("latitude", "longitude", "address", "city", "country", "building", "floor", "room")
_PLAIN = ("name", "model", "firmware", "parent_id")
# Evidence of presence at one moment: what a vendor states outranks what a record implies.
_IMPLIED, _STATED_ONLINE, _STATED_OFFLINE, _SILENT = range(4)


class Source(NamedTuple):
    """Through what a latest value came, and when."""

    received_at: int
    connection_id: str
    receipt_id: str
    adapter_version: int


@dataclass(frozen=True, slots=True)
class Heard:
    """One stored item as the folds see it: what it says, its moments, when it came, through what.

    ``about``: it speaks about the device (an alert signal), perhaps in its absence.
    """

    moments: tuple[int, ...]
    received_at: int
    connection_id: str
    kind: str = ""
    points: tuple[Point, ...] = ()
    facts: tuple[FactAt, ...] = ()
    about: bool = False
    receipt_id: str = ""
    adapter_version: int = 0

    @property
    def source(self) -> Source:
        """Where it came from."""
        return Source(self.received_at, self.connection_id, self.receipt_id, self.adapter_version)


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What a stored item said and says no more: its points, its facts, and through what it came."""

    received_at: int
    receipt_id: str
    points: tuple[Point, ...] = ()
    facts: tuple[FactAt, ...] = ()


@dataclass(slots=True)
class State:
    """Latest value of each metric (and discriminator), last seen, and presence with its evidence."""

    latest: dict[tuple[Any, ...], tuple[Point, Source]] = field(default_factory=dict)
    seen: int | None = None
    seen_by_signal: int | None = None
    last_heard: int | None = None
    evidence: tuple[int, int] = (-(10**15), -1)
    confirmed: dict[str, tuple[int, int]] = field(default_factory=dict)
    """When facts of the device were last said again as they stood (observed, received)."""
    stale: Stale = field(default_factory=Stale)
    """The hours that rollups do not tell."""

    @property
    def last_seen(self) -> int | None:
        """When the device last gave a sign of life; "it missed its heartbeat" is none."""
        if self.seen_by_signal is None or self.evidence == (self.seen_by_signal, _STATED_OFFLINE):
            return self.seen
        return _later(self.seen, self.seen_by_signal)

    @property
    def presence(self) -> str:
        """``online``, ``offline``, or ``unknown`` while nothing tells."""
        rank = self.evidence[1]
        if rank < 0:
            return "unknown"
        return "online" if rank in (_IMPLIED, _STATED_ONLINE) else "offline"

    def hear(self, heard: Heard, silent_after: int) -> None:
        """Fold one item in.  ``silent_after`` (ms): an older record tells nothing of the presence now."""
        horizon = heard.received_at + DAY
        for moment in heard.moments:
            if moment > horizon:
                continue
            if heard.about:
                self.seen_by_signal = _later(self.seen_by_signal, moment)
            else:
                self.seen = _later(self.seen, moment)
            if heard.received_at - moment <= silent_after:
                self.evidence = max(self.evidence, (moment, _IMPLIED))
        self.last_heard = _later(self.last_heard, heard.received_at)
        for point in heard.points:
            if point.at <= horizon:
                self._value(point, heard.source)
        for fact in heard.facts:
            if fact.path == "presence" and fact.at <= horizon:
                rank = _STATED_ONLINE if fact.value == "online" else _STATED_OFFLINE
                self.evidence = max(self.evidence, (fact.at, rank))

    def forget(self, gone: Withdrawn) -> set[tuple[Any, ...]]:
        """Drop what came from something that is said no more; return the names that then have no value."""
        lost: set[tuple[Any, ...]] = set()
        for point in gone.points:
            known = self.latest.get(point.name)
            if known and (known[0].at, known[1].receipt_id) == (point.at, gone.receipt_id):
                del self.latest[point.name]
                lost.add(point.name)
        return lost

    def silent(self) -> None:
        """Fold in that the device has been silent too long; any newer record brings it back."""
        self.evidence = max(self.evidence, (self.evidence[0], _SILENT))

    def _value(self, point: Point, source: Source) -> None:
        known = self.latest.get(point.name)
        if known is None:
            if len(self.latest) < NAMES_LIMIT:
                self.latest[point.name] = (point, source)
        elif (point.at, source) >= (known[0].at, known[1]):
            self.latest[point.name] = (point, source)


def _later(known: int | None, moment: int) -> int:
    return moment if known is None else max(known, moment)


@dataclass(slots=True)
class Device:
    """The slow facts of a device: what vendors said, what operators set, which metrics it has."""

    id: str
    connection_id: str
    registered_at: int
    facts: dict[str, tuple[Any, int, int]] = field(default_factory=dict)
    operator: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    presence: str = "unknown"

    @property
    def vendor(self) -> str:
        """The vendor's name: the part of the id before the colon."""
        return self.id.split(":", 1)[0]

    @property
    def native_id(self) -> str:
        """The vendor's own id."""
        return self.id.split(":", 1)[1]

    @property
    def name(self) -> str | None:
        """The name an operator gave, else the vendor's."""
        given: str | None = self.operator.get("name") or self.fact("name")
        return given

    @property
    def expected_interval(self) -> float | None:
        """Seconds between reports, where an operator said."""
        return self.operator.get("expected_interval_seconds")

    @property
    def labels(self) -> tuple[list[str], list[str]]:
        """The tags and the groups that operators gave it."""
        return self.operator.get("tags", []), self.operator.get("groups", [])

    def fact(self, path: str) -> Any:
        """Return what the vendor last said of a path, or ``None``."""
        return self.facts[path][0] if path in self.facts else None

    def hear(self, heard: Heard) -> None:
        """Fold one item's facts and metrics in."""
        horizon = heard.received_at + DAY
        for fact in heard.facts:
            if fact.path == "presence" or fact.at > horizon:
                continue
            known = self.facts.get(fact.path)
            if known is None and len(self.facts) >= NAMES_LIMIT:
                continue
            if known is None or (fact.at, heard.received_at) >= (known[1], known[2]):
                self.facts[fact.path] = (fact.value, fact.at, heard.received_at)
        for point in heard.points:
            self._metric(point, heard.kind)

    def recall(self, confirmed: Mapping[str, tuple[int, int]]) -> None:
        """Take in when facts were said again since the device was written."""
        for path, moments in confirmed.items():
            if path in self.facts:
                value, *known = self.facts[path]
                at, received_at = max(moments, (known[0], known[1]))
                self.facts[path] = (value, at, received_at)

    def settle(self, stored: Mapping[str, tuple[Any, int, int]]) -> dict[str, tuple[int, int]]:
        """Put back the moments of facts that were only said again; return the later ones.

        Vendors repeat a name or a parent with every message.  The state, which is written anyway,
        keeps when; the device, which is listed and costs three times as much, is then left alone.
        """
        later: dict[str, tuple[int, int]] = {}
        for path, (value, *moments) in self.facts.items():
            known = stored.get(path)
            if known is None or known[0] != value or type(known[0]) is not type(value):
                continue
            if known[1:] < tuple(moments):
                later[path] = (moments[0], moments[1])
                self.facts[path] = known
        return later

    def forget(self, gone: Withdrawn) -> set[str]:
        """Drop the facts that stand on something that is said no more; return their paths."""
        lost: set[str] = set()
        for fact in gone.facts:
            if self.facts.get(fact.path, ())[1:] == (fact.at, gone.received_at):
                del self.facts[fact.path]
                lost.add(fact.path)
        return lost

    def _metric(self, point: Point, kind: str) -> None:
        row = self.metrics.get(point.metric)
        meaning = kind_of(point.metric, point.value)
        if row is None:
            if len(self.metrics) >= NAMES_LIMIT:
                return
            row = self.metrics[point.metric] = {"unit": point.unit, "kind": meaning, "in": []}
        elif row["unit"] is None:
            row["unit"] = point.unit
        if meaning != row["kind"]:
            row["kind"] = "gauge"  # a vendor's own name that carries both booleans and numbers
        if kind not in row["in"]:
            row["in"] = sorted([*row["in"], kind])

    def as_json(self, last_seen: str | None) -> dict[str, Any]:
        """Return the device as the API and deliveries show it."""
        said = {path: self.fact(path) for path in _PLAIN}
        location = {name: self.fact(f"location.{name}") for name in LOCATION}
        location |= {k: v for k, v in self.operator.get("location", {}).items() if k in LOCATION}
        attributes = {
            path.removeprefix("attributes."): value
            for path, (value, _, _) in sorted(self.facts.items())
            if path.startswith("attributes.") and value is not None
        }
        return {
            "id": self.id,
            "vendor": self.vendor,
            "connection_id": self.connection_id,
            "native_id": self.native_id,
            "parent_id": said["parent_id"],
            "name": self.name,
            "model": said["model"],
            "firmware": said["firmware"],
            "location": location,
            "tags": self.labels[0],
            "groups": self.labels[1],
            "presence": self.presence,
            "last_seen_at": last_seen,
            "expected_interval_seconds": self.expected_interval,
            "metrics": {
                metric: {"unit": row["unit"], "kind": row["kind"]}
                for metric, row in sorted(self.metrics.items())
            },
            "attributes": attributes,
        }
