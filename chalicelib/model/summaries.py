"""Summaries: what can be said of some points of one series without the points.

Points are first summed up by cells, which are whole hours in UTC, then cells are joined in order of
time.  That is the only way, whether a cell comes from a rollup or from the points themselves, so both
say the same to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any, NamedTuple, Protocol

from chalicelib.model.assembly import Point
from chalicelib.model.metrics import METRICS
from chalicelib.model.times import HOUR

CELL = HOUR
"""Milliseconds of a cell: a rollup stores one summary for each; cells begin at multiples of it."""
SOUND = "dB[SPL]"
"""The unit whose mean is the mean of the energy."""
Number = float | int


class Series(NamedTuple):
    """What a point is a reading of: metric, and the attributes that set readings apart."""

    metric: str
    discriminator: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, value: Any) -> Series:
        """Read a series that went through JSON."""
        metric, discriminator = value
        return cls(metric, tuple((name, each) for name, each in discriminator))


class Moment(NamedTuple):
    """One reading: when (ms) and what."""

    at: int
    value: Number


@dataclass(frozen=True, slots=True)
class Summary:
    """What is known of at least one point of a series.

    ``squares`` is the sum of squared distances from the mean, ``energy`` that of ``10 ** (value / 10)``
    (``None`` unless all are sound levels), ``climb`` the sum of a counter's steps (0 for what is none).
    Booleans are 0 and 1.
    """

    count: int
    minimum: Number
    maximum: Number
    total: Number
    squares: float
    energy: float | None
    climb: Number
    first: Moment
    last: Moment

    def as_list(self) -> list[Any]:
        """Return plain values that JSON brings back exactly (what no double holds, as a text)."""
        numbers = (self.minimum, self.maximum, self.total, self.squares, self.energy, self.climb)
        return [self.count, *map(_plain, numbers), *self.first, *self.last]

    @classmethod
    def of(cls, value: Sequence[Any]) -> Summary:
        """Read what :meth:`as_list` returned."""
        count, *numbers, first_at, first, last_at, last = value
        low, high, total, squares, energy, climb = (
            float(each) if isinstance(each, str) else each for each in numbers
        )
        moments = Moment(first_at, first), Moment(last_at, last)
        return cls(count, low, high, total, squares, energy, climb, *moments)


class Cell(NamedTuple):
    """The summary of a series' points in [``start``, ``start`` + :data:`CELL`)."""

    series: Series
    start: int
    summary: Summary


class Cells(Protocol):
    """Where summaries of whole cells come from: rollups, or points."""

    def __call__(self, metrics: Collection[str], start: int, end: int) -> Iterator[Cell]:
        """Yield the cells that hold points, in order of time; both ends are multiples of a cell."""


def series_of(point: Point) -> Series:
    """Return the series that a point belongs to."""
    return Series(point.metric, point.discriminator)


def number_of(value: Number) -> Number:
    """Return a value as a number: a boolean is 0 or 1."""
    return int(value) if isinstance(value, bool) else value


def counts_up(metric: str) -> bool:
    """Say whether a metric is a counter: only its steps mean something, and it may start again at 0."""
    return metric.endswith("_total")


def step(earlier: Number, later: Number) -> Number:
    """Return by how much a counter went up; a fall is a restart from 0."""
    return later - earlier if later >= earlier else later


def summarize(metric: str, points: Sequence[Point]) -> Summary:
    """Sum up the points of one series in one cell (or a part of it), given in order of time."""
    values = [number_of(point.value) for point in points]
    total: Number = 0
    for value in values:  # not sum(): from Python 3.12 on it rounds otherwise
        total += value
    mean = total / len(values)
    squares = 0.0
    climb: Number = 0
    for value in values:
        squares += _square(value - mean)
    if counts_up(metric):
        for earlier, later in pairwise(values):
            climb += step(earlier, later)
    return Summary(
        count=len(values),
        minimum=min(values),
        maximum=max(values),
        total=total,
        squares=squares,
        energy=_energy(metric, points),
        climb=climb,
        first=Moment(points[0].at, values[0]),
        last=Moment(points[-1].at, values[-1]),
    )


def join(earlier: Summary, later: Summary) -> Summary:
    """Sum up what two summaries of a series say, the later one following the earlier one.

    The step between them counts as climbed; for what is no counter nobody asks.
    """
    count = earlier.count + later.count
    apart = later.total / later.count - earlier.total / earlier.count
    between = _square(apart) * earlier.count * later.count / count
    both = earlier.energy is not None and later.energy is not None
    return Summary(
        count=count,
        minimum=min(earlier.minimum, later.minimum),
        maximum=max(earlier.maximum, later.maximum),
        total=earlier.total + later.total,
        squares=earlier.squares + later.squares + between,
        energy=(earlier.energy or 0) + (later.energy or 0) if both else None,
        climb=earlier.climb + step(earlier.last.value, later.first.value) + later.climb,
        first=earlier.first,
        last=later.last,
    )


def cells_of(points: Iterable[Point], cut: Callable[[int], Any] = lambda _: None) -> Iterator[Cell]:
    """Yield the cells of points that come in order of time; bad points are left out.

    A cell within which ``cut`` (of a moment) changes comes in parts.
    """
    good = (point for point in points if point.quality != "bad")
    for (start, _), within in groupby(good, lambda each: (each.at - each.at % CELL, cut(each.at))):
        found: dict[Series, list[Point]] = {}
        for point in within:
            found.setdefault(series_of(point), []).append(point)
        for series in sorted(found):
            yield Cell(series, start, summarize(series.metric, found[series]))


def _energy(metric: str, points: Sequence[Point]) -> float | None:
    row = METRICS.get(metric)
    energy = 0.0
    for point in points:
        if (row.unit if row else point.unit) != SOUND:
            return None
        try:
            energy += 10.0 ** (point.value / 10)
        except OverflowError:
            return math.inf
    return energy


def _square(value: float) -> float:
    # The product is infinite where ** would raise.
    return float(value) * float(value)


def _plain(number: Number | None) -> Number | str | None:
    return repr(number) if number is not None and not math.isfinite(number) else number
