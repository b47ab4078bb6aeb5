"""Frames: where buckets begin and end, above all where clocks change."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.model.frames import FRAMES, Bucket, Buckets
from chalicelib.model.times import DAY, FIRST, HOUR, LAST, MINUTE, from_rfc3339, to_rfc3339
from chalicelib.model.zones import zone_names, zone_of

ZONES = st.sampled_from(sorted(zone_names())).map(ZoneInfo)
NAMES = st.sampled_from(sorted(FRAMES))
MODERN = st.integers(from_rfc3339("1970-01-01T00:00:00Z") or 0, 2_400_000_000_000)


def moment(text: str) -> int:
    found = from_rfc3339(text)
    assert found is not None
    return found


def lengths(zone: str, frame: str, start: str, end: str) -> list[float]:
    """Return the hours of the buckets of a range."""
    found = Buckets(frame, ZoneInfo(zone)).between(moment(start), moment(end))
    return [(bucket.end - bucket.start) / HOUR for bucket in found]


@pytest.mark.parametrize(
    ("zone", "frame", "start", "end", "hours"),
    [
        ("Europe/Berlin", "1d", "2026-03-28T00:00:00Z", "2026-03-30T12:00:00Z", [24, 23, 24]),
        ("Europe/Berlin", "1d", "2026-10-24T00:00:00Z", "2026-10-26T12:00:00Z", [24, 25, 24]),
        ("Europe/Berlin", "6h", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", [5, 6, 6, 6]),
        ("Europe/Berlin", "6h", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", [7, 6, 6, 6]),
        ("Europe/Berlin", "12h", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", [11, 12]),
        ("Europe/Berlin", "12h", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", [13, 12]),
        ("Europe/Berlin", "1w", "2026-03-23T00:00:00Z", "2026-03-30T12:00:00Z", [167, 168]),
        ("Europe/Berlin", "1h", "2026-10-24T23:00:00Z", "2026-10-25T03:00:00Z", [1, 1, 1, 1]),
        # Half an hour of daylight saving.
        ("Australia/Lord_Howe", "1d", "2026-10-03T13:30:00Z", "2026-10-05T12:00:00Z", [23.5, 24]),
        ("Australia/Lord_Howe", "1h", "2026-10-03T14:30:00Z", "2026-10-03T17:00:00Z", [1, 0.5, 1]),
        ("Australia/Lord_Howe", "1h", "2026-04-04T14:00:00Z", "2026-04-04T16:30:00Z", [1, 0.5, 1]),
        ("Asia/Pyongyang", "1h", "2018-05-04T13:30:00Z", "2018-05-04T16:00:00Z", [1, 0.5, 1]),
        # No midnight, and midnight after 23 o'clock twice.
        ("America/Sao_Paulo", "1d", "2018-11-03T03:00:00Z", "2018-11-05T12:00:00Z", [24, 23, 24]),
        ("America/Sao_Paulo", "1d", "2018-02-17T02:00:00Z", "2018-02-18T12:00:00Z", [25, 24]),
        # Midnight twice; a clock put back over midnight; a day that was left out.
        ("America/Havana", "1d", "2026-10-31T05:00:00Z", "2026-11-02T12:00:00Z", [24, 25, 24]),
        ("America/St_Johns", "1d", "2010-11-06T02:30:00Z", "2010-11-08T12:00:00Z", [24, 25, 24]),
        ("Pacific/Apia", "1d", "2011-12-29T10:00:00Z", "2011-12-31T12:00:00Z", [24, 24, 24]),
    ],
)
def test_the_hours_of_buckets_where_clocks_change(
    zone: str, frame: str, start: str, end: str, hours: list[float]
) -> None:
    assert lengths(zone, frame, start, end) == hours


def test_a_day_without_midnight_begins_with_its_first_moment() -> None:
    bucket = Buckets("1d", ZoneInfo("America/Sao_Paulo")).holding(moment("2018-11-04T12:00:00Z"))

    assert to_rfc3339(bucket.start) == "2018-11-04T03:00:00.000Z"  # 01:00 there


def test_a_clock_put_back_over_midnight_does_not_begin_the_day_again() -> None:
    days = Buckets("1d", ZoneInfo("America/St_Johns"))

    found = days.holding(moment("2010-11-07T03:00:00Z"))  # 23:30 there, for the second time

    assert to_rfc3339(found.start) == "2010-11-07T02:30:00.000Z"


def test_weeks_begin_on_monday() -> None:
    bucket = Buckets("1w", ZoneInfo("UTC")).holding(moment("2026-11-21T08:00:00Z"))

    assert to_rfc3339(bucket.start) == "2026-11-16T00:00:00.000Z"
    assert datetime.fromtimestamp(bucket.start / 1000, UTC).weekday() == 0


@given(ZONES, NAMES, st.lists(MODERN, min_size=2, max_size=6))
def test_buckets_cover_time_without_gap_or_overlap(
    zone: ZoneInfo, frame: str, moments: list[int]
) -> None:
    buckets = Buckets(frame, zone)
    for at in moments:
        bucket = buckets.holding(at)
        assert bucket.start <= at < bucket.end
        # Asked anew, so that nothing is remembered.
        fresh = Buckets(frame, zone)
        assert fresh.holding(bucket.end - 1) == bucket == fresh.holding(bucket.start)
        assert fresh.holding(bucket.end).start == bucket.end


@given(ZONES, st.sampled_from(["6h", "12h", "1d"]), MODERN)
def test_long_buckets_begin_when_the_wall_says_so_or_skips_it(
    zone: ZoneInfo, frame: str, at: int
) -> None:
    start = Buckets(frame, zone).holding(at).start
    shown, before = (
        datetime.fromtimestamp(each / 1000, UTC).astimezone(zone).replace(tzinfo=None)
        for each in (start, start - 1)
    )

    even = shown.hour % (FRAMES[frame] // HOUR) == 0 and (shown.minute, shown.second) == (0, 0)
    jumped = (shown - before).total_seconds() > 60
    assert even or jumped


@given(ZONES, st.sampled_from(["1m", "5m", "15m", "30m", "1h"]), MODERN)
def test_short_buckets_are_as_long_as_they_are_called_or_end_at_a_change(
    zone: ZoneInfo, frame: str, at: int
) -> None:
    bucket = Buckets(frame, zone).holding(at)
    offsets = {
        datetime.fromtimestamp(each / 1000, UTC).astimezone(zone).utcoffset()
        for each in (bucket.start - 1, bucket.start, bucket.end - 1, bucket.end)
    }

    assert bucket.end - bucket.start == FRAMES[frame] or len(offsets) > 1


@given(ZONES, NAMES, MODERN, st.integers(1, 50))
def test_borders_ahead_and_behind_are_borders(
    zone: ZoneInfo, frame: str, at: int, number: int
) -> None:
    buckets = Buckets(frame, zone)
    border = buckets.holding(at).start

    ahead, behind = buckets.forward(border, number), buckets.backward(border, number)

    assert behind < border < ahead
    for each in (ahead, behind):
        assert Buckets(frame, zone).holding(each).start == each


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/New_York"])
@pytest.mark.parametrize("at", [FIRST, LAST])
def test_the_ends_of_the_calendar_have_buckets(zone: str, frame: str, at: int) -> None:
    bucket = Buckets(frame, ZoneInfo(zone)).holding(at)

    assert bucket.start <= at < bucket.end


@pytest.mark.parametrize(
    ("start", "end", "number"),
    [
        (0, 0, 0),
        (0, 1, 1),
        (0, 5 * MINUTE, 1),
        (0, 5 * MINUTE + 1, 2),
        (4 * MINUTE, 6 * MINUTE, 2),
        (0, 5 * DAY, 1440),
    ],
)
def test_buckets_are_numbered_without_looking_at_them(start: int, end: int, number: int) -> None:
    buckets = Buckets("5m", ZoneInfo("UTC"))

    assert buckets.number(start, end) == number == len(list(buckets.between(start, end)))


def test_a_bucket_is_two_moments() -> None:
    assert Buckets("1m", ZoneInfo("UTC")).holding(90_000) == Bucket(60_000, 120_000)


@pytest.mark.parametrize(
    "name", ["localtime", "posixrules", "right/UTC", "Europe", "europe/berlin"]
)
def test_what_a_machine_keeps_beside_its_zones_is_none(name: str) -> None:
    with pytest.raises(ValueError, match="IANA"):
        zone_of(name)
