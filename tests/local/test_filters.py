"""Event patterns: read as Lambda reads them, or refused."""

from __future__ import annotations

from typing import Any

import pytest

from infra.local import filters, template
from infra.local.template import EventSource

RECORD = {
    "eventName": "INSERT",
    "dynamodb": {"Keys": {"sk": {"S": "M#1"}}, "n": 5, "l": ["a", "b"]},
}


@pytest.mark.parametrize(
    "pattern",
    [
        {},
        {"eventName": ["INSERT", "MODIFY"]},
        {"dynamodb": {"Keys": {"sk": {"S": ["X", {"prefix": "M#"}]}}}},
        {"dynamodb": {"n": [5]}},
        {"dynamodb": {"l": ["b"]}},
        {"dynamodb": {"OldImage": {"sk": {"S": [{"exists": False}]}}}},
        {"dynamodb": {"Keys": {"sk": {"S": [{"exists": True}]}}}},
        {"eventName": [{"anything-but": ["REMOVE"]}]},
    ],
)
def test_a_pattern_that_matches(pattern: dict[str, Any]) -> None:
    assert filters.compiled([pattern])(RECORD)
    assert filters.compiled([{"eventName": ["REMOVE"]}, pattern])(RECORD)


@pytest.mark.parametrize(
    "pattern",
    [
        {"eventName": ["REMOVE"]},
        {"eventName": ["insert"]},
        {"eventName": ["INSERT"], "dynamodb": {"Keys": {"sk": {"S": [{"prefix": "X"}]}}}},
        {"dynamodb": {"n": ["5"]}},
        {"dynamodb": {"n": [{"prefix": "5"}]}},
        {"dynamodb": {"missing": ["x"]}},
        {"dynamodb": {"missing": [None]}},
        {"dynamodb": {"n": [True]}},
        {"eventName": {"S": ["INSERT"]}},
        {"eventName": [{"anything-but": ["INSERT"]}]},
        {"missing": [{"anything-but": ["INSERT"]}]},
    ],
)
def test_a_pattern_that_does_not(pattern: dict[str, Any]) -> None:
    assert not filters.compiled([pattern])(RECORD)


@pytest.mark.parametrize(
    "pattern",
    [
        {"eventName": [{"suffix": "T"}]},
        {"eventName": [{"numeric": [">", 1]}]},
        {"eventName": [{"prefix": "I", "suffix": "T"}]},
        {"eventName": [["INSERT"]]},
        {"eventName": "INSERT"},
        {"$or": [{"eventName": ["INSERT"]}]},
    ],
)
def test_what_is_not_known_is_refused_at_once(pattern: dict[str, Any]) -> None:
    with pytest.raises(filters.UnknownPatternError):
        filters.compiled([pattern])


def test_the_template_s_filters_are_known() -> None:
    for function in ("Project", "Dispatch"):
        test = filters.compiled(template.load().event_source(function, EventSource()).filters)
        assert test(RECORD)


@pytest.mark.parametrize(
    ("sort_key", "wanted"),
    [("P#measurements", {"Project"}), ("H#2026-11-21T04", set()), ("STATE", set())],
)
def test_what_is_noticed_of_a_connection_starts_only_who_reads_it(
    sort_key: str, wanted: set[str]
) -> None:
    record = {"eventName": "MODIFY", "dynamodb": {"Keys": {"sk": {"S": sort_key}}}}
    found = {
        function
        for function in ("Project", "Dispatch")
        if filters.compiled(template.load().event_source(function, EventSource()).filters)(record)
    }

    assert found == wanted
