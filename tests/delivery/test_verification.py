"""The whole hub, verified id by id: the small edition of ``make verify``."""

from __future__ import annotations

import pytest

from tests.support.verification import BAD, WELL, Verification, percentile, verified

pytestmark = pytest.mark.usefixtures("quiet")


def test_nothing_is_lost_and_nothing_has_two_ids_under_faults_beside_bad_endpoints() -> None:
    run = verified(600, 1, rate=0.005)

    ways = {way for way, times in run.faults.struck.items() if times}
    assert {way for way, _ in ways} == {
        "throttled",
        "died before",
        "answer lost",
        "died after",
        "entry refused",
    }
    assert run.deaths > 5
    assert run.refused
    assert set(run.kept()[1]) >= {"dead", "parked"}
    assert set(run.receivers) == {*WELL, *BAD} - {"dead"}


def test_a_dead_and_a_hanging_endpoint_change_nothing_for_those_that_are_well() -> None:
    """Lag is virtual: the hub's own, and the same on every machine."""
    beside, alone = (verified(600, 1, rate=0, bad=bad) for bad in (True, False))

    for name in WELL:
        p99 = percentile(beside.lags(name), 0.99)
        assert p99 <= 1.5 * percentile(alone.lags(name), 0.99), name


def test_a_receiver_that_lost_an_event_is_found_out() -> None:
    run = verified(300, 1, rate=0, bad=False)
    run.receivers["ordered"].ids.popitem()

    with pytest.raises(AssertionError, match="ordered: records: 1 lost, 0 strange"):
        run.check()


def test_an_event_under_a_second_id_is_found_out() -> None:
    run = verified(300, 1, rate=0, bad=False)
    next(iter(run.receivers["plain"].ids.values())).add("another")

    with pytest.raises(AssertionError, match="plain: records under two ids: 1"):
        run.check()


def test_an_event_that_was_overtaken_is_found_out() -> None:
    run: Verification = verified(900, 1, rate=0, bad=False)
    first = run.receivers["ordered"].first
    run.receivers["ordered"].first = dict(reversed(first.items()))

    with pytest.raises(AssertionError, match="overtaken"):
        run.check()
