"""Cadence: how often a device reports, and how much of what was due has come."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from statistics import median

_STEPS = 10
"""So many steps between readings show an interval."""
_STEADY, _WITHIN = 0.75, 0.2
"""They do if so large a share of them is so near to the one in the middle."""


def interval_of(moments: Iterable[int]) -> float | None:
    """Return the seconds between readings (ms), ``None`` while they are few or come at no steady pace."""
    steps = [later - earlier for earlier, later in pairwise(sorted(set(moments)))]
    if len(steps) < _STEPS:
        return None
    usual = median(steps)
    steady = sum(abs(step - usual) <= _WITHIN * usual for step in steps)
    return usual / 1000 if steady >= _STEADY * len(steps) else None


def completeness(
    points: int, start: int, end: int, now: int, interval: float | None
) -> float | None:
    """Return the share of readings that came of those due in a range (ms) up to now, at most 1.

    ``interval`` is in seconds.  ``None`` where nobody knows it, or nothing is due yet.
    """
    due = min(end, now) - start
    if interval is None or due <= 0:
        return None
    return min(points * interval * 1000 / due, 1.0)
