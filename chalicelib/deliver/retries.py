"""When a delivery is tried again: the schedule with its jitter, or what the endpoint asked for.  Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import Protocol

from chalicelib.outbound.http import Outcome

GONE = 410
_TOO_MANY = 429
_SERVER_ERRORS = range(500, 600)
_JITTER = 0.2
_SHORTEST, _LONGEST = 1.0, 12 * 3600.0
"""Seconds between which a ``Retry-After`` is believed."""
_SECONDS = re.compile(r"[0-9]{1,15}")


class Random(Protocol):
    """What is needed of ``random.Random``."""

    def random(self) -> float:
        """Return a number from 0 to below 1."""


def delay(
    schedule: Sequence[float], made: int, outcome: Outcome, now: int, rng: Random
) -> float | None:
    """Return the seconds until the next attempt after ``made`` of them, ``None`` when there is none.

    They count from the end of the failed attempt.  What an endpoint asks for is never undercut.
    """
    if made > len(schedule):
        return None
    asked = retry_after(outcome, now)
    if asked is not None:
        return asked * (1 + _JITTER * rng.random())
    return schedule[made - 1] * (1 - _JITTER + 2 * _JITTER * rng.random())


def retry_after(outcome: Outcome, now: int) -> float | None:
    """Return the seconds that a 429 or 5xx asks to wait, within bounds; ``None`` if it does not.

    Negative, past and unreadable texts ask for nothing.
    """
    text = (outcome.retry_after or "").strip()
    if not text or not (outcome.status == _TOO_MANY or outcome.status in _SERVER_ERRORS):
        return None
    if _SECONDS.fullmatch(text):
        seconds = float(text)
    else:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now / 1000
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
        if seconds <= 0:
            return None
    return min(max(seconds, _SHORTEST), _LONGEST)
