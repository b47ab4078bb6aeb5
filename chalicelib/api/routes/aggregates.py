"""Aggregates: a device's measurements summed up by buckets of time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from chalicelib.api.aggregation import Aggregation, Place, Question, Row, Source
from chalicelib.api.calls import Call
from chalicelib.api.problems import ProblemError
from chalicelib.api.routes.devices import existing
from chalicelib.model.assembly import Point
from chalicelib.model.cadence import completeness, interval_of
from chalicelib.model.frames import Buckets
from chalicelib.model.metrics import METRICS
from chalicelib.model.records import DISCRIMINATORS
from chalicelib.model.state import Device, State
from chalicelib.model.summaries import Cell, Series, series_of
from chalicelib.model.times import DAY, FIRST, LAST, to_rfc3339
from chalicelib.store import devices, series
from chalicelib.store.rollups import cells

BUCKETS_LIMIT = 1_000_000
_PATIENCE = 10_000
"""Milliseconds after which a page ends with what it has."""
_LOOKED_AT = 500
"""Readings by which an interval is learned."""


def aggregate(call: Call) -> Any:
    """Sum up a device's measurements by buckets of time."""
    device = existing(call)
    buckets = Buckets(call.query["frame"], ZoneInfo(call.query["timezone"]))
    if buckets.number(call.query["from"], call.query["to"]) > BUCKETS_LIMIT:
        detail = f"The range has more than {BUCKETS_LIMIT} buckets."
        raise ProblemError("too-many-buckets", detail)
    # The pages of one answer agree on what the first one found of the whole range.
    *place, shares = call.after or (None,)
    metrics = tuple(shares or call.query["metric"] or sorted(device.metrics))
    if call.nothing:
        return call.page([], None) | _about(device, dict.fromkeys(metrics))
    state, _ = devices.load_state(call.table, call.tenant, device.id)
    known = {series_of(point): point for point, _ in state.latest.values()}
    question = Question(
        metrics,
        call.query["from"],
        call.query["to"],
        buckets,
        call.query["functions"],
        call.query["fill"],
        tuple(sorted(each for each in known if each.metric in metrics)),
    )
    aggregation = Aggregation(question, _source(call, device, state))
    deadline = call.hub.now() + _PATIENCE
    rows, reached = aggregation.page(
        call.limit,
        descending=call.query["order"] == "desc",
        after=Place(place[0], Series.of(place[1])) if place else None,
        enough=lambda: call.hub.now() > deadline,
    )
    if shares is None:
        shares = _completeness(call, device, state, aggregation)
    after = None if reached is None else (*reached, shares)
    shown = [_as_json(row, known.get(row.series)) for row in rows]
    return call.page(shown, after) | _about(device, shares)


def _source(call: Call, device: Device, state: State) -> Source:
    def whole(metrics: Collection[str], start: int, end: int) -> Iterator[Cell]:
        return cells(
            call.table, call.tenant, device, metrics, start=start, end=end, stale=state.stale
        )

    def points(metrics: Collection[str], start: int, end: int) -> Iterator[Point]:
        found = series.readings(call.table, call.tenant, device, metrics, start=start, end=end)
        return (reading.point for reading in found)

    return Source(whole, points)


def _completeness(
    call: Call, device: Device, state: State, aggregation: Aggregation
) -> dict[str, float | None]:
    """Return for each metric the share of its readings that came; of several series the fullest counts."""
    asked = aggregation.question
    said = device.expected_interval
    intervals = dict.fromkeys(asked.metrics, said) if said else _learned(call, device, state, asked)
    if not any(intervals.values()):
        return dict.fromkeys(asked.metrics)
    counts: dict[str, int] = {}
    for each, count in aggregation.counts().items():
        counts[each.metric] = max(count, counts.get(each.metric, 0))
    now = call.hub.now()
    return {
        metric: completeness(counts.get(metric, 0), asked.start, asked.end, now, interval)
        for metric, interval in intervals.items()
    }


def _learned(call: Call, device: Device, state: State, asked: Question) -> dict[str, float | None]:
    """Return at which interval each metric comes, by the newest readings of a day."""
    moments: dict[str, set[int]] = {metric: set() for metric in asked.metrics}
    newest = [point.at for point, _ in state.latest.values() if point.metric in moments]
    if newest:
        end = max(newest) + 1
        found = series.readings(
            call.table, call.tenant, device, asked.metrics,
            start=end - DAY, end=end, descending=True,
        )  # fmt: skip
        for reading in islice(found, _LOOKED_AT):
            moments[reading.point.metric].add(reading.point.at)
    return {metric: interval_of(found) for metric, found in moments.items()}


def _about(device: Device, shares: Mapping[str, float | None]) -> dict[str, Any]:
    units = {metric: _unit(device, metric) for metric in shares}
    return {
        "unit": next(iter(units.values())) if len(units) == 1 else units,
        "completeness": dict(shares),
    }


def _unit(device: Device, metric: str) -> str | None:
    if metric in METRICS:
        return METRICS[metric].unit
    unit: str | None = device.metrics.get(metric, {}).get("unit")
    return unit


def _as_json(row: Row, point: Point | None) -> dict[str, Any]:
    # A discriminator is made of texts; the newest point has the attributes as they are.
    attributes: dict[str, Any] = dict(row.series.discriminator)
    if point is not None:
        attributes = {name: point.attributes[name] for name in DISCRIMINATORS if name in attributes}
    start, end = row.bucket
    return {
        "metric": row.series.metric,
        "attributes": attributes,
        "start": to_rfc3339(max(start, FIRST)),
        "end": to_rfc3339(min(end, LAST)),
        "values": row.numbers,
    }
