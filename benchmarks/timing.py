"""Timing that can be compared: both sides in turns in one process, the best of each counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

Work = Callable[[], object]


def best_of(works: Sequence[Work], *, rounds: int, seconds: float) -> list[float]:
    """Return CPU seconds of one run of each work.

    Every round runs each work for about ``seconds``; whatever else the machine did meanwhile makes a
    round slower and never faster, so the best round is the work itself.
    """
    repeats = [max(1, round(seconds / _one(work, 1))) for work in works]
    found = [float("inf")] * len(works)
    for _ in range(rounds):
        for number, work in enumerate(works):
            found[number] = min(found[number], _one(work, repeats[number]))
    return found


def _one(work: Work, repeats: int) -> float:
    begun = time.process_time_ns()
    for _ in range(repeats):
        work()
    return max(time.process_time_ns() - begun, 1) / repeats / 1e9
