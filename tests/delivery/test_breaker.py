"""The breaker's table of states, and what subscribers are told."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.deliver import breaker
from chalicelib.store.standings import WELL, Condition

NOW = 1_790_000_000_000
COOL_DOWN = 5_000


def failing(
    condition: Condition = WELL, *, times: int = 1, every: int = 0, **said: Any
) -> Condition:
    told = {"status": 500, "pause_until": None, "given_up": False} | said
    for number in range(times):
        condition = breaker.failed(
            condition,
            now=NOW + number * every,
            cool_down_ms=COOL_DOWN,
            reason="status 500",
            **told,
        )
    return condition


def test_one_failure_is_only_counted() -> None:
    found = failing()

    assert (found.failures, found.failing_since, found.failing_at) == (1, NOW, None)
    assert breaker.wait(found, NOW) == 0


def test_subscribers_are_told_once_of_many_failures() -> None:
    assert failing(times=breaker.FAILING_AFTER - 1).failing_at is None
    assert failing(times=breaker.FAILING_AFTER + 3, every=10).failing_at == NOW + 40


def test_a_delivery_given_up_is_told_at_once() -> None:
    assert failing(given_up=True).failing_at == NOW


@pytest.mark.parametrize(
    ("times", "every", "opens"),
    [
        (breaker.OPEN_AFTER, 2_000, True),
        (breaker.OPEN_AFTER, 1_000, False),  # many, but within seconds
        (breaker.OPEN_AT_ONCE, 10, True),
        (breaker.OPEN_AFTER - 1, 60_000, False),  # for long, but few
    ],
)
def test_it_opens_after_many_failures_over_some_time(times: int, every: int, opens: bool) -> None:
    found = failing(times=times, every=every)
    last = NOW + (times - 1) * every

    assert breaker.wait(found, last) == (COOL_DOWN if opens else 0)
    assert breaker.half_open(found, last + COOL_DOWN) is opens


def test_one_tries_while_the_others_wait() -> None:
    found = failing(times=breaker.OPEN_AFTER, every=2_000)
    later = NOW + 60_000
    trying = breaker.trying(found, later, COOL_DOWN)

    assert breaker.half_open(found, later)
    assert not breaker.half_open(trying, later)
    assert breaker.wait(trying, later) > COOL_DOWN  # longer than the attempt can take


def test_success_closes_it_and_speeds_up_step_by_step() -> None:
    found = failing(times=breaker.OPEN_AFTER, every=2_000)
    limits = []
    for _ in range(9):
        found = breaker.succeeded(found, NOW, 8)
        limits.append(found.limit)

    assert limits == [1, 2, 3, 4, 5, 6, 7, None, None]
    assert (found.failures, found.failing_since, found.failing_at, found.well_at) == (
        0,
        None,
        None,
        NOW,
    )


def test_where_all_is_well_success_changes_nothing() -> None:
    assert breaker.succeeded(WELL, NOW, 8) == WELL


@pytest.mark.parametrize(
    ("status", "pause", "limit"),
    [
        *((status, None, 1) for status in (429, 502, 503, 504)),
        *((status, None, None) for status in (500, 404, None)),
        (503, NOW + 9_000, None),
    ],
)
def test_who_asks_for_less_gets_one_at_a_time(
    status: int | None, pause: int | None, limit: int | None
) -> None:
    found = failing(status=status, pause_until=pause)

    assert found.limit == limit
    assert breaker.wait(found, NOW) == (9_000 if pause else 0)


def test_an_earlier_end_of_a_pause_does_not_shorten_it() -> None:
    found = failing(failing(pause_until=NOW + 9_000), pause_until=NOW + 1_000)

    assert breaker.wait(found, NOW) == 9_000


def test_only_failures_for_days_wear_out() -> None:
    day = 86_400_000
    assert not breaker.worn_out(failing(times=5, every=day), NOW + 5 * day - 1)
    assert breaker.worn_out(failing(times=5, every=day), NOW + 5 * day)
    assert not breaker.worn_out(failing(times=4, every=day), NOW + 50 * day)
    assert not breaker.worn_out(WELL, NOW)
