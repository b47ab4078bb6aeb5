"""Measurements by range: order, pages, duplicates, and what a page costs."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from chalicelib.api import Request, handle
from chalicelib.aws import Hub
from chalicelib.model.assembly import Assembly, Point, Segment
from chalicelib.model.envelope import arrived
from chalicelib.model.state import Device
from chalicelib.model.times import DAY, HOUR, MINUTE, hour_of, to_rfc3339
from chalicelib.store import devices, said
from chalicelib.store.said import Provenance
from chalicelib.store.table import table_of
from infra.meter import size_of

PATH = "/v1/devices/relayr:a/measurements"
SPAN = {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"}
ALL = {"from_": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"}


def report(tenant: Any, points: list[tuple[int, str, float]]) -> None:
    """Let the device report points, (moment, metric, value), in one payload."""
    items = [{"name": name, "value": value, "timestamp": at} for at, name, value in points]
    tenant.receives(items, "devices/a/measurements")


@pytest.fixture
def series(tenant: Any) -> list[tuple[str, str, float]]:
    """Payloads of several points each, over several hours, out of order; returns them in order."""
    rng = random.Random(3)  # noqa: S311 - a sample, not a secret
    start = hour_of(tenant.clock.now) - 6 * HOUR
    points = [
        (start + number * 450_000, name, float(number))
        for number in range(50)
        for name in ("temperature", "humidity")
    ]
    mixed = rng.sample(points, len(points))
    for place in range(0, len(mixed), 7):
        report(tenant, mixed[place : place + 7])
    names = {"humidity": "relative_humidity", "temperature": "temperature"}
    return sorted((to_rfc3339(at), names[name], value) for at, name, value in points)


def rows_of(page: list[Any]) -> list[tuple[str, str, float]]:
    return [(row["observed_at"], row["metric"], row["value"]) for row in page]


@pytest.mark.parametrize("limit", [1, 7, 100, 500])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_of_any_size_make_the_whole_series(
    tenant: Any, series: list[tuple[str, str, float]], limit: int, order: str
) -> None:
    pages = tenant.pages(PATH, order=order, limit=limit, **ALL)

    found = [row for page in pages for row in rows_of(page)]
    assert found == (series if order == "asc" else series[::-1])
    assert all(len(page) == limit for page in pages[:-1])


def test_the_range_is_half_open(tenant: Any, series: list[tuple[str, str, float]]) -> None:
    start, end = series[20][0], series[40][0]

    found = rows_of(tenant.all(PATH, from_=start, to=end))

    assert found == [row for row in series if start <= row[0] < end]


def test_an_empty_range_is_empty(tenant: Any, series: list[tuple[str, str, float]]) -> None:
    at = series[0][0]

    assert tenant.get(PATH, from_=at, to=at) == {"data": [], "next_cursor": None}


def test_one_metric_of_several(tenant: Any, series: list[tuple[str, str, float]]) -> None:
    found = rows_of(tenant.all(PATH, metric="temperature", limit=9, **ALL))

    assert found == [row for row in series if row[1] == "temperature"]


def test_a_metric_the_device_lacks_is_empty(tenant: Any) -> None:
    report(tenant, [(tenant.clock.now, "temperature", 20)])

    assert tenant.get(PATH, metric="tvoc", **ALL)["data"] == []


def test_a_vendors_own_metric_can_be_asked_for(tenant: Any) -> None:
    report(tenant, [(tenant.clock.now, "flux", 20)])

    (row,) = tenant.get(PATH, metric="relayr.flux", **ALL)["data"]

    assert (row["value"], row["unit"]) == (20, None)


def test_an_unknown_device_is_404(tenant: Any) -> None:
    query = {"from": ALL["from_"], "to": ALL["to"]}

    assert tenant.refused("GET", PATH, **query)["status"] == 404


def test_the_payload_that_arrived_last_wins(tenant: Any) -> None:
    at = tenant.clock.now
    report(tenant, [(at, "temperature", 20), (at - 1, "temperature", 1)])
    report(tenant, [(at, "temperature", 21)])

    rows = tenant.get(PATH, **ALL)["data"]

    assert [row["value"] for row in rows] == [1, 21]


def test_of_one_payload_the_later_value_wins(tenant: Any) -> None:
    at = tenant.clock.now
    report(tenant, [(at, "temperature", 20), (at, "temperature", 22)])

    assert [row["value"] for row in tenant.get(PATH, **ALL)["data"]] == [22]


def test_a_late_point_behind_the_cursor_does_not_disturb_the_next_page(tenant: Any) -> None:
    at = tenant.clock.now
    report(tenant, [(at - each * 1000, "temperature", each) for each in range(6)])
    first = tenant.get(PATH, limit=3, **ALL)
    report(tenant, [(at - 10_000, "temperature", 10)])

    rest = tenant.all(PATH, limit=3, cursor=first["next_cursor"], **ALL)

    assert [row["value"] for row in first["data"] + rest] == [5, 4, 3, 2, 1, 0]


def test_a_measurement_has_its_provenance(tenant: Any) -> None:
    envelope = tenant.measured("a", tenant.clock.now, 20)

    (row,) = tenant.get(PATH, **ALL)["data"]

    assert row["provenance"]["receipt_id"] == envelope.receipt_id
    assert row["provenance"]["connection_id"] == tenant.connection()


class Counting:
    """A DynamoDB client that counts the queries, the items they return and the units they cost."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.queries = 0
        self.items = 0
        self.units = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def query(self, **arguments: Any) -> Any:
        answer = self._client.query(**arguments)
        self.queries += 1
        self.items += len(answer["Items"])
        size = sum(size_of(item) for item in answer["Items"])
        self.units += max(math.ceil(size / 4096), 1) / (1 if arguments["ConsistentRead"] else 2)
        return answer


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_page_costs_what_it_holds_not_what_the_range_holds(tenant: Any, order: str) -> None:
    start = hour_of(tenant.clock.now) - 60 * HOUR
    for hour in range(60):
        for part in range(8):
            at = start + hour * HOUR + part * 60_000
            report(tenant, [(at + each, "temperature", each) for each in range(2)])

    counting = counted(tenant, {**SPAN, "order": order, "limit": 20}, rows=20)

    assert counting.queries <= 3
    assert counting.items <= 48


