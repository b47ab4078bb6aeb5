"""Stale hours: which hours of a device's history its rollups do not tell, or no longer tell rightly.

Project notes the hour of every segment that came, changed or went; whoever sums the hour up again takes it
off.  A day is summed up once it is over and nothing of it has changed for a while: a thousand late payloads
make one summing up, not a thousand.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

from chalicelib.model.times import DAY, HOUR

ALL_HOURS = (1 << 24) - 1
"""All hours of a day; hour ``n`` (UTC) is bit ``n``."""
QUIET = 60_000
"""Milliseconds for which nothing of a day may have changed before it is summed up."""
_GRACE = HOUR
"""Milliseconds after its end in which much still arrives of a day."""
_SPREAD = 5 * HOUR
"""Devices that all talk would all sum up at one moment: each has its own within this time."""
_FEW, _MOST = 8, 200
"""Runs of stale days that are told apart exactly; that are known at all."""


class Days(NamedTuple):
    """Days (numbered from 1970) in a row of which the same hours are stale since the same moment."""

    first: int
    last: int
    hours: int
    touched: int


@dataclass(slots=True)
class Stale:
    """The stale hours of one device."""

    days: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Of each day its stale hours as bits, and when (ms) one of them last changed."""
    floor: int = -(10**9)
    """No rollup of a day before this one counts: so many days were stale that they were forgotten."""

    def touch(self, hour: int, at: int) -> None:
        """Note that something of an hour (its first ms) changed at a moment (ms).

        A day in the future has no rollup; it is noted when more comes of it then.
        """
        day, rest = divmod(hour, DAY)
        if self.floor <= day <= at // DAY + 1:
            known, touched = self.days.get(day, (0, at))
            self.days[day] = known | 1 << rest // HOUR, max(touched, at)

    def leave(self, day: int, hours: int, until: int = 0) -> None:
        """Let only these hours of a day be stale still, and let them wait until a moment (ms)."""
        if hours:
            self.days[day] = hours, max(self.days[day][1], until - QUIET)
        else:
            del self.days[day]

    def hours(self, day: int) -> int:
        """Return the hours of a day of which no rollup tells, as bits."""
        return ALL_HOURS if day < self.floor else self.days.get(day, (0, 0))[0]

    def due(self, device_id: str, now: int) -> list[int]:
        """Return the days that may be summed up now."""
        return [day for day in sorted(self.days) if self._due_at(day, device_id) <= now]

    def look_at(self, device_id: str, *, talking: bool) -> int | None:
        """Return when somebody is to see whether a day is still to be summed up (``None``: never).

        A talking device brings up by itself what ends with the day; only what came late waits for a look.
        """
        moments = [
            due
            for day in self.days
            if (due := self._due_at(day, device_id)) > _over_at(day, device_id) or not talking
        ]
        return min(moments, default=None)

    def as_list(self) -> list[Any]:
        """Return plain values that JSON brings back; empty where nothing is stale.

        However many days there are it stays short: hours and moments become coarser, then days are forgotten.
        """
        runs = list(self._runs(self.days))
        floor = self.floor
        if len(runs) > _FEW:
            newest, latest = max(self.days), max(touched for _, touched in self.days.values())
            coarse = {
                day: each if day >= newest - 1 else (ALL_HOURS, latest)
                for day, each in self.days.items()
            }
            runs = list(self._runs(coarse))
        if len(runs) > _MOST:
            runs = runs[-_MOST:]
            floor = runs[0].first
        return [floor, *runs] if runs or floor > Stale().floor else []

    @classmethod
    def of(cls, value: list[Any]) -> Stale:
        """Read what :meth:`as_list` returned."""
        if not value:
            return cls()
        floor, *runs = value
        found = cls(floor=floor)
        for first, last, hours, touched in runs:
            found.days |= dict.fromkeys(range(first, last + 1), (hours, touched))
        return found

    def _due_at(self, day: int, device_id: str) -> int:
        return max(_over_at(day, device_id), self.days[day][1] + QUIET)

    @staticmethod
    def _runs(days: dict[int, tuple[int, int]]) -> Iterator[Days]:
        rows = enumerate(sorted(days.items()))
        for (_, (hours, touched)), run in groupby(
            rows, lambda row: (row[1][0] - row[0], row[1][1])
        ):
            numbers = [day for _, (day, _) in run]
            yield Days(numbers[0], numbers[-1], hours, touched)


def _over_at(day: int, device_id: str) -> int:
    return (day + 1) * DAY + _GRACE + zlib.crc32(device_id.encode()) % _SPREAD
