"""A pace: a bucket that refills evenly."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.model.pace import Pace

NOW = 1_795_000_000_000


def test_all_may_be_taken_at_once_and_come_back_evenly() -> None:
    empty = Pace(200, 2).taken(200, NOW)

    assert (empty.left(NOW), empty.wait(NOW), empty.full_in(NOW)) == (0, 10, 2000)
    assert empty.left(NOW + 10) == 1
    assert empty.left(NOW + 1000) == 100
    assert empty.left(NOW + 5000) == 200


@given(
    st.integers(1, 1000),
    st.integers(1, 100),
    st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 30)), max_size=60),
)
def test_no_window_lets_more_through_than_the_bucket_and_its_refill(
    requests: int, seconds: int, tries: list[tuple[int, int]]
) -> None:
    pace, now, passed = Pace(requests, seconds), NOW, []
    for later, count in tries:
        now += later
        taken = min(count, pace.left(now))
        if taken < count:
            assert pace.taken(taken, now).wait(now) > 0
        pace = pace.taken(taken, now)
        passed.append((now, taken))
    for place, (begin, _) in enumerate(passed):
        within = sum(count for _, count in passed[place:])
        assert within <= requests + (now - begin) * requests / (seconds * 1000)


@given(st.integers(1, 1000), st.integers(1, 100), st.integers(0, 200_000))
def test_what_is_told_to_wait_may_go_then_and_not_before(
    requests: int, seconds: int, later: int
) -> None:
    pace = Pace(requests, seconds).taken(requests, NOW)
    wait = pace.wait(NOW)

    assert pace.left(NOW + wait) >= 1
    assert pace.left(NOW + wait - 1) == 0
    assert (pace.left(NOW + later) == requests) == (later >= pace.full_in(NOW))