def counted(tenant: Any, query: dict[str, Any], *, rows: int, path: str = PATH) -> Counting:
    """Read a page that has so many rows; return what was read of the table."""
    counting = Counting(tenant.aws.dynamodb)
    hub = Hub(tenant.hub.config, lambda _: counting, tenant.clock)
    values = {name: [str(value)] for name, value in query.items()}
    headers = {"authorization": f"Bearer {tenant.key}"}
    response = handle(hub, Request("GET", path[1:], values, headers))
    assert len(response.value["data"]) == rows, response.text[:200]
    return counting


def known(tenant: Any, metrics: list[str]) -> None:
    """Let the hub know that the device has these metrics, in messages of one kind."""
    tenant.measured("a", tenant.clock.now - 90 * DAY, 1)

    def change(device: Device) -> None:
        device.metrics = {each: {"unit": None, "kind": "gauge", "in": ["kind"]} for each in metrics}

    devices.change_device(table_of(tenant.hub), tenant.id, "relayr:a", change)


def fill(tenant: Any, start: int, minutes: int, metrics: list[str]) -> None:
    """Let the device have a payload every ten minutes, with a reading of each metric a minute."""
    table = table_of(tenant.hub)
    for at in range(start, start + minutes * MINUTE, 10 * MINUTE):
        points = tuple(
            Point(metric, at + n * MINUTE, n + 0.5, None, None, "good", {})
            for n in range(10)
            for metric in metrics
        )
        segment = Segment("relayr:a", "kind", at, "0" * 10, points)
        receipt = arrived(tenant.connection(), at, b"", "").receipt_id
        source = Provenance(tenant.connection(), receipt, 1)
        said.write(table, tenant.id, Assembly(segments=[segment]), source)


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_page_of_a_hundred_costs_the_same_of_a_thousand_points_and_of_a_hundred_thousand(
    tenant: Any, order: str
) -> None:
    known(tenant, ["relayr.own"])
    start = hour_of(tenant.clock.now) - 100_000 * MINUTE
    query = {**SPAN, "order": order, "limit": 100}
    fill(tenant, start, 1000, ["relayr.own"])
    few = counted(tenant, query, rows=100)

    fill(tenant, start, 100_000, ["relayr.own"])
    many = counted(tenant, query, rows=100)

    assert (many.queries, many.items, many.units) == (few.queries, few.items, few.units)
    assert many.units <= 1.5


def test_a_page_of_a_hundred_costs_no_more_of_thirty_metrics_than_of_one(tenant: Any) -> None:
    thirty = [f"relayr.own{n}" for n in range(30)]
    known(tenant, thirty)
    fill(tenant, hour_of(tenant.clock.now) - 1000 * MINUTE, 1000, thirty[:1])
    one = counted(tenant, {**SPAN, "limit": 100}, rows=100)
    fill(tenant, hour_of(tenant.clock.now) - 1000 * MINUTE, 1000, thirty)

    all_of_them = counted(tenant, {**SPAN, "limit": 100}, rows=100)
    one_of_them = counted(tenant, {**SPAN, "limit": 100, "metric": thirty[7]}, rows=100)

    assert {one.queries, all_of_them.queries, one_of_them.queries} == {one.queries}
    assert max(all_of_them.units, one_of_them.units) <= one.units <= 1
