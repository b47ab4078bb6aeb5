"""Recovery as operators ask for it: replay and its preview, retries, redrive, tests of a filter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.deliver.courier import Courier, Hands
from chalicelib.model.times import HOUR, to_rfc3339
from chalicelib.outbound.http import Outcome
from chalicelib.store import deliveries, jobs
from chalicelib.store.table import table_of

BODY = {"name": "Ticketing", "kind": "webhook", "config": {"url": "https://example.com/hook"}}
MINUTE = 60_000


@pytest.fixture
def path(tenant: Any) -> str:
    """An integration, and half an hour of a device: 30 measurements, one alert."""
    now = tenant.clock.now
    for minute in range(30):
        tenant.measured("d", now - minute * MINUTE, minute)
    tenant.alerted("d", "leak", now - 5 * MINUTE)
    return f"/v1/integrations/{tenant.post('/v1/integrations', BODY)['id']}"


def lasting(tenant: Any, start: int, end: int, **more: Any) -> dict[str, Any]:
    now = tenant.clock.now
    return {"from": to_rfc3339(now + start), "to": to_rfc3339(now + end), **more}


def worked_off(tenant: Any) -> list[Any]:
    """Do the jobs that are queued; return the messages that carry events."""
    courier = Courier(tenant.hub, Hands(lambda _: Outcome(200, 1), None))  # type: ignore[arg-type]
    carried: list[Any] = []
    while messages := tenant.queued("deliveries"):
        for message in messages:
            if "job" in message:
                courier.take(message, None, again=False)  # type: ignore[arg-type]
            else:
                carried.append(message)
    return carried


def test_a_preview_counts_what_the_replay_then_delivers(tenant: Any, path: str) -> None:
    asked = lasting(tenant, -HOUR, 1)
    tenant.queued("deliveries")

    counted = tenant.post(f"{path}/replay", asked | {"preview": True})
    assert counted == {"count": 32, "complete": True}
    assert tenant.queued("deliveries") == []

    made = tenant.post(f"{path}/replay", asked)
    running = tenant.get(f"{path}/replays/{made['id']}")
    assert (running["kind"], running["state"], running["count"]) == ("replay", "running", 0)
    assert (running["from"], running["to"]) == (asked["from"], asked["to"])

    messages = worked_off(tenant)

    events = [event for message in messages for event in message["events"]]
    assert len(events) == 32
    assert {message["replay"] for message in messages} == {made["id"]}
    done = tenant.get(f"{path}/replays/{made['id']}")
    assert (done["state"], done["count"], done["looked_at"]) == ("done", 32, 32)
    assert done["finished_at"] is not None
    assert tenant.all(f"{path}/replays") == [done]


def test_the_integrations_filter_counts_unless_another_is_given(tenant: Any, path: str) -> None:
    tenant.patch(path, {"filter": {"types": ["alert.*"]}})
    asked = lasting(tenant, -HOUR, 1, preview=True)
    some = {"conditions": [{"metric": "temperature", "op": "<", "value": 10}]}

    assert tenant.post(f"{path}/replay", asked)["count"] == 1
    assert tenant.post(f"{path}/replay", {**asked, "filter": some})["count"] == 10
    assert tenant.post(f"{path}/replay", {**asked, "filter": {}})["count"] == 32


def test_a_range_is_half_open(tenant: Any, path: str) -> None:
    only = {"filter": {"types": ["measurement.*"]}, "preview": True}
    ends = to_rfc3339(tenant.clock.now - 31)
    begin = to_rfc3339(tenant.clock.now - 31 - 10 * MINUTE)

    counted = tenant.post(f"{path}/replay", {"from": begin, "to": ends, **only})

    assert counted["count"] == 10
    assert tenant.post(f"{path}/replay", {"from": ends, "to": ends, **only})["count"] == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"from": "2026-01-01T00:00:00Z"}, 422),
        ({"from": "yesterday", "to": "2026-01-01T00:00:00Z"}, 422),
        ({"from": "2026-01-01T00:00:00", "to": "2026-01-02T00:00:00Z"}, 422),
        ({"from": 1, "to": 2}, 422),
        ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, 400),
        ({"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z", "preview": 1}, 422),
        ({"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z", "speed": 1}, 422),
        ({"begin": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}, 422),
    ],
)
def test_a_wrong_replay_is_refused(tenant: Any, path: str, body: Any, status: int) -> None:
    assert tenant.refused("POST", f"{path}/replay", body)["status"] == status
    assert tenant.all(f"{path}/replays") == []


@pytest.mark.parametrize("rules", [{"colours": ["red"]}, {"types": []}, {"vendors": "x"}, []])
def test_a_wrong_filter_is_refused_with_its_place(tenant: Any, path: str, rules: Any) -> None:
    asked = lasting(tenant, -HOUR, 1, filter=rules)

    for problem in (
        tenant.refused("POST", f"{path}/replay", asked),
        tenant.refused("POST", f"{path}/filter-test", {"filter": rules}),
    ):
        assert problem["status"] == 422
        assert problem["errors"][0]["pointer"].startswith("/filter")


def test_nothing_is_replayed_to_a_disabled_integration(tenant: Any, path: str) -> None:
    tenant.patch(path, {"enabled": False})

    assert tenant.refused("POST", f"{path}/replay", lasting(tenant, -HOUR, 1))["status"] == 409
    assert tenant.post(f"{path}/replay", lasting(tenant, -HOUR, 1, preview=True))["count"] == 32


def test_a_preview_that_takes_too_long_says_so(tenant: Any, path: str) -> None:
    class Hurried(type(tenant.clock)):  # type: ignore[misc]
        def __call__(self) -> int:
            self.now += 3000
            return int(self.now)

    tenant.hub.now = Hurried(tenant.clock.now)

    counted = tenant.post(f"{path}/replay", lasting(tenant, -HOUR, 1, preview=True))

    assert not counted["complete"]
    assert counted["count"] < 32


def test_a_test_of_a_filter_shows_what_of_the_last_hour_matches(tenant: Any, path: str) -> None:
    tenant.measured("d", tenant.clock.now - HOUR - MINUTE, 1)
    tenant.queued("deliveries")

    shown = tenant.post(f"{path}/filter-test", {"filter": {"types": ["alert.raised"]}})

    assert (shown["looked_at"], shown["matched"], shown["complete"]) == (32, 1, True)
    (event,) = shown["data"]
    assert (event["type"], event["data"]["name"]) == ("alert.raised", "leak")
    assert "tributaryreplay" not in event
    assert tenant.queued("deliveries") == []


def test_a_test_without_a_filter_takes_the_integrations(tenant: Any, path: str) -> None:
    tenant.patch(path, {"filter": {"metrics": ["temperature"]}})

    assert tenant.post(f"{path}/filter-test")["matched"] == 30
    assert tenant.post(f"{path}/filter-test", {"filter": {}})["matched"] == 32


def test_a_test_of_a_filter_shows_a_hundred_at_most(tenant: Any, path: str) -> None:
    for second in range(150):
        tenant.measured("e", tenant.clock.now - second * 1000, second)

    shown = tenant.post(f"{path}/filter-test")

    assert (shown["matched"], len(shown["data"])) == (183, 100)


def test_what_failed_goes_again(tenant: Any, path: str) -> None:
    identity = path.rsplit("/", 1)[1]
    row = dead(tenant, identity)
    tenant.clock.forward(1)

    for call, body in (("retry-failed", {"since": "2020-01-01T00:00:00+01:00"}), ("redrive", None)):
        deliveries.save(table_of(tenant.hub), row)
        made = tenant.post(f"{path}/{call}", body)
        worked_off(tenant)

        done = tenant.get(f"{path}/replays/{made['id']}")
        assert (done["state"], done["count"], done["from"]) == ("done", 1, None)
        found = deliveries.find(table_of(tenant.hub), tenant.id, row.id)
        assert found is not None
        assert (found.state, found.next_attempt_at) == ("pending", tenant.clock.now)
        row = dead(tenant, identity, found.version)
        tenant.clock.forward(1)


def dead(tenant: Any, identity: str, version: int = 0) -> deliveries.Delivery:
    event = {"id": "evt", "type": "integration.test", "data": {}}
    row = deliveries.begun(tenant.id, identity, [event], batch=False, now=tenant.clock.now)
    attempt = {
        "at": to_rfc3339(tenant.clock.now),
        "status": 500,
        "latency_ms": 0,
        "response_excerpt": "",
        "error": None,
    }
    return replace(row, state="dead", attempts=(attempt,), version=version)


@pytest.mark.parametrize("body", [{}, {"since": "now"}, {"since": None}, {"from": "x"}])
def test_a_wrong_moment_is_refused(tenant: Any, path: str, body: Any) -> None:
    assert tenant.refused("POST", f"{path}/retry-failed", body)["status"] == 422


def test_deleting_cancels_what_is_pending(tenant: Any, path: str) -> None:
    identity = path.rsplit("/", 1)[1]
    event = {"id": "evt", "type": "integration.test", "data": {}}
    table = table_of(tenant.hub)
    row = deliveries.begun(tenant.id, identity, [event], batch=False, now=tenant.clock.now)
    deliveries.save(table, row)
    tenant.clock.forward(1000)  # what was known of the integration is read again
    tenant.queued("deliveries")

    tenant.delete(path)
    worked_off(tenant)

    assert tenant.get(f"/v1/deliveries/{row.id}")["state"] == "cancelled"
    assert tenant.refused("GET", f"{path}/deliveries")["status"] == 404
    assert list(jobs.due(table, tenant.clock.now + 10 * HOUR, ("replay", "retry", "redrive"))) == []


def test_an_unknown_job_is_404(tenant: Any, path: str) -> None:
    assert tenant.refused("GET", f"{path}/replays/job_x")["status"] == 404
