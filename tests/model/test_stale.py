"""Stale hours: noted once, forgotten never, and short however many there are."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.model.stale import ALL_HOURS, QUIET, Stale
from chalicelib.model.times import DAY, HOUR

NOW = 1_795_000_000_000
TODAY = NOW // DAY

touches = st.lists(
    st.tuples(st.integers(-800_000, 30 * 24), st.integers(0, 5).map((60_000).__mul__)), max_size=60
)


def stale(*hours: int, at: int = NOW) -> Stale:
    """Note hours, counted from the beginning of today."""
    found = Stale()
    for hour in hours:
        found.touch(TODAY * DAY + hour * HOUR, at)
    return found


def stored(found: Stale) -> Stale:
    return Stale.of(json.loads(json.dumps(found.as_list())))


@given(touches)
def test_what_was_noted_is_never_forgotten_by_storing(noted: list[tuple[int, int]]) -> None:
    found = Stale()
    for hour, later in noted:
        found.touch(TODAY * DAY + hour * HOUR, NOW + later)

    again = stored(found)

    for day, (hours, touched) in found.days.items():
        assert again.hours(day) & hours == hours
        assert again.days[day][1] >= touched
    assert again.as_list() == found.as_list()


@given(touches, st.randoms())
def test_the_order_of_changes_does_not_matter(noted: list[tuple[int, int]], rng: object) -> None:
    found, shuffled = Stale(), Stale()
    again = [*noted, *noted]
    rng.shuffle(again)  # type: ignore[attr-defined]

    for hour, later in noted:
        found.touch(TODAY * DAY + hour * HOUR, NOW + later)
    for hour, later in again:
        shuffled.touch(TODAY * DAY + hour * HOUR, NOW + later)

    assert shuffled == found


def test_hours_and_moments_are_kept_exactly_while_they_are_few() -> None:
    found = stale(0, 5, -24, -49)

    assert stored(found) == found
    assert found.hours(TODAY) == 0b100001
    assert found.hours(TODAY - 1) == 1
    assert found.hours(TODAY - 2) == 0
    assert found.hours(TODAY - 3) == 1 << 23


def test_nothing_stale_is_nothing_stored() -> None:
    assert Stale().as_list() == []
    assert Stale.of([]) == Stale()


def test_a_year_that_comes_at_once_is_short_and_the_newest_days_stay_exact() -> None:
    found = Stale()
    for day in range(0, 365, 2):
        found.touch((TODAY - day) * DAY + day % 24 * HOUR, NOW + day)
    for day in range(1, 365, 2):
        found.touch((TODAY - day) * DAY, NOW + day)

    again = stored(found)

    assert len(json.dumps(found.as_list())) < 200
    assert again.days[TODAY] == (1, NOW)
    assert again.days[TODAY - 300] == (ALL_HOURS, NOW + 364)


def test_of_too_many_scattered_days_the_oldest_are_read_from_segments_for_ever() -> None:
    found = Stale()
    for number in range(1000):
        found.touch((TODAY - 3 * number) * DAY, NOW)

    again = stored(found)

    assert len(again.as_list()) <= 201
    assert (again.hours(TODAY), again.hours(TODAY - 3), again.hours(TODAY - 4)) == (1, ALL_HOURS, 0)
    assert again.hours(TODAY - 2997) == again.hours(TODAY - 2998) == ALL_HOURS
    again.touch((TODAY - 2997) * DAY, NOW)
    assert TODAY - 2997 not in again.days
    again.days.clear()
    assert stored(again).hours(TODAY - 2997) == ALL_HOURS


def test_a_day_is_due_when_it_is_over_and_quiet() -> None:
    device = "relayr:d1"
    found = stale(0)
    (over,) = {
        hour
        for hour in range(24, 48)
        if found.due(device, TODAY * DAY + hour * HOUR)
        != found.due(device, TODAY * DAY + (hour - 1) * HOUR)
    }

    assert 25 < over <= 31
    assert found.due(device, NOW) == []
    found.touch(TODAY * DAY, (TODAY + 5) * DAY)
    assert found.due(device, (TODAY + 5) * DAY + QUIET - 1) == []
    assert found.due(device, (TODAY + 5) * DAY + QUIET) == [TODAY]


def test_devices_do_not_sum_up_all_at_once() -> None:
    moments = {stale(0).look_at(f"relayr:d{n}", talking=False) for n in range(100)}

    assert len(moments) > 90


def test_a_talking_device_is_looked_at_only_for_what_came_late() -> None:
    assert stale(0).look_at("relayr:d1", talking=True) is None
    assert stale(0).look_at("relayr:d1", talking=False) is not None
    assert stale(0, -72).look_at("relayr:d1", talking=True) == NOW + QUIET


def test_what_is_done_is_taken_off() -> None:
    found = stale(0, 1, -24)

    found.leave(TODAY, 0b10)
    found.leave(TODAY - 1, 0)

    assert found.days == {TODAY: (0b10, NOW)}


def test_what_is_left_may_have_to_wait() -> None:
    found = stale(-72)

    found.leave(TODAY - 3, 1, NOW + HOUR)

    assert found.due("relayr:d1", NOW + HOUR - 1) == []
    assert found.due("relayr:d1", NOW + HOUR) == [TODAY - 3]
