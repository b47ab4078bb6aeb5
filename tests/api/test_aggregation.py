"""Aggregation against pandas and numpy, which know nothing of cells, pages or our frames."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.api.aggregation import Aggregation, Place, Question, Row, Source
from chalicelib.model.assembly import Point
from chalicelib.model.frames import FRAMES, Buckets
from chalicelib.model.functions import FUNCTIONS
from chalicelib.model.metrics import METRICS
from chalicelib.model.summaries import CELL, Cell, Series, cells_of, series_of
from chalicelib.model.times import DAY, HOUR, from_rfc3339

# Weeks around changes of the clock; Kathmandu has none, but is a quarter of an hour off.
WEEKS = (
    ("UTC", "2026-03-25T00:00:00Z"),
    ("Europe/Berlin", "2026-03-26T07:13:11.500Z"),
    ("Europe/Berlin", "2026-10-23T22:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-01T00:00:00Z"),
    ("Asia/Kathmandu", "2026-06-01T18:15:00Z"),
    ("America/St_Johns", "2026-10-30T03:00:00Z"),
    ("America/Sao_Paulo", "2018-11-01T13:00:00Z"),
    ("America/Sao_Paulo", "2018-02-15T00:00:00Z"),
)
METRICS_SEEN = (
    "classification_probability",
    "occupied",
    "people_in_total",
    "sound_level_eq",
    "temperature",
)


class Memory:
    """Points in memory, and what was read of them."""

    def __init__(self, points: Collection[Point]) -> None:
        self.kept = sorted(points, key=lambda point: point.at)
        self.spans: list[tuple[int, int]] = []
        self.whole: list[tuple[int, int]] = []
        self.source = Source(self._cells, self._points)

    def _points(self, metrics: Collection[str], start: int, end: int) -> Iterator[Point]:
        self.spans.append((start, end))
        return (p for p in self.kept if start <= p.at < end and p.metric in metrics)

    def _cells(self, metrics: Collection[str], start: int, end: int) -> Iterator[Cell]:
        assert start % CELL == end % CELL == 0
        self.whole.append((start, end))
        return cells_of(self._points(metrics, start, end))


def drawn(rng: random.Random, start: int, end: int) -> list[Point]:
    """Readings of a device at uneven times, with gaps, restarts of a counter and some bad ones."""
    points: dict[tuple[Any, ...], Point] = {}
    gaps = [(at, at + rng.randrange(40 * HOUR)) for at in rng.choices(range(start, end), k=2)]
    total = 0
    for at in sorted(rng.choices(range(start - DAY, end + DAY), k=400)):
        if any(low <= at < high for low, high in gaps):
            continue
        total = rng.randrange(9) if rng.random() < 0.03 else total + rng.randrange(5)
        values: dict[str, Any] = {
            "temperature": round(rng.gauss(20, 5), 2),
            "sound_level_eq": round(rng.uniform(30, 110), 1),
            "people_in_total": total,
            "occupied": rng.random() < 0.5,
            "classification_probability": rng.random(),
        }
        for metric in rng.sample(METRICS_SEEN, 3):
            several = metric == "classification_probability"
            attributes = {"class": rng.randrange(2)} if several else {}
            quality = "bad" if rng.random() < 0.05 else "good"
            unit = METRICS[metric].unit
            point = Point(metric, at, values[metric], unit, None, quality, attributes)
            points[(at, *point.name)] = point
    return list(points.values())


# --- the oracle ----------------------------------------------------------------------------------


def starts_of(moments: pd.DatetimeIndex, zone: str, frame: str) -> pd.DatetimeIndex:
    """Return the start of the bucket of each moment."""
    wall = moments.tz_convert(zone).tz_localize(None)
    if FRAMES[frame] <= HOUR:
        offset = wall - moments.tz_localize(None)
        return pd.DatetimeIndex(wall.floor(f"{FRAMES[frame] // 60_000}min") - offset, tz="UTC")
    day = wall.normalize()
    if frame == "1w":
        day -= pd.to_timedelta(day.day_of_week, unit="D")
    elif frame != "1d":
        hours = int(frame[:-1])
        day += pd.to_timedelta(wall.hour // hours * hours, unit="h")
    first = np.ones(len(day), dtype=bool)
    local = day.tz_localize(zone, ambiguous=first, nonexistent="shift_forward")
    return local.tz_convert("UTC")


def utc(moments: Any) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(pd.to_datetime(moments, unit="ms", utc=True)).as_unit("ms")


def energy_mean(values: pd.Series) -> float:
    return float(10 * np.log10(np.mean(10 ** (values.to_numpy() / 10))))


def steps(values: pd.Series) -> pd.Series:
    rise = values.diff()
    return rise.where(rise >= 0, values).where(rise.notna(), 0)


def tables(
    points: list[Point], start: int, end: int, zone: str, frame: str
) -> dict[Series, pd.DataFrame]:
    """Return of each series the functions of every bucket that holds points, by start."""
    found: dict[Series, pd.DataFrame] = {}
    for series in sorted({series_of(point) for point in points}):
        rows = [
            (p.at, float(p.value))
            for p in sorted(points, key=lambda p: p.at)
            if series_of(p) == series and start <= p.at < end and p.quality != "bad"
        ]
        values = pd.Series([v for _, v in rows], index=utc([at for at, _ in rows]), dtype=float)
        starts = starts_of(values.index, zone, frame)
        groups = values.groupby(starts)
        sound, counter = series.metric.startswith("sound"), series.metric.endswith("_total")
        shares = {f"p{q}": groups.quantile(q / 100) for q in (10, 50, 90, 95)}
        columns = {
            "min": groups.min(),
            "max": groups.max(),
            "mean": groups.agg(energy_mean) if sound else groups.mean(),
            "sum": groups.sum(),
            "first": groups.first(),
            "last": groups.last(),
            "stddev": groups.std(ddof=0),
            "diff": steps(values).groupby(starts).sum()
            if counter
            else groups.last() - groups.first(),
            "count": groups.count(),
        }
        found[series] = pd.DataFrame(columns | shares, dtype=float)
    return found


def filled(
    known: dict[Series, pd.DataFrame], every: pd.DatetimeIndex, fill: str
) -> dict[tuple[Any, ...], dict[str, float | None]]:
    """Return the functions of every bucket: {(start, metric, discriminator): {function: value}}."""
    found: dict[tuple[Any, ...], dict[str, float | None]] = {}
    for series, table in known.items():
        whole = table if fill == "none" else table.reindex(every)
        counts = whole["count"].fillna(0)
        if fill == "previous":
            whole = whole.ffill()
        if fill == "linear":
            whole = whole.interpolate(method="index", limit_area="inside")
        for at, row in whole.assign(count=counts).iterrows():
            plain = {name: None if math.isnan(value) else value for name, value in row.items()}
            found[(round(at.timestamp() * 1000), *series)] = plain
    return found


def question(
    start: int, end: int, zone: str, frame: str, fill: str, points: Collection[Point]
) -> Question:
    filled = tuple(sorted({series_of(point) for point in points}))
    buckets = Buckets(frame, ZoneInfo(zone))
    return Question(METRICS_SEEN, start, end, buckets, FUNCTIONS, fill, filled)


def check(rows: list[Row], wanted: dict[tuple[Any, ...], dict[str, float | None]]) -> None:
    places = sorted(wanted)
    assert [(row.bucket.start, *row.series) for row in rows] == places
    found = np.array([[row.numbers[each] for each in FUNCTIONS] for row in rows], dtype=float)
    right = np.array([[wanted[place][each] for each in FUNCTIONS] for place in places], dtype=float)
    np.testing.assert_allclose(found, right, rtol=1e-9, atol=1e-9)  # None is NaN, on both sides


@pytest.mark.parametrize("frame", ["30m", "1h", "6h", "12h", "1d", "1w"])
@pytest.mark.parametrize(("zone", "begins"), WEEKS)
def test_buckets_are_those_that_pandas_makes(zone: str, begins: str, frame: str) -> None:
    if (zone, frame) == ("Australia/Lord_Howe", "1h"):
        frame = "15m"  # half an hour is gone there; see the frames' own tests
    start = from_rfc3339(begins) or 0
    end = start + 6 * DAY + 12_345_678
    points = drawn(random.Random(f"{begins}{frame}"), start, end)  # noqa: S311 - a sample
    known = tables(points, start, end, zone, frame)
    every = starts_of(utc(np.arange(start, end, 60_000)), zone, frame).unique()

    for fill in ("none", "null", "previous", "linear"):
        asked = question(start, end, zone, frame, fill, points)
        rows, _ = Aggregation(asked, Memory(points).source).page(10**6)

        check(rows, filled(known, every, fill))


# --- what must hold of any page ------------------------------------------------------------------

FRAMES_TRIED = st.sampled_from(["1m", "15m", "1h", "6h", "1d", "1w"])
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe"])
SPARSE = st.lists(
    st.builds(
        Point,
        st.sampled_from(METRICS_SEEN),
        st.integers(0, 9 * DAY) | st.integers(0, 9 * 24).map(HOUR.__mul__),
        st.integers(0, 99),
        st.none(),
        st.none(),
        st.sampled_from(["good", "good", "bad"]),
        st.sampled_from([{}, {"class": 1}, {"class": 2}]),
    ),
    max_size=30,
    unique_by=lambda point: (point.at, point.name),
)
RANGES = st.tuples(st.integers(0, 9 * DAY), st.integers(0, 9 * DAY)).map(sorted)


def paged(asked: Question, source: Source, limit: int, *, descending: bool) -> list[Row]:
    """Walk through all pages, each by itself, as calls do."""
    found: list[Row] = []
    after: Place | None = None
    while True:
        page, after = Aggregation(asked, source).page(limit, descending=descending, after=after)
        found += page
        if after is None:
            return found
        assert len(page) == limit


@given(
    SPARSE, RANGES, ZONES, FRAMES_TRIED, st.sampled_from(["none", "null", "previous", "linear"]),
    st.integers(40, 400), st.booleans(),
)  # fmt: skip
def test_pages_of_any_size_and_order_make_the_whole(
    points: list[Point],
    span: list[int],
    zone: str,
    frame: str,
    fill: str,
    limit: int,
    descending: bool,
) -> None:
    if frame == "1m" and fill != "none":
        frame = "30m"  # a page for each of thousands of filled buckets shows nothing more
    asked = question(span[0], span[1], zone, frame, fill, points)
    source = Memory(points).source
    whole, _ = Aggregation(asked, source).page(10**6)

    rows = paged(asked, source, limit if fill != "none" else limit // 40, descending=descending)

    assert rows == (whole[::-1] if descending else whole)


@given(SPARSE, RANGES, ZONES, FRAMES_TRIED, st.sampled_from(["none", "linear"]), st.booleans())
def test_pages_that_end_early_make_the_whole_too(
    points: list[Point], span: list[int], zone: str, frame: str, fill: str, descending: bool
) -> None:
    frame = "6h" if FRAMES[frame] < HOUR and fill != "none" else frame
    asked = question(span[0], span[1], zone, frame, fill, points)
    source = Memory(points).source
    whole, _ = Aggregation(asked, source).page(10**6)

    found: list[Row] = []
    after, pages = None, 0
    while pages == 0 or after is not None:
        page, after = Aggregation(asked, source).page(
            10**6 if pages % 3 else 2, descending=descending, after=after, enough=lambda: True
        )
        found, pages = found + page, pages + 1

    assert found == (whole[::-1] if descending else whole)


@given(SPARSE, RANGES, ZONES, FRAMES_TRIED)
def test_cells_and_points_say_the_same_to_the_last_bit(
    points: list[Point], span: list[int], zone: str, frame: str
) -> None:
    inexact = [point._replace(value=0.1 * point.value) for point in points]
    asked = question(span[0], span[1], zone, frame, "none", points)
    plain = tuple(each for each in FUNCTIONS if not each.startswith("p"))
    source = Memory(inexact).source

    by_points, _ = Aggregation(asked, source).page(1000)
    by_cells, _ = Aggregation(replace(asked, functions=plain), source).page(1000)

    assert [{k: row.numbers[k] for k in plain} for row in by_points] == [
        r.numbers for r in by_cells
    ]


@given(SPARSE, RANGES, ZONES, FRAMES_TRIED, st.integers(0, 9), st.booleans())
def test_points_are_counted_in_the_whole_range_however_far_was_read(
    points: list[Point], span: list[int], zone: str, frame: str, taken: int, descending: bool
) -> None:
    start, end = span
    asked = question(start, end, zone, frame, "none", points)
    aggregation = Aggregation(asked, Memory(points).source)
    aggregation.page(taken + 1, descending=descending)

    good = [series_of(p) for p in points if p.quality != "bad" and start <= p.at < end]
    assert aggregation.counts() == Counter(good) == aggregation.counts()


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("fill", ["none", "linear"])
def test_a_page_reads_little_more_than_its_buckets(fill: str, descending: bool) -> None:
    points = [Point("temperature", n * HOUR, n % 7, "Cel", None, "good", {}) for n in range(9000)]
    asked = question(0, 9000 * HOUR, "Europe/Berlin", "1d", fill, points)
    memory = Memory(points)
    half = Place(187 * DAY - HOUR, Series("temperature", ()))

    rows, _ = Aggregation(replace(asked, functions=("mean",)), memory.source).page(
        100, descending=descending, after=half
    )

    assert len(rows) == 100
    assert sum(end - start for start, end in memory.spans) <= 104 * DAY


@pytest.mark.parametrize("descending", [False, True])
def test_what_was_read_for_a_page_is_not_read_again_for_its_completeness(descending: bool) -> None:
    points = [Point("temperature", n * HOUR, n % 7, "Cel", None, "good", {}) for n in range(9000)]
    asked = question(0, 9000 * HOUR, "UTC", "1d", "none", points)
    memory = Memory(points)
    aggregation = Aggregation(replace(asked, functions=("mean",)), memory.source)

    aggregation.page(100, descending=descending)
    aggregation.counts()

    assert sum(end - start for start, end in memory.spans) == 9000 * HOUR


def test_cells_are_read_whole_but_where_a_border_cuts_them() -> None:
    points = [Point("temperature", n * HOUR, n, "Cel", None, "good", {}) for n in range(100)]
    plain = {
        zone: replace(question(HOUR // 2, 2 * DAY, zone, "1d", "none", points), functions=("sum",))
        for zone in ("Europe/Berlin", "Asia/Kathmandu")
    }
    memories = {zone: Memory(points) for zone in plain}

    for zone, asked in plain.items():
        Aggregation(asked, memories[zone].source).page(100)

    midnights = [18 * HOUR, 42 * HOUR]  # a quarter past, in Kathmandu
    assert memories["Europe/Berlin"].whole == [(HOUR, 48 * HOUR)]
    assert memories["Asia/Kathmandu"].whole == [
        (HOUR, midnights[0]),
        (midnights[0] + HOUR, midnights[1]),
        (midnights[1] + HOUR, 48 * HOUR),
    ]


def test_where_points_are_few_a_page_is_found_in_few_reads() -> None:
    points = [Point("temperature", n * 100 * DAY, n, "Cel", None, "good", {}) for n in range(5)]
    memory = Memory(points)
    asked = question(0, 500 * DAY, "UTC", "1m", "none", points)

    rows, _ = Aggregation(asked, memory.source).page(100)

    assert len(rows) == 5
    assert len(memory.spans) <= 20


def test_the_row_before_a_page_holds_nothing_from_before_the_range() -> None:
    points = [Point("temperature", n * HOUR // 4, n, "Cel", None, "good", {}) for n in (0, 3, 28)]
    asked = question(HOUR // 2, 8 * HOUR, "UTC", "1h", "previous", points)

    rows = paged(asked, Memory(points).source, 1, descending=True)

    assert [row.numbers["first"] for row in rows] == [28, *[3] * 7]
