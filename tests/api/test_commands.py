"""Commands from the order to their end, against the vendors' APIs on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from chalicelib import errands
from chalicelib.aws import Hub
from chalicelib.model.commands import STATES
from chalicelib.store import commands
from chalicelib.store.table import table_of
from chalicelib.sync import entry as sync
from chalicelib.sync import timeouts
from tests.support.errands import CONFIG, connect, dispatched, work
from tests.support.fake_aws import FakeAws
from tests.support.names import Names
from tests.support.simulation import Crash
from tests.support.vendor_apis import (
    HaltianApi,
    LightelligenceApi,
    RelayrApi,
    Said,
    ViziosenseApi,
)
from tests.support.world import Nth

TUID = "TSPR04E2O90201558"
DEVICE = f"haltian:{TUID}"
WANTED = {"measurementInterval": 10, "reportInterval": 60}


@pytest.fixture
def hub(aws: FakeAws, names: Names) -> Hub:
    return Hub(CONFIG, aws.client, aws.clock, names)


@pytest.fixture
def haltian() -> Iterator[HaltianApi]:
    with HaltianApi() as api:
        yield api


@pytest.fixture
def device(tenant: Any, haltian: HaltianApi) -> str:
    message = {"tsmId": 2100, "tsmEv": 10, "tsmTs": 1_794_000_000, "tsmTuid": TUID, "state": 0}
    tenant.receives([message], vendor="haltian")
    connect(tenant, "haltian", haltian)
    return f"{tenant.device(DEVICE)}/commands"


def order(tenant: Any, device: str, payload: Any = WANTED, name: str = "1500") -> str:
    made = tenant.post(device, {"name": name, "payload": payload})
    assert made["state"] == "queued"
    return f"/v1/commands/{made['id']}"


def state(tenant: Any, command: str) -> tuple[str, Any]:
    found = tenant.get(command)
    return found["state"], found["result"]


def replied(tenant: Any, haltian: HaltianApi, **fields: Any) -> None:
    """Let the device answer the last command."""
    (sent,) = haltian.asked[-1].body
    message = {
        "tsmId": sent["tsmId"],
        "tsmEv": 31,
        "tsmTs": 1_794_000_100,
        "tsmTuid": TUID,
        "transactionId": sent["transactionId"],
        **fields,
    }
    tenant.receives([message], vendor="haltian")


# ---- the way of a command


def test_a_command_is_ordered_sent_and_answered_by_its_device(
    tenant: Any, haltian: HaltianApi, device: str
) -> None:
    command = order(tenant, device)
    assert haltian.asked == []

    work(tenant)
    accepted = state(tenant, command)
    replied(tenant, haltian, **WANTED)

    login, sent = haltian.asked
    assert (login.path, sent.path) == ("/auth/client-token", f"/things/{TUID}/commands")
    (message,) = sent.body
    assert 0 <= message.pop("transactionId") < 2**31
    assert message == {"tsmId": 1500, "tsmEv": 30, **WANTED}
    assert accepted == ("accepted", None)
    ended, result = state(tenant, command)
    assert ended == "succeeded"
    assert result["reportInterval"] == 60


@pytest.mark.parametrize(
    ("fields", "ended"),
    [
        (WANTED, "succeeded"),
        ({}, "succeeded"),
        ({**WANTED, "reportInterval": 61}, "failed"),
        ({"result": 0}, "succeeded"),
        ({"result": "ok"}, "succeeded"),
        ({"result": -1}, "failed"),
        ({"result": False}, "failed"),
        ({"tsmEv": 36, "result": "success"}, "succeeded"),
        ({"tsmEv": 30}, "accepted"),
        ({"transactionId": 7}, "accepted"),
        ({"transactionId": None}, "accepted"),
        ({"tsmId": 1501}, "accepted"),
    ],
)
def test_only_the_reply_to_a_command_ends_it(
    fields: dict[str, Any], ended: str, tenant: Any, haltian: HaltianApi, device: str
) -> None:
    command = order(tenant, device)
    work(tenant)

    replied(tenant, haltian, **fields)

    assert state(tenant, command)[0] == ended


def test_a_reply_that_overtakes_the_vendors_answer_counts(
    tenant: Any, haltian: HaltianApi, device: str
) -> None:
    command = order(tenant, device)

    def answered_at_once(asked: Any) -> None:
        if asked.path.endswith("/commands"):
            replied(tenant, haltian, **WANTED)

    haltian.before = answered_at_once
    work(tenant)

    assert state(tenant, command)[0] == "succeeded"


def test_each_change_of_a_command_is_told_once(
    tenant: Any, haltian: HaltianApi, device: str
) -> None:
    hook = {
        "name": "x",
        "kind": "webhook",
        "config": {"url": "https://example.com/x"},
        "filter": {"types": ["command.updated"]},
    }
    tenant.post("/v1/integrations", hook)
    dispatched(tenant)
    command = order(tenant, device)
    told = dispatched(tenant)
    work(tenant)
    tenant.aws.dynamodb.stream.clear()
    replied(tenant, haltian, **WANTED)
    told += dispatched(tenant)

    events = [event for message in told for event in message["events"]]
    assert [event["type"] for event in events] == ["command.updated"] * 2
    assert [event["data"]["state"] for event in events] == ["queued", "succeeded"]
    assert events[-1]["data"] == tenant.get(command)
    assert events[0]["subject"] == DEVICE
    assert len({event["id"] for event in events}) == 2


def test_a_session_is_kept_and_begun_anew_when_the_vendor_forgets_it(
    tenant: Any, haltian: HaltianApi, device: str
) -> None:
    first, second = order(tenant, device), order(tenant, device)
    work(tenant)
    haltian.token = "token-2"
    third = order(tenant, device)
    work(tenant)

    login, sent = "POST /auth/client-token", f"POST /things/{TUID}/commands"
    assert haltian.paths == [login, sent, sent, sent, login, sent]
    assert {state(tenant, each)[0] for each in (first, second, third)} == {"accepted"}


def test_a_session_ends_with_its_time(tenant: Any, haltian: HaltianApi, device: str) -> None:
    order(tenant, device)
    work(tenant)
    tenant.clock.forward(900_000)
    order(tenant, device)
    work(tenant)

    assert haltian.paths.count("POST /auth/client-token") == 2


# ---- what goes wrong


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (Said(429, headers={"Retry-After": "7"}), 7),
        (Said(503), 4),
        (Said(429, headers={"Retry-After": "soon"}), 4),
    ],
)
def test_what_the_vendor_turned_away_unread_is_sent_again(
    said: Said, seconds: int, tenant: Any, haltian: HaltianApi, device: str
) -> None:
    command = order(tenant, device)
    haltian.say(Said(200, {"data": {"token": haltian.token}}), said)
    work(tenant)
    waiting = state(tenant, command)
    tenant.clock.forward(seconds * 1000 - 1)
    work(tenant)
    before = len(haltian.asked)
    tenant.clock.forward(1)
    work(tenant)

    assert waiting == ("queued", {"reason": f"not sent yet: the vendor answered {said.status}"})
    assert (before, len(haltian.asked)) == (2, 3)
    assert haltian.asked[1].body == haltian.asked[2].body
    assert state(tenant, command) == ("accepted", None)


def test_what_cannot_be_connected_to_is_tried_until_waiting_ends(
    tenant: Any, haltian: HaltianApi, device: str
) -> None:
    settings = {"base_url": "http://127.0.0.1:1"}
    tenant.patch(f"/v1/connections/{tenant.connection('haltian')}", {"settings": settings})
    command = order(tenant, device)
    for _ in range(400):
        work(tenant)
        tenant.clock.forward(1000)
    timeouts.sweep(tenant.hub)

    ended, result = state(tenant, command)
    assert ended == "timed_out"
    assert result == {"reason": "not sent yet: no session: connection refused"}
    assert haltian.asked == []


@pytest.mark.parametrize("status", [500, 502, 504])
def test_what_the_vendor_may_have_taken_is_never_sent_twice(
    status: int, tenant: Any, haltian: HaltianApi, device: str
) -> None:
    command = order(tenant, device)
    haltian.say(Said(200, {"data": {"token": haltian.token}}), Said(status))
    work(tenant)
    unknown = state(tenant, command)
    identity = command.rsplit("/", 1)[1]
    found = commands.find(table_of(tenant.hub), tenant.id, identity)
    assert found is not None
    errands.send_commands(tenant.hub, [(tenant.id, found)])  # the queue may repeat itself
    work(tenant)

    assert len(haltian.asked) == 2
    assert unknown[0] == "sent"
    assert str(status) in unknown[1]["reason"]
    replied(tenant, haltian, **WANTED)
    assert state(tenant, command)[0] == "succeeded"


def test_a_process_that_died_over_a_command_does_not_send_it_twice(
    tenant: Any, haltian: HaltianApi, device: str
) -> None:
    command = order(tenant, device)

    class DiedError(BaseException):
        pass

    def die(asked: Any) -> None:
        if asked.path.endswith("/commands"):
            tenant.aws.dynamodb.faults.before = dead

    def dead(_: str) -> None:
        raise DiedError

    alive = tenant.aws.dynamodb.faults.before
    haltian.before = die
    with pytest.raises(DiedError):
        work(tenant)
    tenant.aws.dynamodb.faults.before = alive
    work(tenant)

    assert haltian.paths.count(f"POST /things/{TUID}/commands") == 1
    assert state(tenant, command)[0] == "sent"
    tenant.clock.forward(300_000)
    timeouts.sweep(tenant.hub)
    reason = {"reason": "nobody knows whether the vendor took it"}
    assert state(tenant, command) == ("timed_out", reason)


@pytest.mark.parametrize("lose_answers", [False, True])
def test_whoever_dies_where_a_command_is_sent_once_at_most(
    lose_answers: bool, tenant: Any, haltian: HaltianApi, device: str
) -> None:
    alive = tenant.aws.dynamodb.faults
    for step in range(1, 100):
        command = order(tenant, device)
        dispatched(tenant)
        haltian.asked.clear()
        faults = Nth(n=step, armed=True, lose_answers=lose_answers)
        tenant.aws.dynamodb.faults = tenant.aws.sqs.faults = tenant.aws.kms.faults = faults
        with suppress(Crash):
            sent(tenant)
        tenant.aws.dynamodb.faults = tenant.aws.sqs.faults = tenant.aws.kms.faults = alive
        sent(tenant)

        posts = haltian.paths.count(f"POST /things/{TUID}/commands")
        ended, _ = state(tenant, command)
        assert posts <= 1
        assert (ended, posts) in {("accepted", 1), ("sent", 0), ("sent", 1)}
        if not faults.died:
            assert (ended, step > 5) == ("accepted", True)
            return
    raise AssertionError("the steps never end")


def sent(tenant: Any) -> None:
    """Do what is queued for vendors; a message that failed, or whose process died, stays."""
    queue = tenant.aws.sqs.queues.get("sync", {})
    for message in tenant.aws.sqs.visible("sync"):
        record = {"messageId": message.id, "body": message.body}
        if not sync.run({"Records": [record]}, tenant.hub)["batchItemFailures"]:
            queue.pop(message.id)


def test_what_the_vendor_refuses_has_failed(tenant: Any, haltian: HaltianApi, device: str) -> None:
    command = order(tenant, device)
    haltian.say(Said(200, {"data": {"token": haltian.token}}), Said(400, {"message": "no such"}))
    work(tenant)

    ended, result = state(tenant, command)
    assert (ended, result["reason"], result["status"]) == ("failed", "the vendor refused it", 400)
    assert json.loads(result["answer"]) == {"message": "no such"}


@pytest.mark.parametrize("deleted", [False, True])
def test_credentials_that_let_nobody_in_fail_the_command(
    deleted: bool, tenant: Any, haltian: HaltianApi, device: str
) -> None:
    command = order(tenant, device)
    connection = f"/v1/connections/{tenant.connection('haltian')}"
    if deleted:
        tenant.delete(connection)
    else:
        tenant.patch(connection, {"credentials": {"client_id": "hub", "client_secret": "wrong"}})
    work(tenant)

    reason = "the connection is gone" if deleted else "the vendor refuses the credentials: 401"
    assert state(tenant, command) == ("failed", {"reason": reason})
    assert f"POST /things/{TUID}/commands" not in haltian.paths


def test_a_command_that_nobody_answers_times_out_and_may_still_be_answered(
    tenant: Any, haltian: HaltianApi, device: str
) -> None:
    command = order(tenant, device)
    work(tenant)
    tenant.clock.forward(299_999)
    early = timeouts.sweep(tenant.hub)
    tenant.clock.forward(1)
    swept = [timeouts.sweep(tenant.hub) for _ in range(2)]
    ended = state(tenant, command)
    replied(tenant, haltian, **WANTED)

    assert (early, swept) == (0, [1, 0])
    assert ended == ("timed_out", {"reason": "the device did not answer in time"})
    assert state(tenant, command)[0] == "succeeded"


def test_nothing_is_sent_after_waiting_has_ended(
    tenant: Any, haltian: HaltianApi, device: str
) -> None:
    command = order(tenant, device)
    tenant.clock.forward(300_000)
    work(tenant)
    timeouts.sweep(tenant.hub)

    assert haltian.asked == []
    assert state(tenant, command) == ("timed_out", {"reason": "it was not sent in time"})


# ---- what operators do and see


def test_a_queued_command_can_be_cancelled_and_is_not_sent(
    tenant: Any, haltian: HaltianApi, device: str
) -> None:
    command = order(tenant, device)

    answers = [tenant.post(f"{command}/cancel") for _ in range(2)]
    work(tenant)

    assert [each["state"] for each in answers] == ["cancelled", "cancelled"]
    assert answers[0] == answers[1]
    assert haltian.asked == []


def test_a_sent_command_can_no_longer_be_cancelled(tenant: Any, device: str) -> None:
    command = order(tenant, device)
    work(tenant)

    problem = tenant.refused("POST", f"{command}/cancel")

    assert (problem["status"], problem["type"]) == (409, "/problems/conflict")


def test_commands_of_a_device_are_listed_newest_first(tenant: Any, device: str) -> None:
    made = []
    for _ in range(3):
        made.append(order(tenant, device).rsplit("/", 1)[1])
        tenant.clock.forward(1)

    assert [each["id"] for each in tenant.all(device, limit=2)] == made[::-1]


def test_another_tenants_command_is_none(tenant: Any, new_tenant: Any, device: str) -> None:
    command = order(tenant, device)
    other = new_tenant()

    for method, path in (("GET", command), ("POST", f"{command}/cancel")):
        assert other.refused(method, path)["status"] == 404
    for method, body in (("GET", None), ("POST", {"name": "1500"})):
        assert other.refused(method, device, body)["status"] == 404


def test_commands_need_their_scopes(tenant: Any, device: str) -> None:
    reader = tenant.key_of("read")

    assert reader.get(device)["data"] == []
    assert reader.refused("POST", device, {"name": "1500"})["status"] == 403


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/name"),
        ({"name": "1500", "payload": [1]}, "/payload"),
        ({"name": "1500", "payload": {"transactionId": 4}}, "/payload/transactionId"),
        ({"name": "1500", "extra": 1}, "/extra"),
    ],
)
def test_a_command_that_cannot_be_is_422(body: Any, pointer: str, tenant: Any, device: str) -> None:
    (error,) = tenant.refused("POST", device, body)["errors"]
    assert error["pointer"] == pointer


def test_a_command_that_the_vendor_does_not_take_names_those_that_it_takes(
    tenant: Any, device: str
) -> None:
    problem = tenant.refused("POST", device, {"name": "reboot"})

    assert (problem["status"], problem["type"]) == (422, "/problems/command-not-supported")
    assert "1500, 1501, 12200, 13200" in problem["detail"]


def test_a_vendor_without_commands_says_so(tenant: Any) -> None:
    item = {"id": "a", "device_id": "dev", "leq": 62.2, "end_time": 1_794_000_000}
    body = {"event_type": "soundlevel.added", "event_id": "e", "data": [item]}
    tenant.receives(body, vendor="soundsensing")
    path = f"{tenant.device('soundsensing:dev')}/commands"

    problem = tenant.refused("POST", path, {"name": "x"})

    assert problem["type"] == "/problems/command-not-supported"


def test_a_connection_that_lets_nobody_in_is_409(tenant: Any, device: str) -> None:
    path = f"/v1/connections/{tenant.connection('haltian')}"
    tenant.patch(path, {"settings": {}})
    without_url = tenant.refused("POST", device, {"name": "1500"})
    tenant.patch(path, {"credentials": {}})
    without_credentials = tenant.refused("POST", device, {"name": "1500"})
    tenant.delete(path)
    without_connection = tenant.refused("POST", device, {"name": "1500"})

    problems = (without_url, without_credentials, without_connection)
    assert [each["status"] for each in problems] == [409] * 3
    words = ("base_url", "credentials", "deleted")
    assert all(word in each["detail"] for word, each in zip(words, problems, strict=True))


def test_the_catalogue_lists_what_vendors_take(tenant: Any) -> None:
    found = {each["name"]: each for each in tenant.get("/v1/catalog/vendors")["data"]}

    assert found["haltian"]["commands"][0]["name"] == "1500"
    assert [each["name"] for each in found["relayr"]["commands"]] == ["*"]
    assert found["soundsensing"]["commands"] == []
    secret = {each["name"]: each["sensitive"] for each in found["haltian"]["credentials"]}
    assert secret == {"client_id": False, "client_secret": True}


def test_no_state_is_left_but_by_a_way_that_is_known() -> None:
    assert {each for follow in STATES.values() for each in follow} == set(STATES)
    assert {each for each, follow in STATES.items() if not follow} == {
        "succeeded",
        "failed",
        "cancelled",
    }


# ---- the other vendors


def test_an_action_of_lightelligence_is_accepted_and_nobody_waits_for_more(tenant: Any) -> None:
    update = {"type": "attributes", "deviceId": "d 1", "value": {"on": True}}
    tenant.receives(update, vendor="lightelligence")
    with LightelligenceApi() as api:
        connect(tenant, "lightelligence", api)
        url = {**api.credentials, "token_url": f"{api.url}/token"}
        tenant.patch(f"/v1/connections/{tenant.connection('lightelligence')}", {"credentials": url})
        path = f"{tenant.device('lightelligence:d 1')}/commands"
        command = order(tenant, path, {"value": 15}, "raiseTemperature")
        work(tenant)

    sent = api.asked[-1]
    assert (sent.path, sent.body) == (
        "/devices/d 1/actions",
        {"action": "raiseTemperature", "payload": {"value": 15}},
    )
    tenant.clock.forward(10**9)
    assert timeouts.sweep(tenant.hub) == 0
    result = {"action_id": "5895f5f0-93e9-428c-a4b6-580eb814f11e"}
    assert state(tenant, command) == ("accepted", result)


@pytest.mark.parametrize(
    ("status", "ended"),
    [("success", "succeeded"), ("error", "failed"), ("in_progress", "accepted")],
)
def test_a_command_of_relayr_ends_with_its_response(status: str, ended: str, tenant: Any) -> None:
    tenant.measured("d1", tenant.clock.now, 1)
    with RelayrApi() as api:
        connect(tenant, "relayr", api)
        command = order(tenant, f"{tenant.device('relayr:d1')}/commands", {"t": 21}, "setTarget")
        work(tenant)
    (sent,) = api.asked
    response = {"id": "7005afde-a298-11e7-be32-7bea3ce9040b", "status": status, "message": "done"}
    tenant.receives(response, "devices/d1/commandResponses")

    assert sent.body.pop("end") > "2026"
    assert sent.body == {
        "deviceId": "d1",
        "name": "setTarget",
        "command": {"name": "setTarget", "value": {"t": 21}},
    }
    assert state(tenant, command)[0] == ended


def test_an_image_of_viziosense_is_asked_for_where_the_settings_say(tenant: Any) -> None:
    tenant.receives({"stream_id": "cam", "type": "VPM", "payload": []}, vendor="viziosense")
    spot = [{"id": "p0", "name": "P-0", "is_active": True, "event_ts": 1_794_000_000}]
    tenant.receives({"stream_id": "cam", "type": "VPM", "payload": spot}, vendor="viziosense")
    path = f"{tenant.device('viziosense:cam')}/commands"
    with ViziosenseApi() as api:
        connect(tenant, "viziosense", api)
        (error,) = tenant.refused("POST", path, {"name": "request_image"})["errors"]
        connect(tenant, "viziosense", api, calls={"request_image": api.call})
        command = order(tenant, path, None, "request_image")
        work(tenant)

    assert "settings.calls.request_image" in error["detail"]
    assert api.paths == ["POST /api/v1/devices/cam/image"]
    ended, result = state(tenant, command)
    assert (ended, len(result["images"])) == ("accepted", 2)


# ---- credentials


def test_credentials_are_sealed_masked_and_kept_when_sent_back_masked(
    tenant: Any, haltian: HaltianApi, device: str
) -> None:
    path = f"/v1/connections/{tenant.connection('haltian')}"
    shown = tenant.get(path)
    tenant.patch(path, {"credentials": shown["credentials"], "name": "same"})
    order(tenant, device)
    work(tenant)

    assert shown["credentials"] == {"client_id": "hub", "client_secret": "********"}
    assert haltian.asked[0].body == dict(haltian.credentials)
    stored = repr(tenant.aws.dynamodb.items)
    assert haltian.credentials["client_secret"] not in stored
    assert haltian.credentials["client_secret"] not in tenant.send("GET", "/v1/connections").text


@pytest.mark.parametrize(
    ("vendor", "credentials", "pointer"),
    [
        ("haltian", {"client_id": "x"}, "/credentials/client_secret"),
        (
            "haltian",
            {"client_id": "x", "client_secret": "y", "pin": "1"},
            "/credentials/pin",
        ),
        ("haltian", {"client_id": 5, "client_secret": "y"}, "/credentials/client_id"),
        ("haltian", {"client_id": "", "client_secret": "y"}, "/credentials/client_id"),
        ("soundsensing", {"api_key": "x", "other": "y"}, "/credentials/other"),
        (
            "lightelligence",
            {
                "client_id": "x",
                "client_secret": "y",
                "tenant": "t",
                "token_url": "http://169.254.169.254/x",
            },
            "/credentials/token_url",
        ),
    ],
)
def test_credentials_that_cannot_be_are_422(
    vendor: str, credentials: Any, pointer: str, tenant: Any
) -> None:
    body = {"vendor": vendor, "name": "x", "credentials": credentials}
    errors = tenant.refused("POST", "/v1/connections", body)["errors"]
    assert pointer in {each["pointer"] for each in errors}
