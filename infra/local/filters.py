"""Filter criteria of event source mappings: which stream records a function is told of.

The part of the pattern language that the template uses.  Anything else is refused when the run
starts: a filter read wrongly would drop records silently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Test = Callable[[Any], bool]

_MISSING = object()


class UnknownPatternError(Exception):
    """A pattern uses what the local run does not know."""


def compiled(patterns: Iterable[Mapping[str, Any]]) -> Callable[[Mapping[str, Any]], bool]:
    """Return the test whether a record matches any of the patterns; without any, all match."""
    tests = [_object(pattern) for pattern in patterns]
    return lambda record: not tests or any(test(record) for test in tests)


def _object(pattern: Mapping[str, Any]) -> Test:
    if not isinstance(pattern, dict) or any(key.startswith("$") for key in pattern):
        raise UnknownPatternError(f"not a pattern: {pattern!r}")
    tests = {
        key: _leaf(value) if isinstance(value, list) else _object(value)
        for key, value in pattern.items()
    }

    def test(value: Any) -> bool:
        inside = value if isinstance(value, dict) else {}
        return all(each(inside.get(key, _MISSING)) for key, each in tests.items())

    return test


def _leaf(rules: list[Any]) -> Test:
    tests = [_rule(rule) for rule in rules]

    def test(value: Any) -> bool:
        values = value if isinstance(value, list) else [value]
        return any(each(one) for each in tests for one in values)

    return test


def _rule(rule: Any) -> Test:
    if not isinstance(rule, dict):
        if isinstance(rule, list):
            raise UnknownPatternError(f"not a rule: {rule!r}")
        return lambda value: type(value) is type(rule) and value == rule
    match list(rule.items()):
        case [("prefix", str(text))]:
            return lambda value: isinstance(value, str) and value.startswith(text)
        case [("exists", bool(wanted))]:
            return lambda value: (value is not _MISSING) is wanted
        case [("anything-but", list(refused))] if all(isinstance(each, str) for each in refused):
            return lambda value: value is not _MISSING and value not in refused
        case _:
            raise UnknownPatternError(f"unknown rule in a filter: {rule!r}")
