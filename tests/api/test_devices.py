"""Devices: listing with filters, what operators say, state and latest."""

from __future__ import annotations

from typing import Any

import pytest

DEVICE = "/v1/devices/relayr:a"


@pytest.fixture
def fleet(tenant: Any) -> Any:
    for name in ("a", "b", "c"):
        tenant.measured(name, tenant.clock.now, 20)
    tenant.patch(DEVICE, {"name": "Front Door", "tags": ["door", "red"], "groups": ["east"]})
    tenant.patch("/v1/devices/relayr:b", {"tags": ["red"], "groups": ["west"]})
    return tenant


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, "cba"),
        ({"vendor": "relayr"}, "cba"),
        ({"vendor": "haltian"}, ""),
        ({"vendor": ["haltian", "relayr"]}, "cba"),
        ({"tag": "red"}, "ba"),
        ({"tag": ["door", "blue"]}, "a"),
        ({"tag": "red", "group": "west"}, "b"),
        ({"group": ["east", "west"]}, "ba"),
        ({"presence": "online"}, "cba"),
        ({"presence": "offline"}, ""),
        ({"q": "DOOR"}, "a"),
        ({"q": "relayr:C"}, "c"),
        ({"parent": "relayr:x"}, ""),
    ],
)
def test_filters_narrow(fleet: Any, query: dict[str, Any], expected: str) -> None:
    found = [row["native_id"] for row in fleet.all("/v1/devices", **query)]

    assert "".join(found) == expected


def test_children_are_found_by_their_parent(tenant: Any) -> None:
    tenant.receives(
        {
            "stream_id": "cam1",
            "app_type": "VPM",
            "timestamp": str(tenant.clock.now // 1000),
            "data": {
                "spots": [
                    {
                        "id": "spot1",
                        "state": "occupied",
                        "status": "occupied",
                        "event_ts": str(tenant.clock.now // 1000),
                    }
                ]
            },
        },
        vendor="viziosense",
    )
    parents = {row["parent_id"] for row in tenant.get("/v1/devices")["data"]} - {None}
    for parent in parents:
        assert tenant.all("/v1/devices", parent=parent)


def test_a_filter_that_matches_little_still_reaches_the_end(fleet: Any) -> None:
    assert [len(page) for page in fleet.pages("/v1/devices", q="door", limit=1)] == [1]


def test_a_device_shows_all_members(fleet: Any) -> None:
    device = fleet.get(DEVICE)

    assert device["last_seen_at"] is not None
    assert device["metrics"] == {"temperature": {"unit": "Cel", "kind": "gauge"}}
    assert device["location"]["city"] is None


def test_null_gives_the_name_back_to_the_vendor(fleet: Any) -> None:
    assert fleet.patch(DEVICE, {"name": None})["name"] is None


def test_a_location_is_merged_member_by_member(fleet: Any) -> None:
    fleet.patch(DEVICE, {"location": {"city": "Oslo", "latitude": 59.9}})

    location = fleet.patch(DEVICE, {"location": {"room": "1", "latitude": None}})["location"]

    assert (location["city"], location["room"], location["latitude"]) == ("Oslo", "1", None)
    assert fleet.patch(DEVICE, {"location": None})["location"]["city"] is None


def test_an_empty_patch_changes_nothing(fleet: Any) -> None:
    assert fleet.patch(DEVICE, {}) == fleet.get(DEVICE)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"tags": None}, "/tags"),
        ({"tags": ["a", "a"]}, "/tags"),
        ({"tags": [""]}, "/tags/0"),
        ({"tags": "red"}, "/tags"),
        ({"groups": [1]}, "/groups/0"),
        ({"location": {"planet": "Mars"}}, "/location/planet"),
        ({"location": {"latitude": 91}}, "/location/latitude"),
        ({"location": {"latitude": "59"}}, "/location/latitude"),
        ({"expected_interval_seconds": 0}, "/expected_interval_seconds"),
        ({"expected_interval_seconds": True}, "/expected_interval_seconds"),
        ({"presence": "online"}, "/presence"),
    ],
)
def test_a_wrong_patch_is_422(fleet: Any, body: Any, pointer: str) -> None:
    (error,) = fleet.refused("PATCH", DEVICE, body)["errors"]

    assert error["pointer"] == pointer


def test_an_expected_interval_is_a_positive_number_or_null(fleet: Any) -> None:
    for interval in (2.5, None):
        body = {"expected_interval_seconds": interval}
        assert fleet.patch(DEVICE, body)["expected_interval_seconds"] == interval


def test_state_has_the_latest_of_every_metric_with_its_provenance(tenant: Any) -> None:
    now = tenant.clock.now
    tenant.measured("a", now - 5000, 20)
    latest = tenant.measured("a", now, 21)
    tenant.measured("a", now - 9000, 19)
    humid = tenant.measured("a", now - 7000, 40, "humidity")

    state = tenant.get(f"{DEVICE}/state")

    found = {
        row["metric"]: (row["value"], row["provenance"]["receipt_id"]) for row in state["data"]
    }
    assert found == {
        "temperature": (21, latest.receipt_id),
        "relative_humidity": (40, humid.receipt_id),
    }
    assert state["presence"] == "online"
    assert state["device_id"] == "relayr:a"


def test_state_agrees_with_the_series(tenant: Any) -> None:
    tenant.measured("a", tenant.clock.now, 21)
    query = {"from_": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"}

    assert tenant.get(f"{DEVICE}/state")["data"] == tenant.all(f"{DEVICE}/measurements", **query)


def test_latest_leaves_unknown_devices_out(fleet: Any) -> None:
    wanted = ["relayr:b", "relayr:nobody", "relayr:a", "relayr:b"]

    answer = fleet.get("/v1/measurements/latest", device=wanted)

    assert [row["device_id"] for row in answer["data"]] == ["relayr:b", "relayr:a"]
    assert set(answer) == {"data"}


def test_latest_of_some_metrics(fleet: Any) -> None:
    fleet.measured("a", fleet.clock.now, 7, "humidity")
    query = {"device": ["relayr:a", "relayr:b"], "metric": "relative_humidity"}

    (row,) = fleet.get("/v1/measurements/latest", **query)["data"]

    assert row["value"] == 7


def test_latest_needs_a_device(tenant: Any) -> None:
    assert tenant.refused("GET", "/v1/measurements/latest")["status"] == 400
