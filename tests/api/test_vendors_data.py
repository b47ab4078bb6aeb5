"""What the five vendors really send, asked for in every way that the API's table of reads allows.

The rows that no filter narrowed are the oracle: a filter must leave exactly those that have what it names.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib import vendors
from chalicelib.api.table import ROUTES
from chalicelib.store import connections
from chalicelib.store.table import table_of
from tests.support.examples import examples

Query = dict[str, Any]
EVER = {"from_": "1970-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}
VENDORS = vendors.names()


@pytest.fixture
def fed(tenant: Any) -> Any:
    """A tenant that received every example of every vendor, and did this and that to what came."""
    tenant.unlimited = True
    for each in examples():
        if each.vendor not in VENDORS:
            continue
        known = connections.find(table_of(tenant.hub), tenant.connection(each.vendor))
        assert known is not None
        # Some examples have settings that the API would refuse.
        connections.save(table_of(tenant.hub), replace(known, settings=each.settings))
        tenant.receives(each.body, each.topic, each.vendor)
    for number, row in enumerate(tenant.all("/v1/devices")):
        if number % 3:
            labels = {"tags": ["red", "blue"][: number % 3], "groups": [f"g{number % 4}"]}
            tenant.patch(tenant.device(row["id"]), labels)
    for number, row in enumerate(tenant.all("/v1/alerts", state="active")):
        for act in ("acknowledge", "clear")[: number % 3]:
            tenant.post(f"/v1/alerts/{row['id']}/{act}")
    return tenant


def vendor_of(row: Any) -> str:
    return str(row.get("device_id", row["id"])).split(":", 1)[0]


def some_of(values: set[Any]) -> st.SearchStrategy[list[Any]]:
    """Values of a filter that may repeat: none, or one of what there is, or several."""
    return st.lists(st.sampled_from(sorted(values)), max_size=3, unique=True)


def one_of(values: set[Any]) -> st.SearchStrategy[Any]:
    return st.none() | st.sampled_from(sorted(values))


def ask(tenant: Any, path: str, asked: Query, limit: int) -> list[Any]:
    """Walk a listing with the filters that were drawn."""
    query = {name: value for name, value in asked.items() if value not in (None, [])}
    found: list[Any] = tenant.all(path, limit=limit, **query)
    return found


def named(asked: Query, name: str, value: Any) -> bool:
    """Whether a row's value is one of those that were asked for, or nothing was."""
    return not asked[name] or value in asked[name]


def within(asked: Query, moment: str) -> bool:
    return (asked["from"] or "") <= moment and (asked["to"] is None or moment < asked["to"])


def ranges(moments: set[str]) -> st.SearchStrategy[Query]:
    ends = st.tuples(one_of(moments), one_of(moments)).map(
        lambda pair: sorted(pair) if None not in pair else pair
    )
    return ends.map(lambda pair: {"from": pair[0], "to": pair[1]})


def test_filters_of_devices_combine(fed: Any) -> None:
    rows = fed.all("/v1/devices")
    tags = {tag for row in rows for tag in row["tags"]} | {"nobody's"}
    groups = {group for row in rows for group in row["groups"]}
    parents = {row["parent_id"] for row in rows} - {None}
    assert {vendor_of(row) for row in rows} == set(VENDORS)
    assert parents

    @settings(max_examples=60)
    @given(
        vendor=some_of(set(VENDORS)),
        tag=some_of(tags),
        group=some_of(groups),
        presence=one_of({"online", "offline", "unknown"}),
        parent=one_of(parents | {"nobody"}),
        q=one_of({"SOUND", "a", "1", "zzz", rows[0]["native_id"]}),
        limit=st.sampled_from((3, 500)),
    )
    def check(limit: int, **asked: Any) -> None:
        expected = [
            row
            for row in rows
            if named(asked, "vendor", vendor_of(row))
            and (not asked["tag"] or set(asked["tag"]) & set(row["tags"]))
            and (not asked["group"] or set(asked["group"]) & set(row["groups"]))
            and asked["presence"] in {None, row["presence"]}
            and asked["parent"] in {None, row["parent_id"]}
            and any((asked["q"] or "").lower() in (row[m] or "").lower() for m in ("id", "name"))
        ]
        assert ask(fed, "/v1/devices", asked, limit) == expected

    check()


def test_filters_of_alerts_combine(fed: Any) -> None:
    rows = fed.all("/v1/alerts")
    assert {row["state"] for row in rows} == {"active", "cleared"}
    assert {row["acknowledged"] is None for row in rows} == {True, False}

    @settings(max_examples=100)
    @given(
        ends=ranges({row["raised_at"] for row in rows}),
        state=one_of({"active", "cleared"}),
        acknowledged=one_of({"true", "false"}),
        severity=some_of({row["severity"] for row in rows} | {"info"}),
        vendor=some_of(set(VENDORS)),
        device=some_of({row["device_id"] for row in rows} | {"relayr:nobody"}),
        limit=st.sampled_from((2, 500)),
    )
    def check(limit: int, ends: Query, **filters: Any) -> None:
        asked = filters | ends
        expected = [
            row
            for row in rows
            if within(asked, row["raised_at"])
            and asked["state"] in {None, row["state"]}
            and asked["acknowledged"] in {None, "false" if row["acknowledged"] is None else "true"}
            and named(asked, "severity", row["severity"])
            and named(asked, "vendor", vendor_of(row))
            and named(asked, "device", row["device_id"])
        ]
        assert ask(fed, "/v1/alerts", asked, limit) == expected

    check()


