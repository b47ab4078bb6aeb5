"""Frames: the buckets into which time falls in a zone.

Buckets of a frame cover all time without gap or overlap.  Up to an hour they run in elapsed time, as the
zone's offset aligns them; where an offset changes by less than a frame (half an hour, on Lord Howe
Island) the change is a border.  Longer ones break when the clock on the wall says so, and are as long
as that takes: a day has 23 hours, or 25.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from chalicelib.model.times import DAY, FIRST, HOUR, LAST, MINUTE

FRAMES = {
    "1m": MINUTE,
    "5m": 5 * MINUTE,
    "15m": 15 * MINUTE,
    "30m": 30 * MINUTE,
    "1h": HOUR,
    "6h": 6 * HOUR,
    "12h": 12 * HOUR,
    "1d": DAY,
    "1w": 7 * DAY,
}
"""Nominal lengths in milliseconds."""
_MONDAY = 4 * DAY
"""1970-01-05."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Bucket(NamedTuple):
    """A stretch of time in milliseconds, ``end`` excluded."""

    start: int
    end: int


class Buckets:
    """The buckets of one frame in one zone."""

    def __init__(self, frame: str, zone: ZoneInfo) -> None:
        self.length = FRAMES[frame]
        self._zone = zone
        self._anchor = _MONDAY if frame == "1w" else 0
        self._find = self._elapsed if self.length <= HOUR else self._on_the_wall
        self._last = Bucket(0, 0)
        self._borders = lru_cache(4096)(self._instant)

    def holding(self, moment: int) -> Bucket:
        """Return the bucket that holds a moment."""
        if not self._last.start <= moment < self._last.end:
            self._last = self._find(moment)
        return self._last

    def between(self, start: int, end: int) -> Iterator[Bucket]:
        """Yield every bucket that has a part in [``start``, ``end``), in order."""
        while start < end:
            bucket = self.holding(start)
            yield bucket
            start = bucket.end

    def number(self, start: int, end: int) -> int:
        """Return how many buckets have a part in a range, as if none were longer or shorter."""
        return -(-(end - self.holding(start).start) // self.length) if start < end else 0

    def forward(self, border: int, number: int) -> int:
        """Return a border about ``number`` buckets after another one."""
        found = self.holding(border + number * self.length).start
        return found if found > border else self.holding(border).end

    def backward(self, border: int, number: int) -> int:
        """Return a border about ``number`` buckets before another one."""
        return self.holding(min(border - number * self.length, border - 1)).start

    def _elapsed(self, moment: int) -> Bucket:
        offset, length = self._offset(moment), self.length
        start = (moment + offset) // length * length - offset
        end = start + length
        if (self._offset(start) - offset) % length:
            start = self._change(start, moment)
        if (self._offset(end - 1) - offset) % length:
            end = self._change(moment, end - 1)
        return Bucket(start, end)

    def _on_the_wall(self, moment: int) -> Bucket:
        number = (moment + self._offset(moment) - self._anchor) // self.length
        # A clock that was put back over a border shows the bucket before it once more.
        while self._borders(number + 1) <= moment:
            number += 1
        return Bucket(self._borders(number), self._borders(number + 1))

    def _instant(self, number: int) -> int:
        """Return when the clock first shows the start of a bucket, or what follows where it skips it."""
        wall = self._anchor + number * self.length
        shown = _datetime(wall).replace(tzinfo=self._zone)
        before, after = (_offset_of(shown.replace(fold=fold)) for fold in (0, 1))
        found = wall - before
        if self._offset(found) == before or before == after:
            return found
        return self._change(wall - after, found)

    def _change(self, low: int, high: int) -> int:
        """Return the first moment after ``low`` whose offset is that of ``high``."""
        offset = self._offset(high)
        while high - low > 1:
            middle = (low + high) // 2
            if self._offset(middle) == offset:
                high = middle
            else:
                low = middle
        return high

    def _offset(self, moment: int) -> int:
        return _offset_of(_datetime(moment).astimezone(self._zone))


def _datetime(moment: int) -> datetime:
    # At the ends of the calendar there is no local time to be had.
    within = min(max(moment, FIRST + 2 * DAY), LAST - 2 * DAY)
    return _EPOCH + timedelta(milliseconds=within)


def _offset_of(local: datetime) -> int:
    return (local.utcoffset() or timedelta()) // timedelta(milliseconds=1)
