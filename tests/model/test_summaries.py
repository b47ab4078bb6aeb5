"""Summaries: exact through JSON, joined as the points would be, and the functions that they tell."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.model.assembly import Point
from chalicelib.model.functions import FUNCTIONS, percentile, value_of
from chalicelib.model.summaries import CELL, Series, Summary, cells_of, join, step, summarize
from tests.support.strategies import numbers

VALUES = st.lists(numbers | st.booleans(), min_size=1, max_size=20)
TAME = st.lists(st.floats(-150, 150), min_size=1, max_size=30)


def points(values: Any, metric: str = "temperature", quality: str = "good") -> list[Point]:
    return [
        Point(metric, at * 60_000, value, None, None, quality, {})
        for at, value in enumerate(values)
    ]


def told(metric: str, summary: Summary, values: list[Any]) -> dict[str, Any]:
    return {each: value_of(each, metric, summary, None, sorted(values)) for each in FUNCTIONS}


@given(st.sampled_from(["temperature", "sound_level_eq", "people_in_total"]), VALUES)
def test_a_summary_goes_through_json_and_back_without_loss(metric: str, values: list[Any]) -> None:
    summary = summarize(metric, points(values, metric))

    text = json.dumps(summary.as_list(), allow_nan=False)

    # The repr tells 1 from 1.0 and has every digit; NaN is not equal to itself.
    assert repr(Summary.of(json.loads(text))) == repr(summary)


@given(st.sampled_from(["temperature", "sound_level_eq", "people_in_total"]), TAME, TAME)
def test_joined_summaries_say_what_the_points_together_say(
    metric: str, earlier: list[float], later: list[float]
) -> None:
    both = points(earlier + later, metric)
    halves = both[: len(earlier)], both[len(earlier) :]

    joined = join(*(summarize(metric, half) for half in halves))

    plain = [each for each in FUNCTIONS if not each.startswith("p")]
    whole = told(metric, summarize(metric, both), earlier + later)
    found = told(metric, joined, earlier + later)
    for each in plain:
        assert found[each] == pytest.approx(whole[each], rel=1e-6, abs=1e-6), each
    assert (joined.first, joined.last) == ((0, both[0].value), (both[-1].at, both[-1].value))


@given(TAME)
def test_functions_are_numpys(values: list[float]) -> None:
    found = told("temperature", summarize("temperature", points(values)), values)

    assert found == pytest.approx(
        {
            "count": len(values),
            "min": min(values),
            "max": max(values),
            "sum": math.fsum(values),
            "mean": np.mean(values),
            "stddev": np.std(values),
            "first": values[0],
            "last": values[-1],
            "diff": values[-1] - values[0],
            **{f"p{q}": np.percentile(values, q) for q in (10, 50, 90, 95)},
        },
        abs=1e-7,
    )


def test_the_mean_of_sound_levels_is_that_of_their_energy() -> None:
    summary = summarize("sound_level_eq", points([60, 80], "sound_level_eq"))

    assert value_of("mean", "sound_level_eq", summary, None, ()) == pytest.approx(77.0329, abs=1e-4)
    assert value_of("min", "sound_level_eq", summary, None, ()) == 60


def test_a_vendors_own_metric_is_sound_if_its_unit_says_so() -> None:
    loud = [point._replace(unit="dB[SPL]") for point in points([60, 80], "relayr.level")]

    assert summarize("relayr.level", loud).energy == pytest.approx(101e6)
    assert summarize("relayr.level", points([60, 80], "relayr.level")).energy is None


@pytest.mark.parametrize(
    ("values", "climbed"),
    [([5], 0), ([5, 7, 7, 10], 5), ([5, 7, 2, 3], 5), ([5, 0, 4], 4), ([9, 1, 0.5], 1.5)],
)
def test_a_counter_climbs_by_its_steps_and_falls_to_zero(
    values: list[float], climbed: float
) -> None:
    summary = summarize("people_in_total", points(values, "people_in_total"))

    assert value_of("diff", "people_in_total", summary, None, ()) == climbed


def test_the_step_into_a_bucket_is_its_own() -> None:
    summary = summarize("people_in_total", points([5, 7], "people_in_total"))
    before = summary.last._replace(value=4)

    assert value_of("diff", "people_in_total", summary, before, ()) == 3
    assert step(4, 3) == 3


def test_booleans_are_zero_and_one() -> None:
    summary = summarize("occupied", points([True, False, True, True], "occupied"))

    assert told("occupied", summary, [1, 0, 1, 1])["mean"] == 0.75
    assert repr(summary.as_list()[1:4]) == "[0, 1, 3]"


@pytest.mark.parametrize("values", [[1e308] * 3, [-1e308, 1e308], [1e308, -1e308, 1e308]])
def test_what_no_double_holds_is_null(values: list[float]) -> None:
    found = told("relayr.x", summarize("relayr.x", points(values, "relayr.x")), values)

    json.dumps(found, allow_nan=False)
    assert None in found.values()
    assert (found["min"], found["count"]) == (min(values), len(values))


@pytest.mark.parametrize("value", [1e5, -1e5])
def test_a_level_beyond_all_sound_breaks_nothing(value: float) -> None:
    loud = [point._replace(unit="dB[SPL]") for point in points([value], "relayr.level")]

    assert value_of("mean", "relayr.level", summarize("relayr.level", loud), None, ()) is None


def test_cells_are_hours_of_each_series_without_bad_points() -> None:
    rows = [
        *points([1, 2, 3]),
        *points([4], quality="bad"),
        Point("distance", CELL, 5, "m", None, "suspect", {"cell": 2}),
        Point("distance", CELL, 6, "m", None, "good", {"cell": 1}),
        Point("distance", CELL + 1, 7, "m", None, "good", {"cell": 2}),
    ]

    cells = [(cell.start, cell.series, cell.summary.count) for cell in cells_of(rows)]

    assert cells == [
        (0, Series("temperature", ()), 3),
        (CELL, Series("distance", (("cell", "1"),)), 1),
        (CELL, Series("distance", (("cell", "2"),)), 2),
    ]


def test_a_series_goes_through_json() -> None:
    series = Series("distance", (("cell", "1"), ("class", "car")))

    assert Series.of(json.loads(json.dumps(series))) == series


@given(TAME, st.floats(0, 1))
def test_percentiles_are_numpys(values: list[float], share: float) -> None:
    found = percentile(sorted(values), share)

    assert found == pytest.approx(np.quantile(values, share), abs=1e-9)
