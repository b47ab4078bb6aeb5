"""How a connection does: through the real handlers, asked by the API."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chalicelib.dispatch import entry as dispatch
from chalicelib.model.envelope import arrived
from chalicelib.model.shapes import LEARNING
from chalicelib.model.times import DAY, HOUR
from chalicelib.normalize import entry as normalize
from chalicelib.normalize.watch import FRESH
from chalicelib.project import entry as project
from chalicelib.store import tallies

pytestmark = pytest.mark.usefixtures("quiet")
DRIFT = "vendor.schema_drift"
TOPIC = "devices/d1/measurements"


def drain(tenant: Any, seen: int) -> None:
    """Let project see the stream from a place on, its own writes included."""
    while seen < len(tenant.aws.dynamodb.stream):
        batch = tenant.aws.dynamodb.stream[seen:]
        seen += len(batch)
        assert project.run({"Records": batch}, tenant.hub) == {"batchItemFailures": []}


def sends(tenant: Any, *payloads: Any, topic: str = TOPIC, vendor: str = "relayr") -> None:
    """Put payloads through normalize, as its queue hands them out, and through project."""
    identity = tenant.connection(vendor)
    seen = len(tenant.aws.dynamodb.stream)
    records = []
    for number, payload in enumerate(payloads):
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        envelope = arrived(identity, tenant.clock.now + number, body, topic)
        records.append({"messageId": str(number), "body": envelope.to_json()})
    tenant.clock.forward(len(payloads))
    assert normalize.run({"Records": records}, tenant.hub) == {"batchItemFailures": []}
    drain(tenant, seen)


def measurement(tenant: Any, **more: Any) -> dict[str, Any]:
    return {"name": "temperature", "value": 21, "timestamp": tenant.clock.now, **more}


def teaches(tenant: Any) -> None:
    for _ in range(LEARNING):
        sends(tenant, [measurement(tenant)])


def health(tenant: Any, vendor: str = "relayr") -> Any:
    normalize.run({"Records": []}, tenant.hub)  # write down what was counted
    return tenant.get(f"/v1/connections/{tenant.connection(vendor)}/health")


def drifts(tenant: Any) -> list[Any]:
    rows = tenant.all("/v1/events", type=DRIFT)
    return [(row["data"]["message_type"], *row["data"]["changes"]) for row in rows]


def change(path: str, drift: str, types: list[str], before: list[str]) -> dict[str, Any]:
    return {"path": path, "drift": drift, "types": types, "before": before}


def test_a_connection_that_never_spoke(tenant: Any) -> None:
    found = health(tenant)

    assert (found["state"], found["last_received_at"]) == ("never", None)
    assert set(found["counts"].values()) == {0}
    assert found["lag"] == {"p50_seconds": None, "p95_seconds": None}
    assert found["drift"] == found["message_types"] == []


def test_every_item_is_counted_once_by_what_became_of_it(tenant: Any) -> None:
    first = [measurement(tenant), {"value": 3}, measurement(tenant, name="humidity")]
    sends(tenant, first)
    sends(tenant, [measurement(tenant)], first, b"{")
    sends(tenant, {"hello": 1}, topic="devices/d1/greetings")

    found = health(tenant)

    # Sent again, the good two are duplicates and the bad one is quarantined by its new receipt.
    assert found["counts"] == {"accepted": 3, "duplicate": 2, "quarantined": 3, "unknown": 1}
    assert found["state"] == "ok"
    assert found["last_received_at"] is not None
    assert {row["type"] for row in found["message_types"]} == {"measurements", "other"}


def test_of_a_list_only_what_was_there_already_is_duplicate(tenant: Any) -> None:
    def spot(name: str, at: int) -> dict[str, Any]:
        return {"id": name, "event_ts": at, "is_active": True}

    now = tenant.clock.now // 1000
    for moved in (now, now + 1):
        body = {"stream_id": "cam", "type": "VPM", "timestamp": now}
        sends(tenant, {**body, "payload": [spot("a", now), spot("b", moved)]}, vendor="viziosense")

    counts = health(tenant, "viziosense")["counts"]
    assert (counts["accepted"], counts["duplicate"]) == (3, 1)


@pytest.mark.parametrize(
    ("late", "p50", "skew"), [(0, 0, 0), (1000, 1, 0), (3600_000, 3600, 0), (-60_000, 0, 60)]
)
def test_lag_and_skew_are_known_within_a_twentieth(
    tenant: Any, late: int, p50: int, skew: int
) -> None:
    for _ in range(5):
        sends(tenant, [measurement(tenant, timestamp=tenant.clock.now - late)])

    found = health(tenant)

    for row in (found, found["message_types"][0]):
        assert row["lag"]["p50_seconds"] == pytest.approx(p50, rel=0.05)
        assert row["clock_skew_seconds"] == pytest.approx(skew, rel=0.05)


def test_states(tenant: Any) -> None:
    sends(tenant, b"{", b"[")
    assert health(tenant)["state"] == "failing"
    sends(tenant, *([measurement(tenant, n=n)] for n in range(3)))
    assert health(tenant)["state"] == "ok"
    tenant.clock.forward(HOUR + 1000)
    assert health(tenant)["state"] == "silent"
    tenant.clock.forward(2 * DAY)
    found = health(tenant)
    assert found["state"] == "silent"
    assert found["last_received_at"] is not None
    assert set(found["counts"].values()) == {0}


def test_fields_are_learned(tenant: Any) -> None:
    sends(tenant, [measurement(tenant)], [measurement(tenant, value="warm", unit="C")])

    (row,) = health(tenant)["message_types"]

    assert (row["type"], row["learning"]) == ("measurements", True)
    assert row["fields"] == [
        {"path": "name", "types": ["string"], "optional": False},
        {"path": "timestamp", "types": ["number"], "optional": False},
        {"path": "unit", "types": ["string"], "optional": True},
        {"path": "value", "types": ["number", "string"], "optional": False},
    ]


def test_new_and_retyped_fields_raise_one_event_each(tenant: Any) -> None:
    teaches(tenant)
    assert drifts(tenant) == []
    for _ in range(3):
        sends(tenant, [measurement(tenant, unit="C")])
        sends(tenant, [measurement(tenant, value="warm")])

    found = [
        ("measurements", change("value", "retyped", ["string"], ["number"])),
        ("measurements", change("unit", "new", ["string"], [])),
    ]
    assert drifts(tenant) == found
    told = health(tenant)["drift"]
    assert [{k: row[k] for k in found[0][1]} for row in told] == [each for _, each in found]
    (newest, _) = tenant.all("/v1/events", type=DRIFT)
    connection = tenant.connection()
    assert newest["device_id"] == f"relayr:connection.{connection}"
    assert newest["provenance"]["connection_id"] == connection
    assert newest["id"] == told[0]["event_id"]
    # What the hub noticed is no device.
    assert {row["id"] for row in tenant.all("/v1/devices")} == {"relayr:d1"}


def test_a_missing_field_is_told_after_a_whole_period(tenant: Any) -> None:
    for _ in range(LEARNING):
        sends(tenant, [measurement(tenant, unit="C")])
    for _ in range(10):
        sends(tenant, [measurement(tenant)])
        tenant.clock.forward(HOUR // 4)

    assert drifts(tenant) == [("measurements", change("unit", "missing", [], ["string"]))]


def test_another_process_learns_what_this_one_did(tenant: Any) -> None:
    teaches(tenant)
    there = tenant.elsewhere()
    tenant.hub = there.hub
    sends(tenant, [measurement(tenant, unit="C")])

    assert drifts(tenant) == [("measurements", change("unit", "new", ["string"], []))]


def test_two_processes_tell_a_change_once(tenant: Any) -> None:
    teaches(tenant)
    here, there = tenant.hub, tenant.elsewhere().hub
    tenant.hub = there
    sends(tenant, [measurement(tenant)])
    for hub in (here, there, here, there):
        tenant.hub = hub
        sends(tenant, [measurement(tenant, unit="C")])
        sends(tenant, [measurement(tenant, unit=None)])

    told = [(each["path"], each["drift"]) for _, each in drifts(tenant)]
    assert sorted(told) == [("unit", "new"), ("unit", "retyped")]


def test_optional_fields_seen_by_different_processes_do_not_go_missing(tenant: Any) -> None:
    for _ in range(LEARNING):
        sends(tenant, [measurement(tenant, unit="C")])
    here, there = tenant.hub, tenant.elsewhere().hub
    for _ in range(40):
        for hub, more in ((here, {"unit": "C"}), (there, {})):
            tenant.hub = hub
            sends(tenant, [measurement(tenant, **more)])
        tenant.clock.forward(FRESH)

    assert drifts(tenant) == []


def test_a_known_look_costs_nothing(tenant: Any) -> None:
    teaches(tenant)
    calls: list[str] = []
    tenant.aws.faults.before = calls.append
    sends(tenant, [measurement(tenant)])
    warm = list(calls)
    tenant.clock.forward(FRESH)
    calls.clear()
    sends(tenant, [measurement(tenant)])

    # Archive, segment; project's read and write of the state.  The connection is read every 2 s.
    assert warm.count("PutItem") == 1
    assert warm.count("UpdateItem") == 1
    assert calls.count("GetItem") == warm.count("GetItem") + 2
    assert calls.count("UpdateItem") == 2  # a minute has passed: the tally


def test_figures_that_cannot_be_written_harm_no_payload(tenant: Any) -> None:
    written: list[str] = []

    def refuse_the_second_update(operation: str) -> None:
        written.append(operation)
        if operation == "UpdateItem" and written.count(operation) == 2:
            raise TimeoutError

    tenant.aws.faults.before = refuse_the_second_update
    sends(tenant, [measurement(tenant)])

    assert tenant.get("/v1/devices")["data"] != []
    assert health(tenant)["counts"]["accepted"] == 0


def test_figures_are_written_once_a_minute(tenant: Any) -> None:
    def hours() -> int:
        stream = tenant.aws.dynamodb.stream
        return sum(r["dynamodb"]["Keys"]["sk"]["S"].startswith("H#") for r in stream)

    for _ in range(100):
        sends(tenant, [measurement(tenant)])
        tenant.clock.forward(1000)

    assert hours() == 2
    assert health(tenant)["counts"]["accepted"] == 100
    assert hours() == 3


def test_it_is_of_ones_own_connections_only(tenant: Any, new_tenant: Any) -> None:
    path = f"/v1/connections/{tenant.connection()}/health"
    unknown = tenant.refused("GET", "/v1/connections/con_none/health")

    assert new_tenant().refused("GET", path)["status"] == unknown["status"] == 404
    assert tenant.key_of("read").get(path)["state"] == "never"
    assert tenant.key_of("write").refused("GET", path)["status"] == 403


def test_drift_goes_out_under_its_own_name(tenant: Any) -> None:
    for types in ({"types": [DRIFT]}, {"event_types": [DRIFT]}, {"types": ["event.occurred"]}):
        body = {
            "name": "x",
            "kind": "webhook",
            "config": {"url": "https://example.com/"},
            "filter": types,
        }
        tenant.post("/v1/integrations", body)
    tenant.clock.forward(5000)
    teaches(tenant)
    sends(tenant, [measurement(tenant, unit="C")])
    stream = tenant.aws.dynamodb.stream
    assert dispatch.run({"Records": stream}, tenant.hub) == {"batchItemFailures": []}

    sent = tenant.queued("deliveries")

    assert len(sent) == 2
    assert all(DRIFT in json.dumps(each) for each in sent)


def test_unmodelled_kinds_are_counted_under_one_name(tenant: Any) -> None:
    for n in range(5):
        sends(tenant, {"n": n}, topic=f"devices/d1/kind{n}")

    (row,) = health(tenant)["message_types"]
    assert (row["type"], row["fields"]) == (tallies.OTHER, [])
