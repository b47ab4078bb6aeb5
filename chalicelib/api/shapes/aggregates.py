"""Measurements summed up by buckets of time."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from chalicelib.api.shapes import Moment, Shape


class AggregateBucket(Shape):
    """One bucket of one metric, and of one discriminator: ``attributes`` names it."""

    metric: str = Field(examples=["temperature"])
    attributes: dict[str, Any]
    start: Moment
    end: Moment
    values: dict[str, float | None] = Field(
        description="By function. A bucket that was filled has count 0.",
        examples=[{"mean": 21.5, "min": 20, "max": 23, "count": 60}],
    )


class Aggregate(Shape):
    """A page of buckets, by start, metric and discriminator."""

    data: list[AggregateBucket]
    next_cursor: str | None
    unit: str | dict[str, str | None] | None = Field(
        description="The metric's unit; of several metrics, each one's."
    )
    completeness: dict[str, float | None] = Field(
        description=(
            "By metric: distinct readings of the whole range, divided by those due up to now, at most 1. "
            "Due is one every `expected_interval_seconds`, else one in the interval at which the metric "
            "steadily came lately; null where neither is known. Where attributes set several series apart, "
            "the fullest one counts."
        )
    )
