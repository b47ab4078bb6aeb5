"""What vendors' items look like, learned: the same in any order, and every change told once."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.model.decode import decode
from chalicelib.model.shapes import (
    CHANGES,
    FIELDS,
    LACKING,
    LEARNING,
    PERIOD,
    Change,
    Profile,
    Source,
    from_plain,
    parent_of,
    shape_of,
    signature,
    to_plain,
)
from chalicelib.model.times import DAY, HOUR
from tests.support.mutations import anything

START = 1_795_000_000_000 - 1_795_000_000_000 % DAY
Told = list[tuple[str, str, tuple[str, ...], tuple[str, ...]]]


def learn(profile: Profile, body: Any, at: int, name: str = "x") -> None:
    profile.learn(shape_of(body), Source(at, f"rcp_{name}", 0, 1))


def taught(body: Any, number: int = LEARNING) -> Profile:
    profile = Profile()
    for n in range(number):
        learn(profile, body, START + n)
    return profile


def told(profile: Profile) -> Told:
    return [(c.path, c.drift, c.types, c.before) for c in profile.changes]


def test_a_shape_is_every_field_with_its_types() -> None:
    body = {"a": 1, "b": {"c": None, "d": [1, "x", {"e": True}]}, "f": [[1.5]], "g": []}

    assert {path: sorted(types) for path, types in shape_of(body).items()} == {
        "$": ["object"],
        "a": ["number"],
        "b": ["object"],
        "b.c": ["null"],
        "b.d": ["array"],
        "b.d[]": ["number", "object", "string"],
        "b.d[].e": ["boolean"],
        "f": ["array"],
        "f[]": ["array"],
        "f[][]": ["number"],
        "g": ["array"],
    }


def test_a_shape_is_cut_in_breadth_and_depth() -> None:
    deep: Any = 1
    for _ in range(500):
        deep = {"a": [deep]}

    assert len(shape_of({str(n): n for n in range(10_000)})) == FIELDS
    assert len(shape_of(deep)) < 20
    assert shape_of({"x" * 1000: 1}) == {"$": {"object"}}
    assert signature(deep)


@given(st.integers())
def test_items_of_one_signature_have_one_shape(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - a value, not a secret
    one = decode(json.dumps(anything(rng)).encode(), any_depth=True)
    other = decode(json.dumps(anything(rng)).encode(), any_depth=True)

    assert hash(signature(one)) == hash(signature(one))
    if signature(one) == signature(other):
        assert shape_of(one) == shape_of(other)


@pytest.mark.parametrize("number", [1, LEARNING - 1, LEARNING])
def test_what_teaches_raises_nothing(number: int) -> None:
    profile = Profile()
    for n in range(number):
        learn(profile, {"a": n % 2 or None, f"f{n}": 1}, START + n)

    assert told(profile) == []
    assert (profile.learned_at is None) == (number < LEARNING)


def test_a_new_field_is_told_once() -> None:
    profile = taught({"a": 1})
    for n in range(5):
        learn(profile, {"a": 1, "b": "x"}, START + HOUR + n)

    assert told(profile) == [("b", "new", ("string",), ())]


def test_of_a_new_object_only_its_path_is_told() -> None:
    profile = taught({"a": "text"})
    learn(profile, {"a": "text", "b": {"c": {"d": [{"e": 1}]}}}, START + HOUR)
    learn(profile, {"a": {"z": 1}}, START + HOUR + 1)

    assert told(profile) == [
        ("b", "new", ("object",), ()),
        ("a", "retyped", ("object",), ("string",)),
    ]


def test_a_field_of_another_type_is_told_once_a_day() -> None:
    profile = taught({"a": 1})
    for n, value in enumerate(("x", "y", 2, True, "z")):
        learn(profile, {"a": value}, START + HOUR + n)
    learn(profile, {"a": None}, START + DAY)

    assert told(profile) == [
        ("a", "retyped", ("string",), ("number",)),
        ("a", "retyped", ("null",), ("boolean", "number", "string")),
    ]


def test_a_field_is_missing_when_no_item_had_it_for_a_whole_period() -> None:
    profile = taught({"a": 1, "b": {"c": 1}})
    for minutes in range(0, 59, 7):
        learn(profile, {"a": 1}, START + HOUR + minutes * 60_000)
    assert told(profile) == []

    for n in range(3):
        learn(profile, {"a": 1}, START + HOUR + PERIOD + n)

    assert told(profile) == [("b", "missing", (), ("object",))]


def test_a_field_is_missing_when_many_payloads_lack_it() -> None:
    profile = taught({"a": 1, "b": {"c": 1}})
    for n in range(LACKING - 1):
        for _ in range(3):  # items of one payload count once
            learn(profile, {"a": 1}, START + HOUR + n)
    assert told(profile) == []

    for n in range(3):
        learn(profile, {"a": 1}, START + HOUR + LACKING + n)

    assert told(profile) == [("b", "missing", (), ("object",))]


def test_a_null_is_there() -> None:
    profile = taught({"a": None})
    for n in range(3):
        learn(profile, {"a": None}, START + n * PERIOD)

    assert told(profile) == []


def test_an_optional_field_never_goes_missing() -> None:
    profile = taught({"a": 1, "b": 2})
    learn(profile, {"a": 1}, START + HOUR)
    learn(profile, {"a": 1, "b": 2}, START + HOUR + 1)
    for n in range(10):
        learn(profile, {"a": 1}, START + (3 + n) * HOUR)

    assert told(profile) == []
    assert profile.fields["b"].optional


def test_a_missing_field_that_comes_back_is_optional() -> None:
    profile = taught({"a": 1, "b": 2})
    for n in range(3):
        learn(profile, {"a": 1}, START + (1 + n) * HOUR)
    learn(profile, {"a": 1, "b": 2}, START + 5 * HOUR)
    for n in range(3):
        learn(profile, {"a": 1}, START + (50 + n) * HOUR)

    assert told(profile) == [("b", "missing", (), ("number",))]


def test_a_field_that_not_all_teachers_had_is_optional() -> None:
    profile = taught({"a": 1}, LEARNING - 1)
    learn(profile, {"a": 1, "b": 2}, START + LEARNING)
    for n in range(3):
        learn(profile, {"a": 1}, START + (1 + n) * HOUR)

    assert told(profile) == []


def test_the_elements_of_an_empty_array_are_not_missing() -> None:
    profile = taught({"a": [{"b": 1}]})
    for n in range(3):
        learn(profile, {"a": []}, START + (1 + n) * HOUR)

    assert told(profile) == []


def test_names_made_of_data_come_to_an_end() -> None:
    profile = Profile()
    for n in range(1000):
        learn(profile, {f"id{n}": 1}, START + n)

    assert len(profile.fields) == FIELDS


def test_old_changes_are_forgotten_those_of_the_day_are_not() -> None:
    profile = taught({"a": 1})
    for n in range(CHANGES + 10):
        learn(profile, {"a": 1, f"b{n}": 1}, START + HOUR + n)
    assert len(profile.changes) == CHANGES + 10

    learn(profile, {"a": 1, "c": 1}, START + DAY)

    assert len(profile.changes) == CHANGES
    assert profile.changes[-1].path == "c"


def _holders(path: str) -> Iterator[str]:
    while (parent := parent_of(path)) is not None:
        yield (path := parent)


values = st.sampled_from([1, "x", None, True, [], [1], {"x": 1}, {"x": "y"}, [{"x": 1}]])
bodies = st.dictionaries(st.sampled_from("abcd"), values) | values


@given(st.lists(bodies, max_size=LEARNING), st.randoms(use_true_random=False))
def test_any_order_of_what_teaches_teaches_the_same(items: list[Any], rng: random.Random) -> None:
    numbered = list(enumerate(items))
    one, other = Profile(), Profile()
    for n, body in numbered:
        learn(one, body, START + n, str(n))
    rng.shuffle(numbered)
    for n, body in [*numbered, *numbered[:5]]:
        learn(other, body, START + n, str(n))

    assert one == other


@given(st.lists(bodies, min_size=30, max_size=60), st.randoms(use_true_random=False))
def test_any_order_of_items_knows_the_same_and_tells_no_less(
    items: list[Any], rng: random.Random
) -> None:
    numbered = list(enumerate(items))
    one, other = Profile(), Profile()
    for n, body in numbered:
        learn(one, body, START + n, str(n))
    rng.shuffle(numbered)
    for n, body in [*numbered, *numbered[:5]]:
        learn(other, body, START + n, str(n))

    assert {p: f.types for p, f in one.fields.items()} == {
        p: f.types for p, f in other.fields.items()
    }
    assert one.taught == other.taught
    for kind in ("new", "retyped"):
        paths = {c.path for c in one.changes if c.drift == kind}
        told_too = {c.path for c in other.changes}
        # Where a field came to be known before what holds it, its holder was told in its place.
        assert all(told_too & {path, *_holders(path)} for path in paths)


@given(st.lists(bodies, max_size=60))
def test_learning_the_same_items_again_changes_nothing(items: list[Any]) -> None:
    profile = Profile()
    for n, body in enumerate(items):
        learn(profile, body, START + n, str(n))
    before = profile.copy()
    for n, body in enumerate(items[-1:], max(len(items) - 1, 0)):
        learn(profile, body, START + n, str(n))

    assert profile == before


@given(st.lists(bodies, max_size=40))
def test_a_profile_survives_json(items: list[Any]) -> None:
    profile = Profile()
    for n, body in enumerate(items):
        learn(profile, body, START + n, str(n))

    found = from_plain(json.loads(json.dumps(to_plain(profile))))

    assert found == profile
    assert all(isinstance(each, Change) for each in found.changes)
