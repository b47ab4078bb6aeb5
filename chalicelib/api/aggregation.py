"""Aggregation: a device's points as buckets, a page at a time, read no further than the page needs.

Buckets are joined from cells (see :mod:`chalicelib.model.summaries`).  A cell that a border of a bucket or
of the range cuts is formed from its points, and so is everything that only points can tell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple, Protocol

from chalicelib.model.assembly import Point
from chalicelib.model.frames import Bucket, Buckets
from chalicelib.model.functions import PERCENTILES, value_of
from chalicelib.model.summaries import (
    CELL,
    Cell,
    Cells,
    Number,
    Series,
    Summary,
    cells_of,
    counts_up,
    join,
    number_of,
    series_of,
)

_FURTHER = 4
"""What is looked for beyond a page is looked for in stretches that grow so."""
_BEGUN, _MANY = 8, 10_000
"""Where all points are read: buckets of the first stretch, and points after which they do not grow."""
_NONE = Series("", ())
"""It comes before every series."""


class Points(Protocol):
    """Where points come from."""

    def __call__(self, metrics: Collection[str], start: int, end: int) -> Iterator[Point]:
        """Yield the points in a range, in order of time, each reading once."""


@dataclass(frozen=True, slots=True)
class Source:
    """What is read of one device."""

    cells: Cells
    points: Points


class Place(NamedTuple):
    """A row's place in the order."""

    start: int
    series: Series


