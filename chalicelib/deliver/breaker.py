"""The circuit breaker: what an attempt's end means for the next ones.  Pure.

Closed, everything goes.  After many failures in a row over some time it opens: nothing new goes for the
cool-down, then one delivery tries whether the endpoint works again.  Deliveries that have failed before
keep to their own schedule all the while; there are few of them, for nothing new fails meanwhile.
"""

from __future__ import annotations

from dataclasses import replace

from chalicelib.store.standings import Condition

FAILING_AFTER = 5
"""Failures in a row after which subscribers are told (a delivery given up says so at once)."""
OPEN_AFTER = 20
OPEN_AFTER_MS = 30_000
"""The breaker opens after so many failures in a row over so many milliseconds ..."""
OPEN_AT_ONCE = 50
"""... or after so many, however quickly they came."""
DISABLE_AFTER_MS = 5 * 86_400_000
"""An integration is disabled after so many milliseconds of only failures."""
_TRY_MS = 20_000
"""The longest that one attempt takes."""
_SLOW_DOWN = frozenset({429, 502, 503, 504})


def failed(
    condition: Condition,
    *,
    now: int,
    cool_down_ms: int,
    times: int = 1,
    reason: str,
    status: int | None,
    pause_until: int | None,
    given_up: bool,
) -> Condition:
    """Return the condition after a failed attempt, and ``times - 1`` others that were not yet counted.

    ``pause_until``: the endpoint asked for a pause.  ``given_up``: it was a delivery's last attempt.
    """
    since = condition.failing_since if condition.failing_since is not None else now
    failures = condition.failures + times
    tell = condition.failing_at is None and (given_up or failures >= FAILING_AFTER)
    tripped = failures >= OPEN_AT_ONCE or (failures >= OPEN_AFTER and now - since >= OPEN_AFTER_MS)
    slower = pause_until is None and status in _SLOW_DOWN
    return replace(
        condition,
        failures=failures,
        failing_since=since,
        failing_at=now if tell else condition.failing_at,
        reason=reason,
        open_until=now + cool_down_ms if tripped else condition.open_until,
        limit=1 if slower else condition.limit,
        paused_until=max(condition.paused_until, pause_until or 0),
    )


def urgent(before: Condition, after: Condition) -> bool:
    """Say whether other processes have to know of a change at once: not if only failures were counted."""
    return replace(after, failures=before.failures, reason=before.reason) != before


def succeeded(condition: Condition, now: int, most: int) -> Condition:
    """Return the condition after an attempt that succeeded; what was slowed down speeds up by one."""
    limit = condition.limit
    if condition.open_until:
        limit = 1
    elif limit is not None:
        limit = limit + 1 if limit + 1 < most else None
    return replace(
        condition,
        failures=0,
        failing_since=None,
        failing_at=None,
        well_at=condition.well_at if condition.failing_at is None else now,
        reason="",
        open_until=0,
        limit=limit,
    )


def trying(condition: Condition, now: int, cool_down_ms: int) -> Condition:
    """Return the condition in which one delivery tries whether the endpoint works again."""
    return replace(condition, open_until=now + cool_down_ms + _TRY_MS)


def wait(condition: Condition, now: int) -> int:
    """Return the milliseconds for which nothing new may go."""
    return max(condition.paused_until, condition.open_until, now) - now


def half_open(condition: Condition, now: int) -> bool:
    """Say whether it is time to try."""
    return 0 < condition.open_until <= now


def worn_out(condition: Condition, now: int) -> bool:
    """Say whether there were only failures for so long that nobody can mean to listen."""
    since = condition.failing_since
    return (
        since is not None
        and condition.failures >= FAILING_AFTER
        and now - since >= DISABLE_AFTER_MS
    )
