"""What the items of a message type look like, learned from them: fields, JSON types, and when that changes.

A profile is a fold of items.  It keeps the first arrival of every type of every field, so that the order
in which items come decides nothing about what is known; only a change that was already told cannot be
taken back.  The first items of a type teach and raise nothing.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from chalicelib.model.times import DAY, HOUR

LEARNING = 20
"""Items of a type that teach, before a difference is a change."""
PERIOD = HOUR
"""A field that stood in all items that taught is missing when none had it for so long ..."""
LACKING = 20
"""... or when none of so many payloads had it."""
FIELDS = 200
"""Fields kept of a message type: names made of data must not grow without end."""
DEPTH = 8
PATH_LIMIT = 255
CHANGES = 50
"""Changes kept to be shown; those of the day are kept in any case."""
ROOT = "$"
_TYPES: Mapping[type, str] = {
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    type(None): "null",
    dict: "object",
    list: "array",
}
_NESTED = frozenset({dict, list})
_CONTAINERS = frozenset({"object", "array"})
Shape = dict[str, frozenset[str]]
"""The JSON types of every field of an item by dotted path (``a[]`` for what stands in an array)."""


class Source(NamedTuple):
    """Where an item came from: when it arrived, in which payload, which of its items, read by what."""

    at: int
    receipt_id: str
    ordinal: int
    adapter_version: int


class Change(NamedTuple):
    """One difference from what was known, as it was told."""

    path: str
    drift: str  # new, missing, retyped
    at: int
    types: tuple[str, ...]
    before: tuple[str, ...]
    receipt_id: str
    adapter_version: int

    @property
    def day(self) -> int:
        """The day (UTC) on which it was told: at most once for each."""
        return self.at // DAY


def signature(value: Any, depth: int = DEPTH) -> Any:
    """Return what two items of one shape have in common, quickly; more signatures than shapes exist."""
    if not depth:
        return type(value)
    if isinstance(value, dict):
        inner = value.values()
        kinds = tuple(map(type, inner))
        if dict in kinds or list in kinds:
            return (
                tuple(value),
                kinds,
                tuple(signature(each, depth - 1) for each in inner if type(each) in _NESTED),
            )
        return tuple(value), kinds
    if isinstance(value, list):
        within = frozenset(map(type, value))
        if dict not in within and list not in within:
            return within
        inside = (signature(each, depth - 1) for each in value if type(each) in _NESTED)
        return within, frozenset(inside)
    return type(value)


def shape_of(body: Any) -> Shape:
    """Return the shape of an item, cut at :data:`FIELDS` fields and :data:`DEPTH` levels."""
    found: dict[str, set[str]] = {ROOT: {_TYPES[type(body)]}}
    level: list[tuple[str, Any]] = [(ROOT, body)]
    for _ in range(DEPTH):
        below: list[tuple[str, Any]] = []
        for path, value in level:
            for inner_path, inner in _children(path, value):
                if inner_path not in found:
                    if len(found) >= FIELDS or len(inner_path) > PATH_LIMIT:
                        continue
                    found[inner_path] = set()
                found[inner_path].add(_TYPES[type(inner)])
                if isinstance(inner, dict | list):
                    below.append((inner_path, inner))
        level = below
    return {path: frozenset(types) for path, types in found.items()}


def _children(path: str, value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, dict):
        prefix = "" if path == ROOT else f"{path}."
        return ((f"{prefix}{key}", inner) for key, inner in value.items())
    if isinstance(value, list):
        within = "[]" if path == ROOT else f"{path}[]"
        kinds = frozenset(map(type, value))
        if dict in kinds or list in kinds:
            return ((within, inner) for inner in value)
        return ((within, kind()) for kind in kinds)  # ten thousand numbers are one
    return ()


def parent_of(path: str) -> str | None:
    """Return the path of the object or array that holds a field."""
    if path == ROOT:
        return None
    if path.endswith("[]"):
        return path[:-2] or ROOT
    return path.rpartition(".")[0] or ROOT


@dataclass(slots=True)
class Field:
    """What is known of one field: the first arrival of each type, and whether items may lack it."""

    types: dict[str, int]
    optional: bool = False
    lacking: list[tuple[int, str]] = field(default_factory=list)
    """The earliest :data:`LACKING` payloads without it, while none with it came later."""
    missing: bool = False

    @property
    def first(self) -> int:
        """When the field was first seen."""
        return min(self.types.values())

    def lacks(self, source: Source) -> bool:
        """Note a payload without it; say whether that makes it missing."""
        payload = (source.at, source.receipt_id[-6:])
        if payload not in self.lacking:
            insort(self.lacking, payload)
            del self.lacking[LACKING:]
        (first, _), (last, _) = self.lacking[0], self.lacking[-1]
        return len(self.lacking) == LACKING or last - first >= PERIOD


@dataclass(slots=True)
class Profile:
    """What is known of the items of one message type of one connection."""

    fields: dict[str, Field] = field(default_factory=dict)
    taught: list[tuple[int, str]] = field(default_factory=list)
    """The earliest :data:`LEARNING` items: their arrivals, and names that tell them apart."""
    changes: list[Change] = field(default_factory=list)

    @property
    def learned_at(self) -> int | None:
        """The arrival of the last item that taught, or ``None``: the type is still being learned."""
        return self.taught[-1][0] if len(self.taught) == LEARNING else None

    @property
    def latest(self) -> int | None:
        """From this arrival on a known shape cannot change anything (``None``: it still may)."""
        learned = self.learned_at
        if learned is None:
            return None
        return max([learned, *(at for each in self.fields.values() for at in each.types.values())])

    def copy(self) -> Profile:
        """Return an equal profile that shares nothing."""
        fields = {
            path: Field(dict(each.types), each.optional, list(each.lacking), each.missing)
            for path, each in self.fields.items()
        }
        return Profile(fields, list(self.taught), list(self.changes))

    def settled(self, shape: Shape) -> bool:
        """Say whether items of a shape that changes nothing now never will: time decides nothing."""
        return not any(
            each.lacking and not each.missing and path not in shape
            for path, each in self.fields.items()
        )

    def learn(self, shape: Shape, source: Source) -> None:
        """Fold an item in."""
        until = self._teach(source)
        learning = self.learned_at is None or source.at <= self.learned_at
        arrived: set[str] = set()  # objects and arrays that were none before this item
        touched: list[str] = []
        for path, types in shape.items():
            if self._see(path, types, source.at, arrived):
                touched.append(path)
        if not learning:
            for path in touched:
                self._judge(path, source)
        if self.learned_at != until:
            for path in self.fields:
                self._judge(path, source)  # what came before all had taught is judged now
        if len(shape) < FIELDS:
            self._miss(shape, source, learning=learning)

    def _teach(self, source: Source) -> int | None:
        """Count an item among those that teach, if it is early enough; return until when they did."""
        until = self.learned_at
        if until is None or source.at < until:
            item = (source.at, f"{source.receipt_id[-6:]}.{source.ordinal}")
            if item not in self.taught:
                insort(self.taught, item)
                del self.taught[LEARNING:]
        return until

    def _see(self, path: str, types: frozenset[str], at: int, arrived: set[str]) -> bool:
        known = self.fields.get(path)
        if known is None:
            if len(self.fields) >= FIELDS:
                return False
            parent = parent_of(path)
            holder = self.fields.get(parent) if parent is not None else None
            # An object of this kind came before, without it: not every item has it.
            before = holder is not None and "object" in holder.types and parent not in arrived
            optional = before or path.endswith("[]")  # an array may be empty
            self.fields[path] = Field(dict.fromkeys(sorted(types), at), optional)
            if types & _CONTAINERS:
                arrived.add(path)
            return True
        added = types - known.types.keys()
        for each in sorted(types):
            known.types[each] = min(at, known.types.get(each, at))
        if added & _CONTAINERS:
            arrived.add(path)
        if known.lacking and at > known.lacking[0][0]:
            known.optional, known.lacking, known.missing = True, [], False
        return bool(added)

    def _judge(self, path: str, source: Source) -> None:
        """Tell of a field that came, or of types that it got, after the type was learned."""
        learned = self.learned_at
        if learned is None:
            return
        known = self.fields[path]
        first = known.first
        parent = parent_of(path)
        holder = self.fields.get(parent) if parent is not None else None
        for at in sorted({each for each in known.types.values() if each > learned}):
            now = tuple(sorted(t for t, since in known.types.items() if since == at))
            before = tuple(sorted(t for t, since in known.types.items() if since < at))
            if at == first and holder is not None and _came_with(holder, at):
                continue  # the object that holds it is the news
            self._tell(path, "new" if at == first else "retyped", at, now, before, source)

    def _miss(self, shape: Shape, source: Source, *, learning: bool) -> None:
        for path, known in self.fields.items():
            if known.optional or path in shape:
                continue
            if "object" not in shape.get(parent_of(path) or ROOT, ()):
                continue
            if learning:
                known.optional = True
            elif not known.missing and known.lacks(source):
                known.missing = True
                self._tell(path, "missing", source.at, (), tuple(sorted(known.types)), source)

    def _tell(
        self,
        path: str,
        drift: str,
        at: int,
        types: tuple[str, ...],
        before: tuple[str, ...],
        source: Source,
    ) -> None:
        change = Change(path, drift, at, types, before, source.receipt_id, source.adapter_version)
        same = (path, drift, change.day)
        if any((each.path, each.drift, each.day) == same for each in self.changes):
            return
        self.changes.append(change)
        newest = max(each.day for each in self.changes)
        old = [each for each in self.changes if each.day < newest]
        for each in old[: max(0, len(self.changes) - CHANGES)]:
            self.changes.remove(each)


def _came_with(holder: Field, at: int) -> bool:
    return any(holder.types.get(each) == at for each in _CONTAINERS)


# --- as plain values -----------------------------------------------------------------------------


def to_plain(profile: Profile) -> dict[str, Any]:
    """Return a profile as JSON values."""
    fields = {
        path: [each.types, int(each.optional), each.lacking, int(each.missing)]
        for path, each in profile.fields.items()
    }
    return {"f": fields, "t": profile.taught, "c": profile.changes}


def from_plain(plain: Mapping[str, Any]) -> Profile:
    """Return the profile that :func:`to_plain` wrote."""
    fields = {
        path: Field(
            dict(types), bool(optional), [(at, name) for at, name in lacking], bool(missing)
        )
        for path, (types, optional, lacking, missing) in plain["f"].items()
    }
    return Profile(fields, [(at, name) for at, name in plain["t"]], list(changes_of(plain)))


def changes_of(plain: Mapping[str, Any]) -> Iterator[Change]:
    """Yield the changes that a profile written by :func:`to_plain` tells of."""
    for path, drift, at, types, before, receipt_id, version in plain["c"]:
        yield Change(path, drift, at, tuple(types), tuple(before), receipt_id, version)
