"""Cadence: an interval that is learned, and what was due."""

from __future__ import annotations

import random

import pytest

from chalicelib.model.cadence import completeness, interval_of
from chalicelib.model.times import HOUR, MINUTE


def test_a_steady_pace_is_an_interval() -> None:
    moments = [n * MINUTE + n % 3 * 1000 for n in range(20)]

    assert interval_of(moments) == pytest.approx(60, abs=2)


def test_missing_and_repeated_readings_do_not_change_it() -> None:
    moments = [n * MINUTE for n in range(60) if n not in {7, 8, 30}]

    assert interval_of(moments + moments) == 60


@pytest.mark.parametrize(
    "moments",
    [[], [5], [n * MINUTE for n in range(10)], random.Random(1).sample(range(10**7), 50)],  # noqa: S311 - a sample
)
def test_few_readings_or_uneven_ones_have_none(moments: list[int]) -> None:
    assert interval_of(moments) is None


@pytest.mark.parametrize(
    ("points", "end", "now", "interval", "share"),
    [
        (60, HOUR, HOUR, 60, 1),
        (45, HOUR, HOUR, 60, 0.75),
        (0, HOUR, HOUR, 60, 0),
        (61, HOUR, HOUR, 60, 1),
        (15, HOUR, HOUR // 2, 60, 0.5),
        (15, HOUR, HOUR, None, None),
        (0, HOUR, 0, 60, None),
        (0, HOUR, -HOUR, 60, None),
    ],
)
def test_completeness_is_what_came_of_what_was_due_by_now(
    points: int, end: int, now: int, interval: float | None, share: float | None
) -> None:
    assert completeness(points, 0, end, now, interval) == share
