"""Cursors: opaque, reusable, and bound to tenant, route, filters and order."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

RANGE = {"from_": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"}


@pytest.fixture
def filled(tenant: Any) -> Any:
    now = tenant.clock.now
    for number in range(5):
        tenant.measured(f"d{number}", now - number * 1000, 20 + number)
        tenant.measured("d0", now - 3_600_000 + number, 10 + number)
    return tenant


def cursor_of(tenant: Any, path: str, **query: Any) -> str:
    return str(tenant.get(path, limit=2, **query)["next_cursor"])


def test_a_cursor_may_be_used_again_and_with_another_limit(filled: Any) -> None:
    cursor = cursor_of(filled, "/v1/devices")

    first = filled.get("/v1/devices", cursor=cursor, limit=2)["data"]

    assert filled.get("/v1/devices", cursor=cursor)["data"][:2] == first


def test_the_last_page_has_no_cursor_even_when_it_is_full(filled: Any) -> None:
    assert [len(page) for page in filled.pages("/v1/devices", limit=5)] == [5]


def test_changing_any_character_is_refused(filled: Any) -> None:
    cursor = cursor_of(filled, "/v1/devices")
    rng = random.Random(7)  # noqa: S311 - a sample, not a secret
    places = rng.sample(range(len(cursor)), 20)
    for place in [*places, len(cursor) - 1]:
        for letter in "AbQ_9":
            forged = cursor[:place] + letter + cursor[place + 1 :]
            if forged != cursor:
                assert filled.refused("GET", "/v1/devices", cursor=forged)["status"] == 400


def test_padding_and_blanks_around_are_refused(filled: Any) -> None:
    cursor = cursor_of(filled, "/v1/devices")
    for forged in (f"{cursor}=", f" {cursor}", f"{cursor}\n"):
        assert filled.refused("GET", "/v1/devices", cursor=forged)["status"] == 400


def test_it_does_not_move_between_tenants(filled: Any, new_tenant: Callable[[], Any]) -> None:
    cursor = cursor_of(filled, "/v1/devices")

    assert new_tenant().refused("GET", "/v1/devices", cursor=cursor)["status"] == 400


def test_it_does_not_move_between_routes(filled: Any) -> None:
    cursor = cursor_of(filled, "/v1/devices")

    assert filled.refused("GET", "/v1/connections", cursor=cursor)["status"] == 400


def test_it_does_not_move_between_devices(filled: Any) -> None:
    path = filled.device("relayr:d0") + "/measurements"
    cursor = cursor_of(filled, path, **RANGE)
    other = filled.device("relayr:d1") + "/measurements"

    query = {"from": RANGE["from_"], "to": RANGE["to"], "cursor": cursor}
    assert filled.refused("GET", other, **query)["status"] == 400


def test_it_does_not_move_between_filters_or_orders(filled: Any) -> None:
    path = filled.device("relayr:d0") + "/measurements"
    cursor = cursor_of(filled, path, metric=["temperature", "tvoc"], **RANGE)
    query = {"from": RANGE["from_"], "to": RANGE["to"], "cursor": cursor}

    for changed in ({}, {"metric": "tvoc"}, {"metric": ["temperature", "tvoc"], "order": "desc"}):
        assert filled.refused("GET", path, **query, **changed)["status"] == 400
    assert filled.get(path, **query, metric=["tvoc", "temperature"])["data"]


def test_it_survives_writes_between_pages(filled: Any) -> None:
    seen = [row["id"] for row in filled.get("/v1/devices", limit=2)["data"]]
    cursor = cursor_of(filled, "/v1/devices")
    filled.measured("new", filled.clock.now, 20)

    seen += [row["id"] for row in filled.all("/v1/devices", limit=2, cursor=cursor)]

    assert seen == [f"relayr:d{number}" for number in (4, 3, 2, 1, 0)]
