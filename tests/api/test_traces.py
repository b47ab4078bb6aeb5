"""Events, media, receipts and quarantine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chalicelib.model.envelope import from_json
from chalicelib.model.times import to_rfc3339


@pytest.fixture
def logged(tenant: Any) -> Any:
    """Four events of two devices and two types."""
    for number in range(4):
        item = {"message": f"m{number}", "timestamp": tenant.clock.now - 10_000 + number}
        kind = "logs" if number < 3 else "errors"
        tenant.receives([item], f"devices/{'ab'[number % 2]}/{kind}")
    return tenant


def messages(rows: list[Any]) -> str:
    return " ".join(row["data"]["message"] for row in rows)


@pytest.mark.parametrize("limit", [1, 100])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, "m3 m2 m1 m0"),
        ({"type": "relayr.log"}, "m2 m1 m0"),
        ({"type": ["relayr.log", "relayr.error"]}, "m3 m2 m1 m0"),
        ({"vendor": "haltian"}, ""),
        ({"vendor": "relayr", "type": "relayr.error"}, "m3"),
    ],
)
def test_events_of_a_tenant(logged: Any, query: dict[str, Any], expected: str, limit: int) -> None:
    assert messages(logged.all("/v1/events", limit=limit, **query)) == expected


@pytest.mark.parametrize("limit", [1, 100])
def test_events_of_a_device(logged: Any, limit: int) -> None:
    path = "/v1/devices/relayr:a/events"

    assert messages(logged.all(path, limit=limit)) == "m2 m0"
    assert logged.all(path, type="relayr.error") == []


def test_events_by_time(logged: Any) -> None:
    for path in ("/v1/events", "/v1/devices/relayr:a/events"):
        moments = [row["observed_at"] for row in logged.all(path)]
        rows = logged.all(path, from_=moments[-1], to=moments[0])
        assert [row["observed_at"] for row in rows] == moments[1:]
        assert logged.all(path, from_=moments[0], to=moments[0]) == []


def test_events_of_a_tenant_reach_over_months(tenant: Any) -> None:
    month = 31 * 86_400_000
    for number in range(3):
        item = {"message": f"m{number}", "timestamp": tenant.clock.now - number * month}
        tenant.receives([item], "devices/a/logs")

    assert messages(tenant.all("/v1/events", limit=1)) == "m0 m1 m2"


def test_media_of_a_device(tenant: Any) -> None:
    tenant.measured("a", tenant.clock.now, 1)

    assert tenant.all("/v1/devices/relayr:a/media") == []


def test_a_receipt_tells_what_a_payload_became(tenant: Any) -> None:
    items = [
        {"name": "temperature", "value": 20, "timestamp": tenant.clock.now, "token": "hidden"},
        {"name": "humidity", "value": 900, "timestamp": tenant.clock.now},
        {"name": "temperature"},
    ]
    envelope = tenant.receives(items, "devices/a/measurements")

    receipt = tenant.get(f"/v1/receipts/{envelope.receipt_id}")

    assert receipt["state"] == "processed"
    assert receipt["topic"] == "devices/a/measurements"
    assert receipt["received_at"] == to_rfc3339(envelope.received_at)
    assert "token" not in receipt["payload"][0]
    assert [row["value"] for row in receipt["records"]["measurements"]] == [20]
    assert [row["type"] for row in receipt["records"]["events"]] == ["measurement.rejected"]
    assert receipt["records"]["devices"] == ["relayr:a"]
    assert [row["path"] for row in receipt["quarantine"]] == ["$[2]"]
    assert receipt["deliveries"] == []


def test_a_receipts_records_are_the_stored_ones(tenant: Any) -> None:
    envelope = tenant.measured("a", tenant.clock.now, 20)

    receipt = tenant.get(f"/v1/receipts/{envelope.receipt_id}")

    stored = tenant.get("/v1/devices/relayr:a/state")["data"]
    assert receipt["records"]["measurements"] == stored


def test_a_receipt_shows_bytes_that_are_no_json(tenant: Any) -> None:
    envelope = tenant.receives(b"\xff{", "devices/a/alerts")

    assert tenant.get(f"/v1/receipts/{envelope.receipt_id}")["body_base64"] == "/3s="


def test_a_receipt_of_a_payload_under_way_is_queued(tenant: Any) -> None:
    envelope = tenant.receives([], "devices/a/alerts", archived=False)
    path = f"/v1/receipts/{envelope.receipt_id}"

    assert tenant.get(path)["state"] == "queued"
    tenant.clock.forward(16 * 60_000)
    assert tenant.refused("GET", path)["status"] == 404


@pytest.mark.parametrize("identity", ["x", "rcp_x", f"rcp_{0:011x}_abc_{0:020x}"])
def test_what_is_no_receipt_is_404(tenant: Any, identity: str) -> None:
    assert tenant.refused("GET", f"/v1/receipts/{identity}")["status"] == 404


def test_quarantine_is_listed_by_receipt_and_connection(tenant: Any) -> None:
    one = tenant.receives(b"{", "devices/a/alerts")
    two = tenant.receives(b"[", "devices/a/alerts")

    rows = tenant.all("/v1/quarantine", limit=1)

    assert [row["receipt_id"] for row in rows] == [two.receipt_id, one.receipt_id]
    assert tenant.all("/v1/quarantine", receipt=one.receipt_id) == rows[1:]
    assert tenant.all("/v1/quarantine", connection=tenant.connection()) == rows
    assert tenant.all("/v1/quarantine", connection="con_other") == []
    assert tenant.get(f"/v1/quarantine/{rows[0]['id']}") == rows[0]


def test_a_redrive_sends_the_payload_through_again(tenant: Any) -> None:
    envelope = tenant.receives([{"name": "x"}], "devices/a/measurements")
    (row,) = tenant.get("/v1/quarantine")["data"]

    answer = tenant.post(f"/v1/quarantine/{row['id']}/redrive")

    assert answer == {"id": row["id"]}
    (message,) = tenant.queued("inbound")
    again = from_json(json.dumps(message))
    assert (again.receipt_id, again.redrive) == (envelope.receipt_id, row["path"])
    assert json.loads(again.body) == [{"name": "x"}]


def test_a_payload_that_left_the_archive_cannot_be_redriven(tenant: Any) -> None:
    envelope = tenant.receives(b"{", archived=False)
    tenant.process(envelope)
    (row,) = tenant.get("/v1/quarantine")["data"]

    assert tenant.refused("POST", f"/v1/quarantine/{row['id']}/redrive")["status"] == 409


def test_a_filter_that_reads_beyond_a_pages_budget_loses_and_repeats_nothing(tenant: Any) -> None:
    now = tenant.clock.now
    log = [{"message": "x", "timestamp": now - number} for number in range(1500)]
    tenant.receives(log, "devices/a/logs")
    older = [{"message": f"m{number}", "timestamp": now - 5000 - number} for number in range(3)]
    tenant.receives(older, "devices/a/errors")

    for path in ("/v1/events", "/v1/devices/relayr:a/events"):
        pages = tenant.pages(path, type="relayr.error", limit=2)
        assert messages([row for page in pages for row in page]) == "m0 m1 m2"
