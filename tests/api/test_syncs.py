"""Syncs from the order to the records, against the vendors' APIs on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.aws import Hub
from chalicelib.store import syncs
from chalicelib.store.table import table_of
from chalicelib.sync import schedule
from tests.support.errands import CONFIG, connect, normalized, work
from tests.support.fake_aws import FakeAws
from tests.support.names import Names
from tests.support.vendor_apis import (
    HaltianApi,
    LightelligenceApi,
    RelayrApi,
    Said,
    SoundsensingApi,
    ViziosenseApi,
)

NOW = 1_795_000_000
"""The fakes' clock, in seconds."""
TUID = "TSPR04E2O90201558"
DAY = 86_400_000


@pytest.fixture
def hub(aws: FakeAws, names: Names) -> Hub:
    return Hub(CONFIG, aws.client, aws.clock, names)


@pytest.fixture
def haltian() -> Iterator[HaltianApi]:
    with HaltianApi() as api:
        yield api


def message(at: int, state: int = 1, tuid: str = TUID) -> dict[str, Any]:
    return {"tsmId": 2100, "tsmEv": 10, "tsmTs": at, "tsmTuid": tuid, "state": state}


def done(tenant: Any, sync: str) -> dict[str, Any]:
    """Work until a sync has ended, letting time pass where it waits."""
    for _ in range(60):
        found: dict[str, Any] = tenant.get(sync)
        if found["state"] != "running":
            return found
        if not work(tenant):
            tenant.clock.forward(60_000)
    raise AssertionError("it never ends")


def synced(tenant: Any, path: str) -> dict[str, Any]:
    identity = tenant.post(f"{path}/sync")["id"]
    return done(tenant, f"{path}/sync/{identity}")


