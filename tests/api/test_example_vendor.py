"""The invented vendor: there for those who switch it on, for all others no vendor at all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chalicelib import vendors
from chalicelib.aws import Hub
from tests.support.examples import example

RANGE = {"from_": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}


@pytest.fixture
def hub(hub: Hub, aws: Any, switched_on: bool) -> Hub:
    return Hub(replace(hub.config, example_vendor=switched_on), aws.client, aws.clock)


@pytest.mark.parametrize("switched_on", [False])
def test_switched_off_it_is_no_vendor(tenant: Any) -> None:
    listed = [row["name"] for row in tenant.get("/v1/catalog/vendors")["data"]]
    created = tenant.refused("POST", "/v1/connections", {"vendor": "example", "name": "x"})
    asked = tenant.refused("GET", "/v1/devices", vendor="example")
    path = f"{tenant.device('example:roof-1')}/measurements"
    measured = tenant.refused("GET", path, metric="example.rain", **RANGE)

    assert listed == list(vendors.names())
    assert "example" not in listed
    assert (created["status"], created["errors"][0]["pointer"]) == (422, "/vendor")
    assert "example" not in created["errors"][0]["detail"]
    assert (asked["status"], measured["status"]) == (400, 400)


@pytest.mark.parametrize("switched_on", [True])
def test_switched_on_it_is_one_like_any_other(tenant: Any) -> None:
    sent = example("example", "report-own-fields")
    tenant.receives(sent.body, sent.topic, "example")

    listed = [row["name"] for row in tenant.get("/v1/catalog/vendors")["data"]]
    devices = [row["id"] for row in tenant.all("/v1/devices", vendor="example")]
    path = f"{tenant.device('example:roof-1')}/measurements"
    (row,) = tenant.all(path, metric="example.wind.speed", **RANGE)

    assert "example" in listed
    assert devices == ["example:roof-1"]
    assert row["value"] == 3.5
