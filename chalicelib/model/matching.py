"""Does an integration's filter match a change?

Arrays OR, the filter's keys AND, ``*`` anywhere in a value stands for any text, everything else is
literal and anchored.  A key that the record lacks does not match; ``{}`` matches all.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from chalicelib.model.cloudevents import CloudEvent
from chalicelib.model.digests import canonical

KEYS = (
    "vendors",
    "connections",
    "devices",
    "tags",
    "groups",
    "types",
    "event_types",
    "metrics",
    "severities",
)
"""The filter keys that hold a list of patterns; beside them only ``conditions``."""
LABELS = ("tags", "groups")
"""The keys that ask what operators said of the device, which no record carries."""
OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_CONDITION = {"metric", "op", "value"}
_LONGEST_LIST = 1000
_LONGEST_PATTERN = 1024
Facts = Mapping[str, Any]
"""What a filter can ask about: for each key of :data:`KEYS` the record's texts, and its ``value``."""
Matcher = Callable[[Facts], bool]


def facts_of(event: CloudEvent, tags: Sequence[str] = (), groups: Sequence[str] = ()) -> Facts:
    """Return what a filter can ask about an event.  Tags and groups are the device's."""
    kind, data = event["type"], event["data"]
    facts: dict[str, Any] = {"types": (kind,), "tags": tags, "groups": groups}
    source = event["source"].split("/")
    if source[1] == "vendors":
        facts |= {"vendors": (source[2],), "connections": (source[4],)}
        facts["devices"] = (event["subject"],)
    if kind.startswith("measurement."):
        facts |= {"metrics": (data["metric"],), "value": data["value"]}
    elif kind.startswith("alert."):
        facts["severities"] = (data["severity"],)
    elif kind in {"event.occurred", "vendor.schema_drift"}:
        facts["event_types"] = (data["type"],)
    elif kind.startswith("device."):
        facts |= {"tags": data["tags"], "groups": data["groups"]}
    return facts


def matches(rules: Mapping[str, Any], facts: Facts) -> bool:
    """Say whether a filter matches."""
    return _cached(canonical(rules))(facts)


def asks_for_labels(rules: Mapping[str, Any]) -> bool:
    """Say whether a filter asks for the device's tags or groups."""
    return any(key in rules for key in LABELS)


def compiled(rules: Mapping[str, Any]) -> Matcher:
    """Return a filter as a function, its patterns read once."""
    tests = [_any_of(key, rules[key]) for key in KEYS if key in rules]
    if "conditions" in rules:
        tests.append(_conditions(rules["conditions"]))
    return lambda facts: all(test(facts) for test in tests)


def possible(rules: Mapping[str, Any], known: Facts) -> bool:
    """Say whether a record of which only these facts are known may match.

    Whoever reads records back need not read those that cannot.  An empty fact is one that the record lacks.
    """
    tests = {key: rules[key] for key in KEYS if key in rules and key in known}
    if "conditions" in rules and "metrics" in known:
        named = [condition["metric"] for condition in rules["conditions"]]
        if not _any_of("metrics", named)(known):
            return False
    return compiled(tests)(known)


def literal(rules: Mapping[str, Any], key: str) -> list[str] | None:
    """Return the only values of a key that can match, where the filter names them without ``*``."""
    values: list[str] | None = rules.get(key)
    if values is None or any("*" in value for value in values):
        return None
    return sorted(set(values))


def problems(rules: Any) -> list[tuple[str, str]]:
    """Return what is wrong with a filter: JSON pointers within it, and why."""
    if not isinstance(rules, dict):
        return [("", "must be an object")]
    found: list[tuple[str, str]] = []
    for key, values in rules.items():
        where = f"/{key.replace('~', '~0').replace('/', '~1')}"
        if key not in KEYS and key != "conditions":
            found.append((where, "unknown filter key"))
        elif not isinstance(values, list) or not values:
            found.append((where, "must be a list with at least one entry"))
        elif len(values) > _LONGEST_LIST:
            found.append((where, f"must have at most {_LONGEST_LIST} entries"))
        else:
            wrong = _wrong_condition if key == "conditions" else _wrong_pattern
            found += [
                (f"{where}/{place}", detail)
                for place, value in enumerate(values)
                if (detail := wrong(value)) is not None
            ]
    return found


@lru_cache(maxsize=1024)
def _cached(text: str) -> Matcher:
    return compiled(json.loads(text))


def _any_of(key: str, patterns: Iterable[str]) -> Matcher:
    plain = frozenset(p for p in patterns if "*" not in p)
    globs = tuple(p.split("*") for p in patterns if "*" in p)

    def test(facts: Facts) -> bool:
        return any(v in plain or any(_glob(g, v) for g in globs) for v in facts.get(key, ()))

    return test


def _glob(pieces: list[str], text: str) -> bool:
    """Match by searching each literal piece in turn: linear, where a regular expression backtracks."""
    first, *middle, last = pieces
    if len(text) < len(first) + len(last):
        return False
    if not (text.startswith(first) and text.endswith(last)):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in middle:
        at = text.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return True


def _conditions(conditions: Iterable[Mapping[str, Any]]) -> Matcher:
    """Conditions that name the record's metric must all hold, and one at least must name it."""
    rows = [(_any_of("metrics", [c["metric"]]), OPERATORS[c["op"]], c["value"]) for c in conditions]

    def test(facts: Facts) -> bool:
        value = facts.get("value")
        named = [(compare, wanted) for names, compare, wanted in rows if names(facts)]
        return bool(named) and all(compare(value, wanted) for compare, wanted in named)

    return test


def _wrong_pattern(value: Any) -> str | None:
    if not isinstance(value, str) or not value:
        return "must be a text"
    return "is too long" if len(value) > _LONGEST_PATTERN else None


def _wrong_condition(value: Any) -> str | None:
    if not isinstance(value, dict) or set(value) != _CONDITION:
        return "must have exactly metric, op and value"
    if (detail := _wrong_pattern(value["metric"])) is not None:
        return f"metric {detail}"
    if not isinstance(value["op"], str) or value["op"] not in OPERATORS:
        return f"op must be one of {' '.join(OPERATORS)}"
    return (
        None
        if isinstance(value["value"], bool | int | float)
        else "value must be a number or a boolean"
    )


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter ready to be asked, and whether it needs the device's labels."""

    matches: Matcher
    labels: bool

    @classmethod
    def of(cls, rules: Mapping[str, Any]) -> Filter:
        """Read a filter."""
        return cls(compiled(rules), asks_for_labels(rules))
