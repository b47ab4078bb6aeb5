"""Moments: what counts as a time, in every form a vendor writes one."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from chalicelib.model import times
from chalicelib.model.times import (
    DAY,
    HOUR,
    from_iso,
    from_millis,
    from_rfc3339,
    from_seconds,
    hour_of,
    micros_as_millis,
    seconds_as_millis,
    to_rfc3339,
)

FIRST, LAST = -62_135_596_800_000, 253_402_300_799_999
NOON = 1_769_860_800_000  # 2026-01-31T12:00:00.000Z
moments = st.integers(FIRST, LAST)
zones = st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))


@given(moments)
@example(FIRST)
@example(LAST)
@example(-1)
def test_a_moment_survives_being_written_as_rfc_3339(moment: int) -> None:
    assert from_rfc3339(to_rfc3339(moment)) == moment


@given(moments, moments)
def test_written_moments_sort_as_text_in_time_order(left: int, right: int) -> None:
    assert (to_rfc3339(left) < to_rfc3339(right)) == (left < right)


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31)), zones)  # noqa: DTZ001
def test_any_zone_gives_the_moment_that_python_gives(local: datetime, zone: timezone) -> None:
    at = local.replace(tzinfo=zone)
    since = at - datetime(1970, 1, 1, tzinfo=UTC)

    moment = since // timedelta(milliseconds=1)

    assert from_rfc3339(at.isoformat(timespec="microseconds")) == moment


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z"),
        ("2026-01-31t12:00:00z", "2026-01-31T12:00:00.000Z"),
        ("2026-01-31T12:00:00.9999Z", "2026-01-31T12:00:00.999Z"),
        ("2026-01-31T12:00:00.123456789Z", "2026-01-31T12:00:00.123Z"),
        ("2026-01-31T12:00:00.5+00:00", "2026-01-31T12:00:00.500Z"),
        ("2026-01-31T13:30:00+01:30", "2026-01-31T12:00:00.000Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"),
    ],
)
def test_rfc_3339_is_read_and_digits_below_a_millisecond_are_cut(text: str, written: str) -> None:
    moment = from_rfc3339(text)

    assert moment is not None
    assert to_rfc3339(moment) == written


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T12:00:00",
        "2026-01-31 12:00:00Z",
        "2026-01-31T12:00Z",
        "2026-01-31T12:00:00+0100",
        "2026-01-31T12:00:00+01:60",
        "2026-02-30T12:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T12:60:00Z",
        "2026-01-31T12:00:61Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-00:01",
        "+12026-01-31T12:00:00Z",
        "٢٠٢٦-01-31T12:00:00Z",
        "",
        "now",
    ],
)
def test_what_is_not_rfc_3339_with_a_zone_is_refused(text: str) -> None:
    assert from_rfc3339(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T12:00:00Z",
        "2026-01-31T13:00:00+01",
        "2026-01-31T13:00:00+0100",
        "2026-01-31T13:00:00+01:00",
        "2026-01-31 13:00:00 +01:00",
        "2026-01-31T12:00Z",
        "2026-01-31T12:00:00",
        "2026-01-31 12:00:00",
        "2026-01-31T12:00:00,000Z",
        " 2026-01-31T12:00:00.000000000Z ",
    ],
)
def test_vendors_iso_texts_are_read_in_all_their_forms(text: str) -> None:
    assert from_iso(text) == NOON


@pytest.mark.parametrize(
    "value", [None, 0, NOON, True, "", "infinity", "2026", "1970-01-01T00:00:00Z", [], {}]
)
def test_what_is_no_iso_text_or_the_time_zero_is_no_time(value: Any) -> None:
    assert from_iso(value) is None


@given(moments.filter(bool))
@example(1_657_195_118_251)
@example(34_870_843_104_270)
def test_epoch_seconds_with_a_fraction_keep_their_millisecond(moment: int) -> None:
    number = moment / 1000
    assume(Decimal(repr(number)) * 1000 == moment)  # beyond some year a double holds none

    assert from_seconds(number) == moment
    assert from_seconds(repr(number)) == moment


@given(moments.filter(bool))
def test_epoch_milliseconds_are_taken_as_they_are(moment: int) -> None:
    assert from_millis(moment) == moment
    assert from_millis(float(moment)) == moment
    assert from_millis(str(moment)) == moment


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (1_657_195_118, 1_657_195_118_000),
        (1_657_195_118.2519, 1_657_195_118_251),
        ("1657195118.2519999999999", 1_657_195_118_251),
        (" 1657195118 ", 1_657_195_118_000),
        ("+1657195118", 1_657_195_118_000),
        (-1.5, -1500),
    ],
)
def test_epoch_seconds_are_cut_and_never_rounded(value: Any, moment: int) -> None:
    assert from_seconds(value) == moment


@pytest.mark.parametrize("reader", [from_seconds, from_millis])
@pytest.mark.parametrize(
    "value",
    [
        None, True, False, 0, 0.0, -0.0, "0", "0.000", "", "1e9", "NaN", "abc", "1_000", "٣", "1" * 30,
        math.nan, math.inf, -math.inf, 1e300, -1e300, 10**30, LAST + 1, FIRST * 10, [], {}, [1], b"1",
    ],
)  # fmt: skip
def test_what_is_no_epoch_number_is_no_time(reader: Any, value: Any) -> None:
    assert reader(value) is None


def test_the_years_end_at_1_and_9999() -> None:
    assert from_millis(FIRST) == FIRST
    assert from_millis(FIRST - 1) is None
    assert from_millis(LAST) == LAST
    assert from_millis(LAST + 1) is None
    assert times.FIRST == FIRST


@pytest.mark.parametrize(
    ("reader", "value", "length"),
    [
        (seconds_as_millis, 60, 60_000),
        (seconds_as_millis, "0.125", 125),
        (seconds_as_millis, 400 * 86_400, 400 * DAY),
        (micros_as_millis, 60_000_000, 60_000),
        (micros_as_millis, "125000", 125),
    ],
)
def test_periods_become_milliseconds(reader: Any, value: Any, length: int) -> None:
    assert reader(value) == length


@pytest.mark.parametrize("reader", [seconds_as_millis, micros_as_millis])
@pytest.mark.parametrize(
    "value", [None, 0, -1, "-1", True, "", "x", math.nan, math.inf, 1e19, [], {}]
)
def test_what_is_no_positive_length_is_no_period(reader: Any, value: Any) -> None:
    assert reader(value) is None


@given(moments)
def test_an_hour_begins_at_most_an_hour_before_its_moment(moment: int) -> None:
    start = hour_of(moment)

    assert start % HOUR == 0
    assert 0 <= moment - start < HOUR


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary()))
def test_no_value_whatever_breaks_a_reader_and_what_it_reads_can_be_written(value: Any) -> None:
    for reader in (from_seconds, from_millis, from_iso):
        moment = reader(value)

        assert moment is None or from_rfc3339(to_rfc3339(moment)) == moment
