"""History put through again: a better adapter, or another setting, corrects what stands, once."""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chalicelib import vendors
from chalicelib.model.times import to_rfc3339
from chalicelib.normalize import entry as normalize
from chalicelib.normalize import history
from chalicelib.project import entry as project
from chalicelib.store import renormalizations
from chalicelib.store.changes import changes
from chalicelib.store.table import table_of, unmarshal
from tests.support.examples import examples
from tests.support.fake_aws import FakeAws
from tests.support.simulation import Crash
from tests.support.world import Nth

WHOLE = {"from": "2000-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}

ADAPTER = '''
"""A vendor whose adapter gets better."""

from chalicelib.model.records import AlertSignal, Event, Fact, MalformedPayloadError, Measurement
from chalicelib.vendors import Adapter, Item

BETTER = False


def split(payload):
    return [Item(each.get("type", "x"), each, f"$[{n}]") for n, each in enumerate(payload.body)]


def normalize(item, payload):
    body = item.body
    match body["type"], BETTER:
        case "value", False:  # takes the unit for degrees
            yield Measurement("d", "temperature", body["v"], body["at"], "Cel")
            yield Fact("d", "attributes.note", "first", body["at"])
        case "value", True:
            if body["v"] != 99:  # a number for no reading, as is known now
                yield Measurement("d", "temperature", body["v"] / 10, body["at"], "Cel")
            yield Fact("d", "attributes.note", "second", body["at"])
        case "count", False:
            yield Event("d", "betterco.count", body["at"], body)
        case "count", True:
            yield Measurement("d", "motion_count", body["v"], body["at"], "1")
        case "fault", _:
            yield AlertSignal("d", "f", "raise", body["at"], "f", "major" if BETTER else "minor", None)
        case "odd", False:
            raise MalformedPayloadError("not understood")
        case "odd", True:
            yield Event("d", "betterco.odd", body["at"], body)
        case "strange", True:
            raise MalformedPayloadError("better left aside")
        case "strange", False:
            yield Event("d", "betterco.strange", body["at"], body)


adapter = Adapter(version=1, split=split, normalize=normalize, silent_after=lambda _: 3600)
'''


@pytest.fixture
def better(tmp_path: Path) -> Iterator[Any]:
    """Put a vendor into place whose adapter can be made better."""
    (tmp_path / "betterco").mkdir()
    (tmp_path / "betterco" / "__init__.py").write_text(ADAPTER, "utf-8")
    vendors.__path__.append(str(tmp_path))
    forget()
    yield importlib.import_module("chalicelib.vendors.betterco")
    vendors.__path__.remove(str(tmp_path))
    del sys.modules["chalicelib.vendors.betterco"]
    forget()


def forget() -> None:
    vendors.names.cache_clear()
    vendors.adapter.cache_clear()


def command(tenant: Any, vendor: str = "relayr", **more: Any) -> str:
    path = f"/v1/connections/{tenant.connection(vendor)}/renormalize"
    return str(tenant.post(path, WHOLE | more)["id"])


def followed(tenant: Any, job: str, vendor: str = "relayr") -> Any:
    return tenant.get(f"/v1/connections/{tenant.connection(vendor)}/renormalize/{job}")


def worked(tenant: Any) -> list[Any]:
    """Let normalize and project do what is asked; return what changed, as the stream has it."""
    begun = len(tenant.aws.dynamodb.stream)
    while messages := tenant.aws.sqs.queues.pop("inbound", {}):
        records = [{"messageId": m.id, "body": m.body} for m in messages.values()]
        assert normalize.run({"Records": records}, tenant.hub) == {"batchItemFailures": []}
    stream = tenant.aws.dynamodb.stream[begun:]
    assert project.run({"Records": stream}, tenant.hub) == {"batchItemFailures": []}
    found: list[Any] = tenant.aws.dynamodb.stream[begun:]
    return found


def renormalized(tenant: Any, vendor: str = "relayr", **more: Any) -> tuple[Any, list[Any]]:
    job = command(tenant, vendor, **more)
    stream = worked(tenant)
    return followed(tenant, job, vendor), stream


def told(stream: list[Any]) -> Counter[tuple[str, str]]:
    """Return type and id of what would be delivered of a stretch of the stream."""
    found: Counter[tuple[str, str]] = Counter()
    for record in stream:
        image = record["dynamodb"]
        if "NewImage" in image and "#D#" in image["Keys"]["pk"]["S"]:
            old = unmarshal(image["OldImage"]) if image.get("OldImage") else None
            events = changes(old, unmarshal(image["NewImage"]), None)
            found.update((event["type"], event["id"]) for event in events)
    return found


def kinds(stream: list[Any]) -> Counter[str]:
    return Counter(kind for kind, _ in told(stream).elements())


def counts(job: Any) -> dict[str, int]:
    return {name: number for name, number in job["counts"].items() if number}


def measured(tenant: Any, device: str = "betterco:d", **query: Any) -> list[tuple[str, Any]]:
    path = f"{tenant.device(device)}/measurements"
    span = {"from_": WHOLE["from"], "to": WHOLE["to"]} | query
    return [(row["metric"], row["value"]) for row in tenant.all(path, **span)]


def item(tenant: Any, kind: str, value: Any = 1) -> dict[str, Any]:
    tenant.clock.forward(1000)
    return {"type": kind, "v": value, "at": tenant.clock.now}


def sends(tenant: Any, *items: Any) -> None:
    tenant.receives(list(items), vendor="betterco")


def test_a_setting_corrects_history_in_place(tenant: Any) -> None:
    at = tenant.clock.now
    tenant.measured("d1", at, 50, "fluid")
    tenant.measured("d1", at + 1000, 68, "fluid")
    mapped = {"metric_map": {"fluid": {"metric": "temperature", "unit": "[degF]"}}}
    tenant.patch(f"/v1/connections/{tenant.connection()}", {"settings": mapped})

    job, stream = renormalized(tenant)

    assert measured(tenant, "relayr:d1") == [("temperature", 10), ("temperature", 20)]
    assert counts(job) == {"payloads": 2, "added": 2, "withdrawn": 2}
    assert kinds(stream)["measurement.recorded"] == 2
    state = tenant.get(f"{tenant.device('relayr:d1')}/state")
    assert [(m["metric"], m["value"]) for m in state["data"]] == [("temperature", 20)]
    assert list(tenant.get(tenant.device("relayr:d1"))["metrics"]) == ["temperature"]


def test_a_better_adapter_corrects_what_it_said(tenant: Any, better: Any) -> None:
    sends(tenant, item(tenant, "value", 205), item(tenant, "value", 210))
    sends(tenant, item(tenant, "fault"))
    before = tenant.all(
        f"{tenant.device('betterco:d')}/measurements", from_=WHOLE["from"], to=WHOLE["to"]
    )
    better.BETTER = True

    job, stream = renormalized(tenant, "betterco")

    after = tenant.all(
        f"{tenant.device('betterco:d')}/measurements", from_=WHOLE["from"], to=WHOLE["to"]
    )
    assert [row["value"] for row in after] == [20.5, 21]
    assert [row["id"] for row in after] == [row["id"] for row in before]
    assert kinds(stream)["measurement.corrected"] == 2
    assert kinds(stream)["measurement.recorded"] == 0
    device = tenant.get(tenant.device("betterco:d"))
    assert device["attributes"] == {"note": "second"}
    (alert,) = tenant.get("/v1/alerts")["data"]
    assert (alert["severity"], alert["state"]) == ("major", "active")
    assert counts(job) == {"payloads": 2, "corrected": 5}
    assert (job["state"], job["progress"]) == ("done", 1.0)


def test_again_changes_nothing_and_tells_nobody(tenant: Any, better: Any) -> None:
    sends(tenant, item(tenant, "value", 205), item(tenant, "count"), item(tenant, "odd"))
    better.BETTER = True
    _, first = renormalized(tenant, "betterco")

    job, second = renormalized(tenant, "betterco")

    assert kinds(first)["measurement.corrected"] == 1
    assert told(second) == Counter()
    assert counts(job) == {"payloads": 1, "unchanged": 1}


def test_a_withdrawn_value_gives_the_state_back_to_the_one_before(tenant: Any, better: Any) -> None:
    sends(tenant, item(tenant, "value", 210))
    sends(tenant, item(tenant, "value", 99))
    better.BETTER = True

    job, _ = renormalized(tenant, "betterco")

    assert measured(tenant) == [("temperature", 21)]
    state = tenant.get(f"{tenant.device('betterco:d')}/state")
    assert [(m["metric"], m["value"]) for m in state["data"]] == [("temperature", 21)]
    assert counts(job)["withdrawn"] == 1


def test_an_event_that_is_understood_now_becomes_what_it_means(tenant: Any, better: Any) -> None:
    sends(tenant, item(tenant, "count", 7))
    better.BETTER = True

    job, stream = renormalized(tenant, "betterco")

    assert tenant.get("/v1/events")["data"] == []
    assert measured(tenant) == [("motion_count", 7)]
    assert kinds(stream)["measurement.recorded"] == 1
    assert counts(job) == {"payloads": 1, "added": 1, "withdrawn": 1}


def test_quarantine_follows_the_adapter(tenant: Any, better: Any) -> None:
    sends(tenant, item(tenant, "odd"), item(tenant, "strange"))
    better.BETTER = True

    job, _ = renormalized(tenant, "betterco")

    (bad,) = tenant.get("/v1/quarantine")["data"]
    assert (bad["path"], bad["reason"]) == ("$[1]", "better left aside")
    # What the refused item once became is withdrawn with it.
    assert [e["type"] for e in tenant.get("/v1/events")["data"]] == ["betterco.odd"]
    wanted = {"payloads": 1, "added": 1, "withdrawn": 1, "quarantined": 1, "released": 1}
    assert counts(job) == wanted


def test_a_dry_run_says_what_would_change_and_writes_its_own_row_alone(
    tenant: Any, better: Any
) -> None:
    sends(tenant, item(tenant, "value", 205), item(tenant, "count"), item(tenant, "odd"))
    better.BETTER = True

    job, stream = renormalized(tenant, "betterco", dry_run=True)

    assert all("#C#" in record["dynamodb"]["Keys"]["pk"]["S"] for record in stream)
    wanted = {"payloads": 1, "added": 2, "corrected": 2, "withdrawn": 1, "released": 1}
    assert counts(job) == wanted
    found = next(e for e in job["examples"] if e["change"] == "corrected" and "value" in e["after"])
    assert {found["before"]["value"], found["after"]["value"]} <= {205, 20.5, "first", "second"}
    assert measured(tenant) == [("temperature", 205)]
    real, _ = renormalized(tenant, "betterco")
    assert counts(real) == wanted


@pytest.mark.parametrize("vendor", vendors.names())
def test_todays_adapters_change_nothing_of_their_examples(tenant: Any, vendor: str) -> None:
    known = [e for e in examples() if e.vendor == vendor and not e.settings]
    for each in known:
        tenant.receives(each.body, each.topic, vendor)

    job, stream = renormalized(tenant, vendor)

    assert told(stream) == Counter()
    assert counts(job) == {"payloads": len(known), "unchanged": len(known)}


def test_only_what_arrived_in_the_range_is_put_through(tenant: Any, better: Any) -> None:
    sends(tenant, item(tenant, "value", 1))
    start = tenant.clock.now
    sends(tenant, item(tenant, "value", 2))
    end = tenant.clock.now
    sends(tenant, item(tenant, "value", 3))
    better.BETTER = True

    span = {"from": to_rfc3339(start), "to": to_rfc3339(end)}
    job, _ = renormalized(tenant, "betterco", **span)

    assert [value for _, value in measured(tenant)] == [1, 0.2, 3]
    assert counts(job)["payloads"] == 1


def test_a_long_history_goes_in_slices(tenant: Any, better: Any) -> None:
    number = 2 * history.SLICE + 10
    for _ in range(number):
        sends(tenant, item(tenant, "value", 10))
    better.BETTER = True
    job = command(tenant, "betterco")
    progress = []
    for _ in range(3):
        (message,) = tenant.aws.sqs.queues.pop("inbound").values()
        record = {"messageId": message.id, "body": message.body}
        # Handed out twice: the second time the slice is done already.
        for _ in range(2):
            assert normalize.run({"Records": [record]}, tenant.hub) == {"batchItemFailures": []}
        progress.append(followed(tenant, job, "betterco")["progress"])

    assert "inbound" not in tenant.aws.sqs.queues or not tenant.aws.sqs.queues["inbound"]
    assert progress == sorted(progress)
    found = followed(tenant, job, "betterco")
    assert found["state"] == "done"
    assert found["counts"]["payloads"] == number
    assert {value for _, value in measured(tenant)} == {1}


def test_a_message_that_got_lost_is_replaced(tenant: Any, better: Any) -> None:
    sends(tenant, item(tenant, "value", 10))
    better.BETTER = True
    job = command(tenant, "betterco")
    tenant.aws.sqs.queues["inbound"].clear()

    assert history.sweep(tenant.hub) == 0
    tenant.clock.forward(renormalizations.PATIENCE + 1)
    assert history.sweep(tenant.hub) == 1
    worked(tenant)

    assert followed(tenant, job, "betterco")["state"] == "done"


@pytest.mark.usefixtures("better")
def test_a_job_that_fails_again_and_again_ends(tenant: Any) -> None:
    sends(tenant, item(tenant, "value", 10))
    job = command(tenant, "betterco")
    for _ in range(renormalizations.TRIES):
        tenant.aws.sqs.queues.pop("inbound", None)
        tenant.clock.forward(renormalizations.PATIENCE + 1)
        history.sweep(tenant.hub)

    found = followed(tenant, job, "betterco")
    assert (found["state"], found["reason"]) == ("failed", "slice 1 failed 5 times: see the log")
    assert history.sweep(tenant.hub) == 0
    assert command(tenant, "betterco") != job


@pytest.mark.usefixtures("better")
def test_a_deleted_connection_ends_its_job(tenant: Any) -> None:
    sends(tenant, item(tenant, "value", 10))
    job = command(tenant, "betterco")
    connection = tenant.connection("betterco")
    tenant.delete(f"/v1/connections/{connection}")

    worked(tenant)

    found = renormalizations.find(table_of(tenant.hub), tenant.id, connection, job)
    assert found is not None
    assert (found.state, found.reason) == ("failed", "the connection was deleted")


def settle(tenant: Any) -> None:
    """Work until the job is done, whatever dies: messages come again, sweeps follow."""
    for _ in range(200):
        messages = dict(tenant.aws.sqs.queues.get("inbound", {}))
        for identity, message in messages.items():
            record = {"messageId": message.id, "body": message.body}
            try:
                answer = normalize.run({"Records": [record]}, tenant.hub)
            except Crash:
                tenant.hub = tenant.elsewhere().hub
                continue
            if not answer["batchItemFailures"]:
                tenant.aws.sqs.queues["inbound"].pop(identity)
        if not tenant.aws.sqs.queues.get("inbound"):
            if not list(renormalizations.due(table_of(tenant.hub), 10**14)):
                return
            tenant.clock.forward(renormalizations.PATIENCE + 1)
            try:
                history.sweep(tenant.hub)
            except (Crash, TimeoutError):
                tenant.hub = tenant.elsewhere().hub
    raise AssertionError("the job never ends")


@pytest.mark.parametrize("lose_answers", [False, True])
@pytest.mark.parametrize("step", range(1, 36))
def test_a_crash_anywhere_changes_nothing(
    tenant: Any, better: Any, step: int, *, lose_answers: bool
) -> None:
    sends(tenant, item(tenant, "value", 205), item(tenant, "count"), item(tenant, "strange"))
    sends(tenant, item(tenant, "value", 99), item(tenant, "odd"))
    better.BETTER = True
    begun = len(tenant.aws.dynamodb.stream)
    job = command(tenant, "betterco")
    faults = Nth(step, lose_answers=lose_answers, armed=True)
    aws: FakeAws = tenant.aws
    aws.dynamodb.faults = aws.sqs.faults = aws.s3.faults = faults

    settle(tenant)

    faults.armed = False
    stream = aws.dynamodb.stream[begun:]
    assert project.run({"Records": stream}, tenant.hub) == {"batchItemFailures": []}
    found = followed(tenant, job, "betterco")
    assert found["state"] == "done"
    assert measured(tenant) == [("temperature", 20.5), ("motion_count", 1)]
    assert [e["type"] for e in tenant.get("/v1/events")["data"]] == ["betterco.odd"]
    assert max(told(stream).values()) == 1
    (bad,) = tenant.get("/v1/quarantine")["data"]
    assert bad["reason"] == "better left aside"


@pytest.mark.usefixtures("better")
def test_one_job_at_a_time(tenant: Any) -> None:
    sends(tenant, item(tenant, "value", 10))
    job = command(tenant, "betterco")
    path = f"/v1/connections/{tenant.connection('betterco')}/renormalize"

    problem = tenant.refused("POST", path, WHOLE)
    worked(tenant)

    assert problem["status"] == 409
    assert job in problem["detail"]
    tenant.clock.forward(1)
    second = command(tenant, "betterco")
    assert [row["id"] for row in tenant.all(path, limit=1)] == [second, job]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"from": WHOLE["to"], "to": WHOLE["from"]}, 400),
        ({"from": WHOLE["from"]}, 422),
        (WHOLE | {"from": "yesterday"}, 422),
        (WHOLE | {"from": "2026-01-01T00:00:00"}, 422),
        (WHOLE | {"dry_run": "yes"}, 422),
        (WHOLE | {"speed": 1}, 422),
    ],
)
def test_what_is_no_range_is_refused(tenant: Any, body: Any, status: int) -> None:
    path = f"/v1/connections/{tenant.connection()}/renormalize"

    assert tenant.refused("POST", path, body)["status"] == status


def test_an_empty_range_is_done_at_once(tenant: Any) -> None:
    job = command(tenant, to=WHOLE["from"])

    assert followed(tenant, job)["state"] == "done"
    assert not tenant.aws.sqs.queues.get("inbound")


def test_it_is_of_ones_own_connections_only(tenant: Any, new_tenant: Any) -> None:
    job = command(tenant)
    path = f"/v1/connections/{tenant.connection()}/renormalize"
    other = new_tenant()

    assert other.refused("POST", path, WHOLE)["status"] == 404
    assert other.refused("GET", path)["status"] == 404
    assert other.refused("GET", f"{path}/{job}")["status"] == 404
    assert tenant.refused("GET", f"{path}/ren_none")["status"] == 404
    assert tenant.key_of("write").refused("POST", path, WHOLE)["status"] == 403


def test_the_message_is_small_and_names_the_slice(tenant: Any) -> None:
    job = command(tenant)

    (message,) = tenant.queued("inbound")

    work = {"tenant": tenant.id, "connection": tenant.connection(), "id": job, "slices": 0}
    assert message == {"job": work}
