"""Functions: what a bucket of points says, one number each."""

from __future__ import annotations

import math
from collections.abc import Sequence

from chalicelib.model.summaries import Moment, Number, Summary, counts_up, step

PLAIN = ("min", "max", "mean", "sum", "count", "first", "last", "diff", "stddev")
PERCENTILES = {"p10": 0.1, "p50": 0.5, "p90": 0.9, "p95": 0.95}
"""They need the points themselves; no summary tells them."""
FUNCTIONS = (*PLAIN, *PERCENTILES)
DEFAULT = ("mean", "min", "max", "count")


def value_of(
    function: str, metric: str, summary: Summary, before: Moment | None, values: Sequence[Number]
) -> Number | None:
    """Return a function of a bucket, ``None`` where no double holds it.

    ``before`` is the reading before the bucket, for a counter's first step; ``values`` are the points'
    own, sorted, for a percentile.
    """
    match function:
        case "count":
            found: Number = summary.count
        case "min":
            found = summary.minimum
        case "max":
            found = summary.maximum
        case "sum":
            found = summary.total
        case "mean":
            found = _mean(summary)
        case "first":
            found = summary.first.value
        case "last":
            found = summary.last.value
        case "stddev":
            found = math.sqrt(summary.squares / summary.count)
        case "diff":
            found = _difference(metric, summary, before)
        case _:
            found = percentile(values, PERCENTILES[function])
    return found if math.isfinite(found) else None


def percentile(values: Sequence[Number], share: float) -> Number:
    """Return the value below which a share of sorted values lies, between two of them linearly."""
    place = share * (len(values) - 1)
    low = math.floor(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)


def _mean(summary: Summary) -> float:
    if summary.energy is None:
        return summary.total / summary.count
    mean = summary.energy / summary.count
    return 10 * math.log10(mean) if mean else -math.inf


def _difference(metric: str, summary: Summary, before: Moment | None) -> Number:
    if not counts_up(metric):
        return summary.last.value - summary.first.value
    return summary.climb + (step(before.value, summary.first.value) if before else 0)
