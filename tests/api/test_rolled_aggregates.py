"""Aggregates before and after the days that they tell of are summed up: the same answers, for much less."""

from __future__ import annotations

import random
from typing import Any

import pytest

from chalicelib.api import Request, handle
from chalicelib.aws import Hub
from chalicelib.model.functions import FUNCTIONS, PERCENTILES
from chalicelib.model.times import DAY, HOUR, MINUTE, to_rfc3339
from chalicelib.project import silence

PATH = "/v1/devices/relayr:a/measurements/aggregate"
MAP = {
    "leq": {"metric": "sound_level_eq", "unit": "dB[SPL]"},
    "in": {"metric": "people_in_total", "unit": "1"},
}
DAYS = 9
SUMMED = ",".join(name for name in FUNCTIONS if name not in PERCENTILES)


@pytest.fixture
def start(tenant: Any) -> int:
    """Nine days of three metrics, some of it missing, that end before today; returns where they begin."""
    rng = random.Random(5)  # noqa: S311 - a history, not a secret
    tenant.patch(f"/v1/connections/{tenant.connection()}", {"settings": {"metric_map": MAP}})
    tenant.clock.forward(10_000)
    first: int = tenant.clock.now // DAY * DAY - DAYS * DAY
    for day in range(DAYS):
        items = [
            {"name": name, "value": value, "timestamp": first + day * DAY + minute * MINUTE}
            for minute in range(0, 24 * 60, 15)
            if rng.random() < 0.9
            for name, value in (
                ("temperature", rng.gauss(20, 3)),
                ("leq", rng.gauss(60, 9)),
                ("in", minute % 700),
            )
        ]
        tenant.receives(items, "devices/a/measurements")
    return first


def sum_up(tenant: Any) -> None:
    """Let a day pass in which the device is silent."""
    for _ in range(24):
        tenant.clock.forward(HOUR)
        silence.sweep(tenant.hub)


class Counting:
    """A DynamoDB client that counts the items that queries read of the device."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.items = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def query(self, **arguments: Any) -> Any:
        answer = self._client.query(**arguments)
        self.items += len(answer["Items"])
        return answer


def asked(tenant: Any, start: int, **query: Any) -> list[Any]:
    """Return all pages of an answer, whole."""
    span = {"from_": to_rfc3339(start + 90 * MINUTE), "to": to_rfc3339(start + DAYS * DAY - 1)}
    found = [tenant.get(PATH, limit=60, **span, **query)]
    while cursor := found[-1]["next_cursor"]:
        found.append(tenant.get(PATH, limit=60, cursor=cursor, **span, **query))
    for each in found:
        del each["next_cursor"]
    return found


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu"])
def test_the_answer_is_the_same_to_the_last_bit(
    tenant: Any, start: int, zone: str, order: str
) -> None:
    tenant.patch("/v1/devices/relayr:a", {"expected_interval_seconds": 900})
    questions = [
        {"frame": frame, "functions": functions, "fill": fill, "timezone": zone, "order": order}
        for frame in ("1h", "6h", "1d", "1w")
        for functions, fill in ((SUMMED, "none"), ("mean,diff,count", "linear"))
    ]
    before = [asked(tenant, start, **each) for each in questions]
    sum_up(tenant)

    assert [asked(tenant, start, **each) for each in questions] == before


def test_late_data_counts_before_and_after_it_is_summed_up(tenant: Any, start: int) -> None:
    sum_up(tenant)
    old = asked(tenant, start, frame="1d", functions="max", metric="temperature")
    tenant.measured("a", start + 3 * DAY, 777)
    late = asked(tenant, start, frame="1d", functions="max", metric="temperature")
    sum_up(tenant)

    (changed,) = [
        row for was, row in zip(old[0]["data"], late[0]["data"], strict=True) if row != was
    ]
    assert changed["values"] == {"max": 777}
    assert asked(tenant, start, frame="1d", functions="max", metric="temperature") == late


def test_whole_days_are_read_from_one_item_each(tenant: Any, start: int) -> None:
    tenant.patch("/v1/devices/relayr:a", {"expected_interval_seconds": 900})
    counting = Counting(tenant.aws.dynamodb)
    hub = Hub(tenant.hub.config, lambda _: counting, tenant.clock)
    query = {"from": [to_rfc3339(start)], "to": [to_rfc3339(start + DAYS * DAY)], "frame": ["1d"]}
    request = Request("GET", PATH[1:], query, {"authorization": f"Bearer {tenant.key}"})

    before, read_before = handle(hub, request).value, counting.items
    sum_up(tenant)
    counting.items = 0

    assert handle(hub, request).value == before
    assert (read_before, counting.items) == (24 * DAYS, DAYS)