@dataclass(frozen=True, slots=True)
class Row:
    """One bucket of one series and its functions; a filled one has ``count`` 0."""

    bucket: Bucket
    series: Series
    numbers: dict[str, Number | None]

    @property
    def place(self) -> Place:
        """Its place in the order: by time, then by name."""
        return Place(self.bucket.start, self.series)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: functions of metrics in a range (ms), by bucket.

    ``filled`` are the series whose empty buckets are filled, as ``fill`` says.
    """

    metrics: tuple[str, ...]
    start: int
    end: int
    buckets: Buckets
    functions: tuple[str, ...]
    fill: str = "none"
    filled: tuple[Series, ...] = ()


_Summaries = dict[Place, Summary]
_Values = dict[Place, list[Number]]


@dataclass(slots=True)
class Aggregation:
    """The answer to a question, as far as it is taken."""

    question: Question
    source: Source
    _counts: dict[Series, int] = field(default_factory=dict)
    _rest: Bucket = field(init=False)
    """The part of the range whose points were not counted yet."""
    _dense: bool = False
    """Whether the stretch read last held so many points that the next one had better not be longer."""

    def __post_init__(self) -> None:
        self._rest = Bucket(self.question.start, self.question.end)

    def page(
        self,
        limit: int,
        *,
        descending: bool = False,
        after: Place | None = None,
        enough: Callable[[], bool] = lambda: False,
    ) -> tuple[list[Row], Place | None]:
        """Return the rows behind a place, in order, and the place behind which the next page begins.

        They are fewer than ``limit`` where no more are left, or ``enough`` says that reading them took
        too long.
        """
        rows: list[Row] = []
        for stretch in self._stretches(limit, after, descending=descending):
            summaries, values = self._read(stretch, self.question.metrics)
            if after is None:
                self._note(stretch, summaries)
            self._dense = sum(map(len, values.values())) > _MANY
            found = self._answered(stretch, summaries, values)
            found += self._filled(stretch, found)
            rows += [
                row
                for row in sorted(found, key=lambda row: row.place, reverse=descending)
                if after is None or (row.place < after if descending else row.place > after)
            ]
            if len(rows) > limit:
                return rows[:limit], rows[limit - 1].place
            border = stretch.start if descending else stretch.end
            if self.question.start < border < self.question.end and enough():
                return rows, Place(border, _NONE)
        return rows, None

    def counts(self) -> dict[Series, int]:
        """Return how many points each series has in the whole range, reading what was not read yet."""
        for cell in self._cells(self._rest, self.question.metrics):
            self._count(cell.series, cell.summary)
        self._rest = Bucket(self.question.end, self.question.end)
        return self._counts

    # --- how far is read ---------------------------------------------------------------------------

    def _stretches(self, limit: int, after: Place | None, *, descending: bool) -> Iterator[Bucket]:
        asked, buckets = self.question, self.question.buckets
        low, high = asked.start, asked.end
        if after is not None:
            begun = buckets.holding(after.start)
            low, high = (low, min(begun.end, high)) if descending else (max(begun.start, low), high)
        # The bucket in which the page begins may hold nothing more.
        size = limit // max(len(asked.filled), 1) + 2
        if self._wants_values:
            size = min(size, _BEGUN)
        while low < high:
            if descending:
                border = max(buckets.backward(buckets.holding(high - 1).end, size), low)
                yield Bucket(border, high)
                high = border
            else:
                border = min(buckets.forward(buckets.holding(low).start, size), high)
                yield Bucket(low, border)
                low = border
            size *= 1 if self._dense else 2

    def _note(self, stretch: Bucket, summaries: _Summaries) -> None:
        """Count what was read from an end of the range on, so that it is read once."""
        low, high = self._rest
        upwards = stretch.start == low
        self._rest = Bucket(stretch.end, high) if upwards else Bucket(low, stretch.start)
        for place, summary in summaries.items():
            self._count(place.series, summary)

    def _count(self, series: Series, summary: Summary) -> None:
        self._counts[series] = self._counts.get(series, 0) + summary.count

    # --- what is read ------------------------------------------------------------------------------

    def _read(self, stretch: Bucket, metrics: Collection[str]) -> tuple[_Summaries, _Values]:
        """Return what the buckets of a stretch hold: summaries, and for percentiles all values."""
        values: _Values = {}
        if not self._wants_values:
            cells = self._cells(stretch, metrics, self._bucket)
        else:
            points = [p for p in self.source.points(metrics, *stretch) if p.quality != "bad"]
            for point in points:
                place = Place(self._bucket(point.at), series_of(point))
                values.setdefault(place, []).append(number_of(point.value))
            cells = cells_of(points, self._bucket)
        summaries: _Summaries = {}
        for cell in cells:
            place = Place(self._bucket(cell.summary.first.at), cell.series)
            known = summaries.get(place)
            summaries[place] = join(known, cell.summary) if known else cell.summary
        return summaries, values

    def _cells(
        self, stretch: Bucket, metrics: Collection[str], cut: Callable[[int], int] | None = None
    ) -> Iterator[Cell]:
        """Yield the cells of a stretch, in parts where an end of it, or a border of ``cut``, cuts them."""
        borders: Iterable[int] = stretch
        if cut is not None:
            if self.question.buckets.length < CELL:
                yield from cells_of(self.source.points(metrics, *stretch), cut)
                return
            borders = chain(
                stretch, (each.start for each in self.question.buckets.between(*stretch))
            )
        for low, high, whole in _parts(stretch, borders):
            if whole:
                yield from self.source.cells(metrics, low, high)
            else:
                yield from cells_of(self.source.points(metrics, low, high), cut or _uncut)

    @property
    def _wants_values(self) -> bool:
        return not PERCENTILES.keys().isdisjoint(self.question.functions)

    def _bucket(self, moment: int) -> int:
        return self.question.buckets.holding(moment).start

    # --- what it says ------------------------------------------------------------------------------

    def _answered(self, stretch: Bucket, summaries: _Summaries, values: _Values) -> list[Row]:
        """Return the rows of the buckets that hold points."""
        asked = self.question
        steps = (
            {s for _, s in summaries if counts_up(s.metric)} if "diff" in asked.functions else ()
        )
        before = {s: each.last for s, each in self._last_before(stretch.start, steps).items()}
        rows = []
        for place in sorted(summaries):
            summary, series = summaries[place], place.series
            points = sorted(values.get(place, ()))
            row = {
                each: value_of(each, series.metric, summary, before.get(series), points)
                for each in asked.functions
            }
            rows.append(Row(asked.buckets.holding(place.start), series, row))
            before[series] = summary.last
        return rows

    def _filled(self, stretch: Bucket, rows: Iterable[Row]) -> list[Row]:
        """Return rows for the buckets that hold no points."""
        asked = self.question
        if asked.fill == "none" or not asked.filled:
            return []
        buckets = list(asked.buckets.between(*stretch))
        known = {series: [row for row in rows if row.series == series] for series in asked.filled}
        if asked.fill in {"previous", "linear"}:
            self._surround(stretch, buckets, known)
        return [
            row for series in asked.filled for row in self._between(series, buckets, known[series])
        ]

    def _surround(
        self, stretch: Bucket, buckets: list[Bucket], known: dict[Series, list[Row]]
    ) -> None:
        """Put in front of known rows the row before the stretch, and behind them the one after it.

        Only where a bucket between them is empty.
        """
        bare = {s for s, rows in known.items() if not rows or rows[0].bucket != buckets[0]}
        for series, summary in self._last_before(stretch.start, bare).items():
            known[series].insert(0, self._row(series, summary.last.at))
        if self.question.fill == "linear":
            bare = {s for s, rows in known.items() if rows and rows[-1].bucket != buckets[-1]}
            for series, summary in self._first_after(stretch.end, bare).items():
                known[series].append(self._row(series, summary.first.at))

    def _row(self, series: Series, moment: int) -> Row:
        """Return the row of the bucket that holds a reading."""
        asked = self.question
        low, high = asked.buckets.holding(moment)
        bucket = Bucket(max(low, asked.start), min(high, asked.end))
        rows = self._answered(bucket, *self._read(bucket, (series.metric,)))
        return next(row for row in rows if row.series == series)

    def _between(
        self, series: Series, buckets: Iterable[Bucket], known: list[Row]
    ) -> Iterator[Row]:
        """Yield a row for each bucket without one, from the rows around it."""
        asked = self.question
        number, earlier = 0, None
        for bucket in buckets:
            while number < len(known) and known[number].bucket.start <= bucket.start:
                earlier, number = known[number], number + 1
            if earlier is not None and earlier.bucket == bucket:
                continue
            later = known[number] if number < len(known) else None
            values = {
                each: 0 if each == "count" else _fill(asked.fill, each, bucket, earlier, later)
                for each in asked.functions
            }
            yield Row(bucket, series, values)

    # --- what lies beyond a stretch ----------------------------------------------------------------

    def _last_before(self, moment: int, wanted: Collection[Series]) -> dict[Series, Summary]:
        """Return of each series the last of what it has in the range before a moment."""
        found: dict[Series, Summary] = {}
        missing, length = set(wanted), max(self.question.buckets.length, CELL)
        while missing and moment > self.question.start:
            low = max(self.question.start, (moment - length) // CELL * CELL)
            for cell in self._cells(Bucket(low, moment), {series.metric for series in missing}):
                if cell.series in missing:
                    found[cell.series] = cell.summary
            missing -= found.keys()
            moment, length = low, length * _FURTHER
        return found

    def _first_after(self, moment: int, wanted: Collection[Series]) -> dict[Series, Summary]:
        """Return of each series the first of what it has in the range from a moment on."""
        found: dict[Series, Summary] = {}
        missing, length = set(wanted), max(self.question.buckets.length, CELL)
        while missing and moment < self.question.end:
            high = min(self.question.end, (moment + length) // CELL * CELL + CELL)
            for cell in self._cells(Bucket(moment, high), {series.metric for series in missing}):
                if cell.series in missing:
                    found.setdefault(cell.series, cell.summary)
            missing -= found.keys()
            moment, length = high, length * _FURTHER
        return found


def _parts(stretch: Bucket, borders: Iterable[int]) -> Iterator[tuple[int, int, bool]]:
    """Yield the parts of a stretch that are whole cells, and those that borders cut."""
    cut = sorted({border // CELL * CELL for border in borders if border % CELL})
    low, high = stretch
    while low < high:
        while cut and cut[0] + CELL <= low:
            cut.pop(0)
        if not cut or low < cut[0]:
            whole = min(cut[0], high) if cut else high
            yield low, whole, True
            low = whole
            continue
        end = cut[0] + CELL
        while cut and cut[0] <= end:  # those that touch are read together
            end = cut.pop(0) + CELL
        yield low, min(end, high), False
        low = end


def _fill(
    fill: str, function: str, bucket: Bucket, earlier: Row | None, later: Row | None
) -> Number | None:
    """Return a function of an empty bucket."""
    before = earlier.numbers[function] if earlier else None
    if fill == "previous":
        return before
    after = later.numbers[function] if later else None
    if fill == "null" or earlier is None or later is None or before is None or after is None:
        return None
    start, end = earlier.bucket.start, later.bucket.start
    found = before + (after - before) * ((bucket.start - start) / (end - start))
    return found if math.isfinite(found) else None


def _uncut(_: int) -> None:
    return None
