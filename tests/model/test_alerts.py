"""Alerts: whatever the order and number of signals, the same alerts come out."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.model.alerts import Alert, fold
from chalicelib.model.assembly import SignalRecord
from chalicelib.model.digests import digest
from tests.support.strategies import CONDITION, DEVICE, START, signals


def signal(action: str, second: int, by: str | None = None, **more: Any) -> SignalRecord:
    at = START + second * 1000
    name = digest(action, at, by, more, length=10)
    return SignalRecord(DEVICE, CONDITION, action, at, name, by=by, **more)


def life(alerts: list[Alert]) -> list[tuple[int, int | None]]:
    """When each alert was raised and cleared, in seconds."""
    return [
        ((a.raised_at - START) // 1000, (a.cleared[0] - START) // 1000 if a.cleared else None)
        for a in alerts
    ]


@given(st.lists(signals(), max_size=15), st.randoms(use_true_random=False))
def test_any_order_and_repetition_of_signals_gives_the_same_alerts(
    said: list[SignalRecord], rng: random.Random
) -> None:
    once = list({each.digest: each for each in said}.values())
    again = once + [each for each in said for _ in range(rng.randint(0, 2))]
    rng.shuffle(again)

    assert fold(again) == fold(once)


@given(st.lists(signals(), max_size=15))
def test_at_most_one_alert_is_active_and_it_is_the_last(said: list[SignalRecord]) -> None:
    alerts = fold(said)

    assert all(alert.state == "cleared" for alert in alerts[:-1])
    assert [a.raised_at for a in alerts] == sorted({a.raised_at for a in alerts})


@given(st.lists(signals(), max_size=15))
def test_an_alert_is_raised_before_it_is_cleared(said: list[SignalRecord]) -> None:
    for alert in fold(said):
        assert alert.cleared is None or alert.cleared[0] >= alert.raised_at
        assert alert.acknowledged is None or alert.acknowledged[0] >= alert.raised_at


@given(st.lists(signals(), max_size=12), st.integers(0, 12))
def test_a_late_raise_reopens_nothing_that_was_cleared_after_it(
    said: list[SignalRecord], second: int
) -> None:
    late = signal("raise", second)
    cleared = any(s.action == "clear" and s.at >= late.at for s in said)
    active = any(a.state == "active" for a in fold(said))

    alerts = fold([*said, late])

    assert any(a.state == "active" for a in alerts) == (active or not cleared)


def test_a_clear_without_a_raise_is_no_alert_until_the_raise_comes() -> None:
    clear = signal("clear", 5)

    assert fold([clear]) == []
    assert life(fold([clear, signal("raise", 3)])) == [(3, 5)]


def test_a_raise_and_a_clear_of_one_moment_are_an_alert_that_is_over() -> None:
    assert life(fold([signal("clear", 5), signal("raise", 5)])) == [(5, 5)]


def test_a_repeated_raise_updates_the_alert_and_opens_no_second() -> None:
    (alert,) = fold(
        [
            signal("raise", 1, name="hot", severity="minor", message="30"),
            signal("raise", 4, severity="major", message="40"),
        ]
    )

    assert life([alert]) == [(1, None)]
    assert (alert.name, alert.severity, alert.message) == ("hot", "major", "40")
    assert alert.updated_at == START + 4000


def test_a_raise_after_a_clear_is_a_new_alert_with_a_new_id() -> None:
    first, second = fold([signal("raise", 1), signal("clear", 2), signal("raise", 3)])

    assert life([first, second]) == [(1, 2), (3, None)]
    assert first.id != second.id


def test_what_an_operator_cleared_stays_cleared_when_the_same_raise_comes_again() -> None:
    raised = signal("raise", 1)
    cleared = signal("clear", 5, by="Ada", message="replaced the fuse")

    (alert,) = fold([raised, cleared, raised])

    assert alert.cleared == (START + 5000, "Ada", "replaced the fuse")
    assert alert.state == "cleared"


def test_a_later_raise_after_an_operators_clear_is_a_new_alert() -> None:
    alerts = fold([signal("raise", 1), signal("clear", 5, by="Ada"), signal("raise", 6)])

    assert life(alerts) == [(1, 5), (6, None)]


def test_the_first_acknowledgement_and_the_first_clear_are_kept() -> None:
    (alert,) = fold(
        [
            signal("raise", 1),
            signal("acknowledge", 2, by="Ada", message="on my way"),
            signal("acknowledge", 3, by="Bob"),
            signal("clear", 4),
            signal("clear", 5, by="Bob"),
        ]
    )

    assert alert.acknowledged == (START + 2000, "Ada", "on my way")
    assert alert.cleared == (START + 4000, None, None)


@pytest.mark.parametrize("action", ["acknowledge", "clear"])
@pytest.mark.parametrize("digests", ["ab", "ba"])
def test_of_two_operators_at_once_the_first_one_counts(action: str, digests: str) -> None:
    raised = signal("raise", 1)
    said = [
        replace(signal(action, 1, by=by), noted_at=START + 5000 + number, digest=digest)
        for number, (by, digest) in enumerate(zip(("Ada", "Bob"), digests, strict=True))
    ]

    (alert,) = fold([raised, *said])

    mark = alert.acknowledged if action == "acknowledge" else alert.cleared
    assert mark == (START + 5000, "Ada", None)


def test_a_vendors_clear_has_no_note() -> None:
    (alert,) = fold([signal("raise", 1), signal("clear", 2, message="resolved")])

    assert alert.as_json()["cleared"] == {
        "at": alert.as_json()["cleared_at"],
        "by": None,
        "note": None,
    }


def test_an_alert_without_name_and_severity_has_its_key_and_warning() -> None:
    (alert,) = fold([signal("raise", 1)])

    assert (alert.name, alert.severity) == (CONDITION, "warning")
