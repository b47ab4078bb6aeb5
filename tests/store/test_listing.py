"""Listings by time: whole, newest first, across months, under writing."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.aws import Hub
from chalicelib.model.times import DAY, to_rfc3339
from chalicelib.store.listing import BUDGET, Page, indexed, newest_first, oldest_first, within
from chalicelib.store.table import Key, Plain, Table
from tests.support.fake_aws import FakeAws
from tests.support.simulation import CONFIG
from tests.support.strategies import START


def fresh_table() -> Table:
    aws = FakeAws()
    return Table(Hub(CONFIG, aws.client, aws.clock))


def add(table: Table, at: int, name: str = "") -> str:
    identity = name or f"{at}"
    table.put(
        Key(f"T#ten#D#{identity}", "E#"), {"at": at, **indexed(table, "ten", "EVENT", at, identity)}
    )
    return identity


def page(
    table: Table,
    limit: int,
    after: Plain | None = None,
    start: int | None = None,
    end: int | None = None,
    keep: Callable[[Plain], bool] = lambda _: True,
) -> Page:
    return newest_first(
        table, "ten", "EVENT", start=start, end=end, limit=limit, after=after, keep=keep
    )


def walk(table: Table, limit: int, **options: object) -> list[int]:
    found: list[int] = []
    after = None
    for _ in range(1000):
        got = page(table, limit, after, **options)  # type: ignore[arg-type]
        assert len(got.items) <= limit
        found += [item["at"] for item in got.items]
        after = got.after
        if after is None:
            return found
    raise AssertionError("the listing never ends")


moments = st.lists(
    st.integers(0, 400).map(lambda d: START + d * DAY // 2), unique=True, max_size=40
)


@given(moments, st.integers(1, 12))
def test_pages_join_to_everything_newest_first(at: list[int], limit: int) -> None:
    table = fresh_table()
    for each in at:
        add(table, each)

    assert walk(table, limit) == sorted(at, reverse=True)


@given(moments, st.integers(0, 400), st.integers(0, 400), st.integers(1, 12))
def test_the_other_way_round_it_is_the_same_oldest_first(
    at: list[int], low: int, high: int, limit: int
) -> None:
    table = fresh_table()
    start, end = START + low * DAY // 2, START + high * DAY // 2
    for each in at:
        add(table, each)
    found: list[int] = []
    after = None

    while True:
        got = oldest_first(table, "ten", "EVENT", start=start, end=end, limit=limit, after=after)
        found += [item["at"] for item in got.items]
        after = got.after
        if after is None:
            break

    assert found == sorted(each for each in at if start <= each < end)


@given(moments, st.integers(0, 400), st.integers(0, 400), st.integers(1, 12))
def test_a_range_begins_with_its_start_and_ends_before_its_end(
    at: list[int], low: int, high: int, limit: int
) -> None:
    table = fresh_table()
    start, end = START + low * DAY // 2, START + high * DAY // 2
    for each in at:
        add(table, each)

    found = walk(table, limit, start=start, end=end)

    assert found == sorted((each for each in at if start <= each < end), reverse=True)


@given(moments.filter(lambda at: len(at) > 4), st.integers(1, 5), st.randoms(use_true_random=False))
def test_writes_between_pages_lose_and_repeat_nothing_that_was_there(
    at: list[int], limit: int, rng: random.Random
) -> None:
    table = fresh_table()
    for each in at:
        add(table, each)
    found: list[int] = []
    after = None

    while True:
        got = page(table, limit, after)
        found += [item["at"] for item in got.items]
        after = got.after
        if after is None:
            break
        add(table, START + rng.randint(-400, 800) * DAY // 2 + 1)  # in any month, also a new one

    assert [each for each in found if each in at] == sorted(at, reverse=True)
    assert len(found) == len(set(found))


def test_things_of_one_moment_are_all_listed() -> None:
    table = fresh_table()
    names = {add(table, START, f"n{n}") for n in range(5)}
    found: list[str] = []
    after = None

    while True:
        got = page(table, 2, after)
        found += [item["pk"].rsplit("#", 1)[1] for item in got.items]
        after = got.after
        if after is None:
            break

    assert sorted(found) == sorted(names)


@pytest.mark.parametrize("count", [BUDGET - 1, BUDGET, BUDGET + 1])
def test_a_filter_that_keeps_almost_nothing_reads_a_budget_and_then_goes_on(count: int) -> None:
    table = fresh_table()
    for n in range(count):
        add(table, START + n)
    wanted = add(table, START - 40 * DAY)  # in a month behind all of them

    first = page(table, 10, keep=lambda item: item["pk"].endswith(wanted))
    found = walk(table, 10, keep=lambda item: item["pk"].endswith(wanted))

    assert found == [START - 40 * DAY]
    assert [item["at"] for item in first.items] == (found if count < BUDGET else [])


def test_a_last_page_that_is_full_has_no_next() -> None:
    table = fresh_table()
    for n in range(4):
        add(table, START + n)

    assert page(table, 4).after is None
    assert page(table, 3).after is not None


def test_an_empty_range_is_empty() -> None:
    table = fresh_table()
    add(table, START)

    assert page(table, 5, start=START, end=START) == Page([], None)
    assert page(table, 5, start=START + 1, end=START) == Page([], None)


def test_another_tenants_things_are_not_listed() -> None:
    table = fresh_table()
    add(table, START)

    got = newest_first(
        table, "other", "EVENT", start=None, end=None, limit=5, after=None, keep=lambda _: True
    )

    assert got == Page([], None)


@given(st.integers(0, 30), st.integers(1, 12), st.booleans())
def test_pages_of_one_partition_join_to_all_that_is_kept(count: int, limit: int, odd: bool) -> None:
    table = fresh_table()
    for n in range(count):
        table.put(Key("p", to_rfc3339(START + n)), {"n": n})
    found: list[int] = []
    after = None

    while True:
        got = within(
            table, "p", "", "", limit=limit, after=after, keep=lambda i: not odd or i["n"] % 2
        )
        found += [item["n"] for item in got.items]
        after = got.after
        if after is None:
            break

    assert found == [n for n in range(count) if not odd or n % 2]


@pytest.mark.parametrize("count", [BUDGET - 1, BUDGET, BUDGET + 1])
def test_a_partition_of_which_almost_nothing_is_kept_is_read_to_its_end(count: int) -> None:
    table = fresh_table()
    for n in range(count + 1):
        table.put(Key("p", to_rfc3339(START + n)), {"n": n})

    def read(after: Plain | None) -> Page:
        return within(
            table, "p", "", "", limit=10, after=after, keep=lambda item: item["n"] == count
        )

    first = read(None)
    rest = read(first.after) if first.after else Page([], None)

    assert [item["n"] for item in (*first.items, *rest.items)] == [count]
    assert len(first.items) == (count < BUDGET)
    assert rest.after is None