def test_filters_of_events_combine(fed: Any) -> None:
    rows = fed.all("/v1/events")
    assert {vendor_of(row) for row in rows} == set(VENDORS)

    @settings(max_examples=60)
    @given(
        ends=ranges({row["observed_at"] for row in rows}),
        type=some_of({row["type"] for row in rows}),
        vendor=some_of(set(VENDORS)),
        limit=st.sampled_from((3, 500)),
    )
    def check(limit: int, ends: Query, **filters: Any) -> None:
        asked = filters | ends
        expected = [
            row
            for row in rows
            if within(asked, row["observed_at"])
            and named(asked, "type", row["type"])
            and named(asked, "vendor", vendor_of(row))
        ]
        assert ask(fed, "/v1/events", asked, limit) == expected

    check()


def test_what_a_device_said_is_the_same_whichever_way_it_is_asked_for(fed: Any) -> None:
    """Each device's own listings against those of all devices, its state, and single reads."""
    devices = fed.all("/v1/devices")
    events, alerts = fed.all("/v1/events"), fed.all("/v1/alerts")
    latest = fed.get("/v1/measurements/latest", device=[row["id"] for row in devices])["data"]
    media = 0
    for device in devices:
        identity, path = device["id"], fed.device(device["id"])
        assert fed.get(path) == device
        assert fed.all(f"{path}/events") == [e for e in events if e["device_id"] == identity]
        assert fed.all("/v1/alerts", device=identity) == [
            each for each in alerts if each["device_id"] == identity
        ]
        assert fed.all("/v1/devices", parent=identity) == [
            each for each in devices if each["parent_id"] == identity
        ]
        state = fed.get(f"{path}/state")
        assert state["data"] == [row for row in latest if row["device_id"] == identity]
        assert (state["presence"], state["last_seen_at"]) == (
            device["presence"],
            device["last_seen_at"],
        )
        points = fed.all(f"{path}/measurements", **EVER)
        assert points[::-1] == fed.all(f"{path}/measurements", order="desc", limit=7, **EVER)
        assert {row["metric"] for row in points} == device["metrics"].keys()
        assert [row for row in state["data"] if row not in points] == []
        for metric, told in device["metrics"].items():
            rows = fed.all(f"{path}/measurements", metric=metric, **EVER)
            assert rows == [row for row in points if row["metric"] == metric]
            assert {row["unit"] for row in rows} == {told["unit"]}
        media += len(fed.all(f"{path}/media", limit=1))
    assert media > 0
    for each in alerts:
        assert fed.get(f"/v1/alerts/{each['id']}") == each


def test_every_read_of_one_thing_answers_for_what_is_listed(fed: Any) -> None:
    """What a listing shows, a read of its id shows too, and a receipt tells what became of its payload."""
    for row in fed.all("/v1/quarantine"):
        assert fed.get(f"/v1/quarantine/{row['id']}") == row
        assert row in fed.all("/v1/quarantine", receipt=row["receipt_id"])
        assert fed.all("/v1/quarantine", receipt=row["receipt_id"], connection="con_no") == []
    for connection in fed.all("/v1/connections"):
        assert fed.get(f"/v1/connections/{connection['id']}") == connection
        assert fed.get(f"/v1/connections/{connection['id']}/health")["vendor"] in VENDORS
    receipts = {row["provenance"]["receipt_id"] for row in fed.all("/v1/events")}
    for receipt in receipts:
        assert fed.get(f"/v1/receipts/{quote(receipt)}")["state"] == "processed"


DESIGNED = {
    "/v1/devices": "vendor tag group presence q parent",
    "/v1/devices/{device_id}": "",
    "/v1/devices/{device_id}/state": "",
    "/v1/devices/{device_id}/measurements": "metric from to order limit",
    "/v1/measurements/latest": "device metric",
    "/v1/devices/{device_id}/events": "type from to",
    "/v1/devices/{device_id}/media": "",
    "/v1/events": "type vendor from to",
    "/v1/alerts": "state severity vendor device acknowledged from to",
    "/v1/alerts/{alert_id}": "",
    "/v1/connections": "",
    "/v1/connections/{connection_id}": "",
    "/v1/connections/{connection_id}/health": "",
    "/v1/integrations": "",
    "/v1/integrations/{integration_id}": "",
    "/v1/integrations/{integration_id}/deliveries": "",
    "/v1/deliveries/{delivery_id}": "",
    "/v1/receipts/{receipt_id}": "",
    "/v1/quarantine": "receipt connection",
    "/v1/quarantine/{quarantine_id}": "",
    "/v1/catalog/vendors": "",
    "/v1/catalog/metrics": "",
    "/v1/catalog/destinations": "",
    "/v1/catalog/event-types": "",
    "/v1/health": "",
    "/v1/openapi.json": "",
}
"""The reads that were promised, and the parameters of each."""


@pytest.mark.parametrize("template", DESIGNED)
def test_what_was_promised_can_be_asked_for(template: str) -> None:
    (route,) = [each for each in ROUTES if (each.method, each.template) == ("GET", template)]

    assert set(DESIGNED[template].split()) <= {each.name for each in route.query}
