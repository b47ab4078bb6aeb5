from __future__ import annotations

import random
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.deliver import retries
from chalicelib.outbound.http import Outcome

NOW = 1_795_000_000_000
SCHEDULE = (2.0, 4.0, 8.0)


def chance(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - jitter, not a secret


def answered(status: int, text: str | None = None) -> Outcome:
    return Outcome(status, 1, retry_after=text)


@given(st.integers(1, 3), st.integers())
def test_a_delay_is_the_schedules_give_or_take_a_fifth(made: int, seed: int) -> None:
    delay = retries.delay(SCHEDULE, made, answered(500), NOW, chance(seed))

    planned = SCHEDULE[made - 1]
    assert delay is not None
    assert 0.8 * planned <= delay <= 1.2 * planned


def test_after_the_last_attempt_there_is_no_next() -> None:
    asked = answered(503, "5")

    assert retries.delay(SCHEDULE, 4, answered(500), NOW, chance(1)) is None
    assert retries.delay(SCHEDULE, 4, asked, NOW, chance(1)) is None


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        (429, "7", 7),
        (500, "7", 7),
        (503, " 7 ", 7),
        (599, "7", 7),
        (400, "7", None),
        (404, "7", None),
        (301, "7", None),
        (429, None, None),
        (429, "", None),
        (429, "0", 1),
        (429, "-5", None),
        (429, "1.5", None),
        (429, "soon", None),
        (429, "\u0667", None),
        (429, "99999999", 43_200),
        (429, "9" * 400, None),
        (503, formatdate(NOW / 1000 + 30, usegmt=True), 30),
        (503, formatdate(NOW / 1000 + 90_000, usegmt=True), 43_200),
        (503, formatdate(NOW / 1000 - 30, usegmt=True), None),
        (503, formatdate(NOW / 1000, usegmt=True), None),
        (503, "Wed, 99 Foo 2026 99:99:99 GMT", None),
        (503, "2026-11-21T12:00:00Z", None),
    ],
)
def test_what_an_endpoint_asks_for(status: int, text: str | None, expected: float | None) -> None:
    assert retries.retry_after(answered(status, text), NOW) == expected


@given(st.integers(1, 3), st.integers())
def test_what_an_endpoint_asks_for_is_never_undercut(made: int, seed: int) -> None:
    delay = retries.delay(SCHEDULE, made, answered(429, "30"), NOW, chance(seed))

    assert delay is not None
    assert 30 <= delay <= 36
