from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.model import cloudevents
from chalicelib.model.matching import facts_of, matches, problems


def measurement(metric: str, value: Any) -> Any:
    data = {"metric": metric, "value": value}
    return cloudevents.about_device(
        "measurement.recorded", "id", "haltian:tuid.1", "con_a", at=0, data=data
    )


def alert(severity: str) -> Any:
    data = {"severity": severity}
    return cloudevents.about_device("alert.raised", "id", "relayr:d", "con_b", at=0, data=data)


def occurred(kind: str) -> Any:
    data = {"type": kind}
    return cloudevents.about_device("event.occurred", "id", "relayr:d", "con_b", at=0, data=data)


WARM = facts_of(measurement("temperature", 21.5), tags=("roof", "north"), groups=("site-a",))
TEST = facts_of(cloudevents.test_event("int_a", 0))


@pytest.mark.parametrize(
    ("rules", "facts", "expected"),
    [
        ({}, WARM, True),
        ({}, TEST, True),
        ({"vendors": ["haltian"]}, WARM, True),
        ({"vendors": ["relayr", "haltian"]}, WARM, True),
        ({"vendors": ["relayr"]}, WARM, False),
        ({"vendors": ["haltian"], "metrics": ["occupied"]}, WARM, False),
        ({"vendors": ["*"]}, TEST, False),
        ({"connections": ["con_a"]}, WARM, True),
        ({"devices": ["haltian:*"]}, WARM, True),
        ({"devices": ["haltian:tuid"]}, WARM, False),
        ({"devices": ["*tuid*1"]}, WARM, True),
        ({"devices": ["haltian:tuid?1"]}, WARM, False),
        ({"devices": ["haltian:tuid[.]1"]}, WARM, False),
        ({"tags": ["roof"]}, WARM, True),
        ({"tags": ["cellar", "nor*"]}, WARM, True),
        ({"tags": ["cellar"]}, WARM, False),
        ({"groups": ["site-*"]}, WARM, True),
        ({"types": ["measurement.*"]}, WARM, True),
        ({"types": ["alert.*"]}, WARM, False),
        ({"types": ["integration.test"]}, TEST, True),
        ({"event_types": ["*"]}, WARM, False),
        ({"event_types": ["haltian.*"]}, facts_of(occurred("haltian.99")), True),
        ({"event_types": ["haltian.*"]}, facts_of(occurred("relayr.log")), False),
        ({"metrics": ["temp*"]}, WARM, True),
        ({"metrics": ["*"]}, facts_of(alert("major")), False),
        ({"severities": ["major", "critical"]}, facts_of(alert("major")), True),
        ({"severities": ["critical"]}, facts_of(alert("major")), False),
        ({"severities": ["*"]}, WARM, False),
    ],
)
def test_arrays_or_keys_and(rules: Any, facts: Any, *, expected: bool) -> None:
    assert matches(rules, facts) is expected


def condition(operator: str, value: Any, metric: str = "temperature") -> dict[str, Any]:
    return {"metric": metric, "op": operator, "value": value}


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([condition("<", 22)], True),
        ([condition("<", 21.5)], False),
        ([condition("<=", 21.5)], True),
        ([condition(">", 21.5)], False),
        ([condition(">=", 21.5)], True),
        ([condition("==", 21.5)], True),
        ([condition("!=", 21.5)], False),
        ([condition(">", 20), condition("<", 22)], True),
        ([condition(">", 20), condition("<", 21)], False),
        ([condition(">", 20), condition(">", 60, "relative_humidity")], True),
        ([condition(">", 60, "relative_humidity")], False),
        ([condition(">", 20, "temp*")], True),
    ],
)
def test_conditions_on_the_records_own_metric_must_all_hold(
    conditions: Any, *, expected: bool
) -> None:
    assert matches({"conditions": conditions}, WARM) is expected


def test_a_condition_on_a_boolean() -> None:
    facts = facts_of(measurement("occupied", value=True))

    assert matches({"conditions": [condition("==", value=True, metric="occupied")]}, facts)
    assert not matches({"conditions": [condition("==", value=False, metric="occupied")]}, facts)


@given(
    st.lists(st.text("ab.*", max_size=4), min_size=1, max_size=6).map("*".join),
    st.text("ab.", max_size=12),
)
def test_a_star_is_any_text_and_all_else_is_literal(pattern: str, text: str) -> None:
    expression = ".*".join(re.escape(piece) for piece in pattern.split("*"))

    got = matches({"vendors": [pattern]}, {"vendors": (text,)})

    assert got is bool(re.fullmatch(expression, text))


def test_many_stars_on_a_long_text_are_no_burden() -> None:
    assert not matches({"vendors": ["*a" * 400 + "b"]}, {"vendors": ("a" * 5000,)})


@pytest.mark.parametrize(
    ("rules", "pointers"),
    [
        ({}, []),
        ({"vendors": ["haltian"], "conditions": [condition("<", 1)]}, []),
        ([], [""]),
        ({"vendor": ["haltian"]}, ["/vendor"]),
        ({"a/b": ["x"]}, ["/a~1b"]),
        ({"vendors": []}, ["/vendors"]),
        ({"vendors": "haltian"}, ["/vendors"]),
        ({"vendors": None}, ["/vendors"]),
        ({"vendors": ["ok", 1, ""]}, ["/vendors/1", "/vendors/2"]),
        ({"conditions": [{"metric": "a"}]}, ["/conditions/0"]),
        ({"conditions": [condition("=~", 1)]}, ["/conditions/0"]),
        ({"conditions": [condition("<", "1")]}, ["/conditions/0"]),
        ({"conditions": [condition("<", None)]}, ["/conditions/0"]),
        ({"conditions": [condition("<", 1, "")]}, ["/conditions/0"]),
        ({"conditions": [{**condition("<", 1), "op": []}]}, ["/conditions/0"]),
    ],
)
def test_what_is_no_filter_is_said_where(rules: Any, pointers: list[str]) -> None:
    assert [pointer for pointer, _ in problems(rules)] == pointers