def measured(tenant: Any, device: str) -> list[tuple[str, Any]]:
    span = {"from_": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"}
    rows = tenant.all(f"{tenant.device(device)}/measurements", **span)
    return [(each["observed_at"], each["value"]) for each in rows]


# ---- what a sync brings


def test_what_was_missed_is_fetched_as_payloads_and_stored_once(
    tenant: Any, haltian: HaltianApi
) -> None:
    path = connect(tenant, "haltian", haltian)
    haltian.groups = {"prfi00a": [TUID], "prfi00b": ["TSPR04E2O90201559"]}
    haltian.messages = [message(NOW - 300), message(NOW - 200, 0), message(NOW - 8 * 86_400)]
    tenant.receives([message(NOW - 300)], vendor="haltian")

    ended = synced(tenant, path)
    assert tenant.get(f"{path}/health")["sync"] == ended
    brought = normalized(tenant)
    again = synced(tenant, path)
    normalized(tenant)

    assert (ended["state"], ended["requests"], ended["payloads"]) == ("done", 9, brought)
    assert [value for _, value in measured(tenant, f"haltian:{TUID}")][-2:] == [True, False]
    assert len(measured(tenant, f"haltian:{TUID}")) == 3  # with the battery level
    assert tenant.get(tenant.device(f"haltian:{TUID}"))["firmware"] == "2019.11"
    assert tenant.get("/v1/quarantine")["data"] == []
    assert again["from"] > ended["from"]


def test_more_messages_than_one_answer_holds_are_fetched_from_the_newest_back(
    tenant: Any, haltian: HaltianApi
) -> None:
    path = connect(tenant, "haltian", haltian)
    haltian.groups = {"g": [TUID]}
    haltian.messages = [message(NOW - 3000 + each, each % 2) for each in range(2300)]

    ended = synced(tenant, path)
    normalized(tenant)

    assert ended["state"] == "done"
    booleans = [row for row in measured(tenant, f"haltian:{TUID}") if isinstance(row[1], bool)]
    assert len(booleans) == 2300


def test_a_large_inventory_is_fetched_in_slices(tenant: Any, haltian: HaltianApi) -> None:
    path = connect(tenant, "haltian", haltian)
    haltian.groups = {"g": [f"TSPR04E2O9020{each}" for each in range(40)]}
    identity = tenant.post(f"{path}/sync")["id"]
    sync = f"{path}/sync/{identity}"

    work(tenant)
    first = tenant.get(sync)
    ended = done(tenant, sync)

    assert (first["state"], first["requests"]) == ("running", 25)
    assert ended["requests"] == 2 + 3 * 40
    assert len({each.path for each in haltian.asked}) == 2 + 3 * 40 + 1


def test_alarms_that_were_resolved_and_devices_of_soundsensing(tenant: Any) -> None:
    with SoundsensingApi() as api:
        ended = synced(tenant, connect(tenant, "soundsensing", api))
    normalized(tenant)

    assert (ended["state"], ended["payloads"]) == ("done", 2)
    (alert,) = tenant.get("/v1/alerts")["data"]
    assert (alert["state"], alert["name"]) == ("cleared", "alarm.A")
    device = tenant.get(tenant.device("soundsensing:dev"))
    assert device["name"] == "Office"
    assert "sesame" not in str(device)


def test_a_webhook_that_soundsensing_switched_off_is_switched_on(tenant: Any) -> None:
    calls = {"webhooks": "GET /webhooks", "reactivate_webhook": "PATCH /webhooks/{webhook}"}
    mine = f"https://hub.example/webhooks/{tenant.connection('soundsensing')}"
    with SoundsensingApi() as api:
        api.webhooks = [
            {"id": "w1", "url": mine, "active": False},
            {"id": "w2", "url": "https://elsewhere.example/", "active": False},
            {"id": "w3", "url": f"{mine}?token=x", "active": True},
        ]
        ended = synced(tenant, connect(tenant, "soundsensing", api, calls=calls))

    assert (ended["state"], ended["skipped"]) == ("done", 0)
    assert [each["active"] for each in api.webhooks] == [True, False, True]
    assert api.paths.count("PATCH /webhooks/w1") == 1
    assert not [each for each in api.paths if "w2" in each or "w3" in each]


def test_devices_and_their_states_of_lightelligence(tenant: Any) -> None:
    with LightelligenceApi() as api:
        path = connect(tenant, "lightelligence", api)
        credentials = {**api.credentials, "token_url": f"{api.url}/token"}
        tenant.patch(path, {"credentials": credentials})
        ended = synced(tenant, path)
    normalized(tenant)

    assert (ended["state"], ended["requests"], ended["payloads"]) == ("done", 4, 4)
    for page in (0, 1):
        device = tenant.get(tenant.device(f"lightelligence:lamp-{page}"))
        assert (device["name"], device["location"]["address"]) == (f"Lamp {page}", "Hall")
        assert [value for _, value in measured(tenant, device["id"])] == [0.94]
        assert device["last_seen_at"] == "2026-11-17T07:04:15.830Z"


def test_cameras_of_viziosense(tenant: Any) -> None:
    with ViziosenseApi() as api:
        ended = synced(tenant, connect(tenant, "viziosense", api))
    normalized(tenant)

    camera = tenant.get(tenant.device("viziosense:cam"))
    assert (ended["state"], camera["last_seen_at"]) == ("done", None)
    assert (camera["name"], camera["presence"], camera["location"]["city"]) == (
        "Gate",
        "online",
        "Gent",
    )


def test_known_devices_of_relayr_and_what_they_measured(tenant: Any) -> None:
    tenant.measured("d1", (NOW - 50) * 1000, 5, metric="rpm")
    with RelayrApi() as api:
        api.measured = [
            {"name": "rpm", "timestamp": "2026-11-17T10:58:51.287Z", "value": 7},
            {"name": "other", "timestamp": "2026-11-17T10:58:51.287Z", "value": 1},
        ]
        ended = synced(tenant, connect(tenant, "relayr", api))
    normalized(tenant)

    assert (ended["state"], ended["requests"]) == ("done", 1 + 7)
    assert tenant.get(tenant.device("relayr:d1"))["name"] == "Pump"
    assert measured(tenant, "relayr:d1")[0] == ("2026-11-17T10:58:51.287Z", 7)


def test_every_known_device_of_the_connection_is_asked_about(tenant: Any) -> None:
    for number in range(110):
        tenant.receives([{"name": "mode", "value": "auto"}], f"devices/d{number}/measurements")
    other = {"stream_id": "cam", "type": "VPM", "timestamp": NOW, "payload": []}
    tenant.receives(other, vendor="viziosense")
    with RelayrApi() as api:
        ended = synced(tenant, connect(tenant, "relayr", api))

    assert ended["state"] == "done"
    asked = [each.split("/")[2] for each in api.paths if each.count("/") == 2]
    assert sorted(asked) == sorted(f"d{number}" for number in range(110))


# ---- what goes wrong


def test_a_vendor_that_is_away_is_asked_again_where_the_sync_stood(
    tenant: Any, haltian: HaltianApi
) -> None:
    path = connect(tenant, "haltian", haltian)
    haltian.groups = {"g": [TUID]}
    token, busy = Said(200, {"data": {"token": haltian.token}}), Said(429)
    haltian.say(token, busy, Said(429, headers={"Retry-After": "120"}), Said(500))
    identity = tenant.post(f"{path}/sync")["id"]
    sync = f"{path}/sync/{identity}"

    work(tenant)
    waiting = tenant.get(sync)
    asked = len(haltian.asked)
    tenant.clock.forward(4999)
    work(tenant)
    early = len(haltian.asked)
    ended = done(tenant, sync)

    assert (waiting["state"], waiting["reason"]) == ("running", "the vendor answered 429")
    assert asked == early == 2
    assert (ended["state"], haltian.paths.count("GET /groups/")) == ("done", 4)


def test_a_vendor_that_stays_away_fails_the_sync(tenant: Any, haltian: HaltianApi) -> None:
    path = connect(tenant, "haltian", haltian)
    haltian.before = lambda _: Said(500)

    ended = synced(tenant, path)

    assert (ended["state"], ended["reason"]) == ("failed", "no session: status 500")
    assert len(haltian.asked) == 8


def test_credentials_that_let_nobody_in_are_told_in_health(
    tenant: Any, haltian: HaltianApi
) -> None:
    path = connect(tenant, "haltian", haltian)
    tenant.patch(path, {"credentials": {"client_id": "hub", "client_secret": "old"}})

    ended = synced(tenant, path)

    assert ended["state"] == "failed"
    assert tenant.get(f"{path}/health")["sync"]["reason"] == (
        "the vendor refuses the credentials: 401"
    )


@pytest.mark.parametrize("said", [Said(404), Said(200, {"data": "nothing"}), Said(200)])
def test_what_the_vendor_refuses_or_garbles_is_skipped(
    said: Said, tenant: Any, haltian: HaltianApi
) -> None:
    path = connect(tenant, "haltian", haltian)
    haltian.groups = {"g": [TUID, "TSPR04E2O90201559"]}
    haltian.messages = [message(NOW - 300)]
    haltian.before = lambda asked: said if asked.path == f"/things/{TUID}" else None

    ended = synced(tenant, path)

    assert (ended["state"], ended["skipped"]) == ("done", 1)
    assert "thing" in ended["reason"]
    assert ended["payloads"] == 2


def test_a_connection_has_one_sync_at_a_time(tenant: Any, haltian: HaltianApi) -> None:
    path = connect(tenant, "haltian", haltian)
    identity = tenant.post(f"{path}/sync")["id"]

    refused = tenant.refused("POST", f"{path}/sync")
    done(tenant, f"{path}/sync/{identity}")
    tenant.clock.forward(1)
    second = synced(tenant, path)

    assert refused["status"] == 409
    assert [each["id"] for each in tenant.all(f"{path}/sync")] == [second["id"], identity]


def test_a_slice_that_comes_twice_is_done_once(tenant: Any, haltian: HaltianApi) -> None:
    path = connect(tenant, "haltian", haltian)
    tenant.post(f"{path}/sync")
    (text,) = [each.body for each in tenant.aws.sqs.queues["sync"].values()]
    work(tenant)
    asked = len(haltian.asked)
    tenant.aws.sqs.send_message(QueueUrl="sync", MessageBody=text)
    work(tenant)

    assert len(haltian.asked) == asked == 2


def test_a_sync_of_a_deleted_connection_ends(tenant: Any, haltian: HaltianApi) -> None:
    path = connect(tenant, "haltian", haltian)
    tenant.post(f"{path}/sync")
    tenant.delete(path)

    work(tenant)

    assert haltian.asked == []
    assert work(tenant) == 0


def test_a_connection_that_lets_nobody_in_is_409(tenant: Any) -> None:
    path = f"/v1/connections/{tenant.connection('haltian')}"

    assert tenant.refused("POST", f"{path}/sync")["status"] == 409
    assert tenant.get(f"{path}/health")["sync"] is None


# ---- the schedule


def test_credentials_begin_a_sync_and_the_schedule_goes_on(
    tenant: Any, haltian: HaltianApi
) -> None:
    path = connect(tenant, "haltian", haltian)

    begun = [schedule.sweep(tenant.hub) for _ in range(2)]
    (first,) = tenant.all(f"{path}/sync")
    done(tenant, f"{path}/sync/{first['id']}")
    tenant.clock.now = 1000 * NOW + syncs.EVERY
    later = schedule.sweep(tenant.hub)

    assert begun == [1, 0]
    assert later == 1
    assert len(tenant.all(f"{path}/sync")) == 2


def test_a_sync_whose_message_was_lost_goes_on(tenant: Any, haltian: HaltianApi) -> None:
    path = connect(tenant, "haltian", haltian)
    schedule.sweep(tenant.hub)
    tenant.aws.sqs.queues.pop("sync")
    (sync,) = tenant.all(f"{path}/sync")
    tenant.clock.forward(121_000)

    assert schedule.sweep(tenant.hub) == 1
    assert done(tenant, f"{path}/sync/{sync['id']}")["state"] == "done"


@pytest.mark.parametrize("deleted", [False, True])
def test_without_credentials_nothing_is_scheduled_any_more(
    deleted: bool, tenant: Any, haltian: HaltianApi
) -> None:
    path = connect(tenant, "haltian", haltian)
    if deleted:
        tenant.delete(path)
    else:
        tenant.patch(path, {"credentials": {}})

    assert schedule.sweep(tenant.hub) == 0
    assert list(syncs.due(table_of(tenant.hub), tenant.clock.now + 10 * DAY)) == []
