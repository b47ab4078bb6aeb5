"""JMESPath projections: what they make, what is none, and what would make too much."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.model import projections
from chalicelib.model.projections import ProjectionError, projected

DATA = {"device_id": "acme:d1", "value": 21.5, "rows": [{"a": 1}, {"a": 2}], "none": None}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("value", 21.5),
        ("{id: device_id, celsius: value}", {"id": "acme:d1", "celsius": 21.5}),
        ("rows[*].a", [1, 2]),
        ("sum(rows[].a)", 3),
        ("sort_by(rows, &a)[-1]", {"a": 2}),
        ("missing.deeper", None),
        ("@", DATA),
    ],
)
def test_an_expression_makes_the_data(expression: str, expected: Any) -> None:
    assert projections.problem(expression) is None
    assert projected(expression, [DATA, DATA]) == [expected, expected]


@pytest.mark.parametrize(
    "expression", ["", "a[", "a b", "unheard_of(a)", "[?unheard_of(@)]", "(" * 1000, "a" * 1025]
)
def test_what_is_no_expression_is_said(expression: str) -> None:
    assert projections.problem(expression)


def test_data_that_an_expression_does_not_fit_is_an_error() -> None:
    with pytest.raises(ProjectionError, match="jmespath: In function abs"):
        projected("abs(device_id)", [DATA])


@pytest.mark.parametrize(
    "expression",
    [
        "@" + "|join('',[@,@])" * 40,  # a text doubled again and again
        "@" + "|[@,@]" * 100,  # the same, as a list that holds itself
        "@" + "|[@,@][]" * 100,
        "@" + "|{a:@,b:@}" * 100,
        "@" + "|[@]" * 100,  # deeper than JSON may be
    ],
)
def test_an_expression_that_makes_too_much_is_given_up(expression: str) -> None:
    with pytest.raises(ProjectionError, match="too"):
        projected(expression, ["abc"])


def test_a_batch_has_not_the_budget_of_as_many_deliveries() -> None:
    large = {"rows": list(range(5000))}

    assert projected("rows[0]", [large] * 50) == [0] * 50
    with pytest.raises(ProjectionError, match="too much"):
        projected("[@,@,@]", [large] * 200)


@given(st.text(max_size=40))
def test_any_text_is_an_expression_or_has_a_problem(text: str) -> None:
    if projections.problem(text) is None:
        with suppress(ProjectionError):  # it need not fit the data, but nothing else may happen
            projected(text, [DATA])
