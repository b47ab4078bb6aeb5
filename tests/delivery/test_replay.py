"""A replay delivers what the first delivery delivered: told through all handlers, then told again."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from itertools import chain, repeat
from typing import Any

import pytest

from chalicelib import outbox
from chalicelib.deliver.recovery import Size
from chalicelib.dispatch import entry as dispatch
from chalicelib.model.assembly import Assembly, SignalRecord
from chalicelib.model.envelope import arrived
from chalicelib.model.times import from_rfc3339
from chalicelib.normalize import entry as normalize
from chalicelib.outbound.http import Outcome
from chalicelib.project import entry as project
from chalicelib.store import connections, deliveries, devices, said
from chalicelib.store.connections import Connection
from chalicelib.store.history import History, Place
from chalicelib.store.jobs import Job, find
from chalicelib.store.said import Provenance
from tests.support.examples import Example, examples
from tests.support.fake_aws import FakeAws
from tests.support.world import QUEUE, TENANT, Nth, World, settle

pytestmark = pytest.mark.usefixtures("quiet")
EVER = (-62_135_596_800_000, 253_402_300_799_999)
UNREPEATED = {"device.updated", "device.online", "device.offline"}
"""Types whose changes are not stored: nothing could make them again."""


class Told(World):
    """A world that receives payloads, through normalize, project and dispatch one by one."""

    seen = 0

    def hears(self, each: Example, number: int = 0) -> None:
        connection = Connection(
            f"con_{each.vendor}{number}", TENANT, each.vendor, "x", 1, each.settings
        )
        connections.save(self.table, connection)
        envelope = arrived(connection.id, each.received_at, each.body, each.topic, each.query)
        record = {"messageId": "m", "body": envelope.to_json()}
        assert normalize.run({"Records": [record]}, self.hub) == {"batchItemFailures": []}
        self.follow()

    def follow(self) -> None:
        """Let project and dispatch see every change, one at a time, as it happened."""
        while self.seen < len(self.aws.dynamodb.stream):
            batch = {"Records": [self.aws.dynamodb.stream[self.seen]]}
            self.seen += 1
            assert project.run(batch, self.hub) == {"batchItemFailures": []}
            assert dispatch.run(batch, self.hub) == {"batchItemFailures": []}

    def got(self) -> list[dict[str, Any]]:
        """Deliver everything; return the events and forget them."""
        self.until_quiet()
        return self.got_so_far()

    def got_so_far(self) -> list[dict[str, Any]]:
        bodies = [json.loads(each.request.body) for each in self.sent]
        self.sent.clear()
        return [event for body in bodies for event in (body if isinstance(body, list) else [body])]

    def replay(
        self, rules: Mapping[str, Any] | None = None, start: int = EVER[0], end: int = EVER[1]
    ) -> Job:
        request = {"from": start, "to": end, "filter": rules or {}}
        job = Job(f"job_{self.aws.clock()}", TENANT, "int_a", "replay", self.aws.clock(), request)
        outbox.begin(self.hub, job)
        self.aws.clock.forward(1)
        return job


def essence(events: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return what a receiver may compare of events, by id."""
    return {
        event["id"]: {
            **{name: event[name] for name in ("type", "source", "subject", "time")},
            "data": event["data"],
        }
        for event in events
    }


def repeatable(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] not in UNREPEATED]


@pytest.mark.parametrize("each", examples(), ids=lambda each: f"{each.vendor}/{each.name}")
def test_every_vendors_records_are_replayed_as_they_were_delivered(each: Example) -> None:
    told = Told()
    told.integrate()
    told.hears(each)
    first = repeatable(told.got())

    job = told.replay()
    again = told.got()

    assert all("tributaryreplay" not in event for event in first)
    assert all(event["tributaryreplay"] is True for event in again)
    before, after = essence(first), essence(again)
    assert set(after) == set(before)
    assert len(again) == len(after)
    # A device is shown as it stands, which the same payload may have changed after it was registered.
    devices_of = {i for i, event in before.items() if event["type"] == "device.registered"}
    for identity in devices_of:
        del before[identity]["data"], after[identity]["data"]
    assert after == before
    done = find(told.table, TENANT, "int_a", job.id)
    assert done is not None
    assert (done.state, done.count, done.looked_at) == ("done", len(again), len(again))


def test_all_examples_together_are_replayed_in_slices_of_any_size() -> None:
    told = Told(slice=Size(events=7, chunk=3))
    told.integrate()
    for number, each in enumerate(examples()):
        told.hears(each, number)
    told.got()
    history = History(told.table, TENANT, {}, *EVER)
    whole = [event["id"] for step in history.walk(Place()) for event in step.events]
    places = [step.place for step in history.walk(Place())]

    for place in random.Random(1).sample(places, 60):  # noqa: S311 - a choice, not a secret
        stopped = json.loads(json.dumps(place))
        rest = [e["id"] for step in history.walk(Place.of(stopped)) for e in step.events]
        read = places.index(place) + 1
        before = [e["id"] for step in list(history.walk(Place()))[:read] for e in step.events]
        assert before + rest == whole

    told.replay()
    assert {event["id"] for event in told.got()} == set(whole)


@pytest.mark.parametrize(
    "rules",
    [
        {"types": ["measurement.*"]},
        {"types": ["alert.*", "media.added"]},
        {"types": ["device.registered"]},
        {"metrics": ["temperature", "sound_*"]},
        {"conditions": [{"metric": "temperature", "op": ">", "value": 20}]},
        {"vendors": ["haltian"], "types": ["event.*", "measurement.recorded"]},
        {"devices": ["haltian:TSPR04EZU31901021", "nobody:x"]},
        {"devices": ["haltian:*"]},
        {"severities": ["*"]},
        {"event_types": ["*"]},
        {"tags": ["shown"]},
        {"groups": ["none"]},
        {"devices": ["x" * 1024]},
    ],
    ids=json.dumps,
)
def test_what_is_not_read_could_not_have_matched(rules: dict[str, Any]) -> None:
    told = everything()

    narrow = History(told.table, TENANT, rules, *EVER)
    thorough = History(told.table, TENANT, rules, *EVER, thorough=True)

    found = [
        essence(e for step in each.walk(Place()) for e in step.events)
        for each in (narrow, thorough)
    ]
    assert found[0] == found[1]
    looked = [sum(s.looked_at for s in each.walk(Place())) for each in (narrow, thorough)]
    assert looked[0] < looked[1]


def everything() -> Told:
    told = Told()
    for number, each in enumerate(examples()):
        told.hears(each, number)
    some = devices.devices(told.table, TENANT, limit=1, after=None, keep=lambda _: True)
    device = devices.device_of(some.items[0])
    devices.change_device(
        told.table, TENANT, device.id, lambda each: each.operator.update(tags=["shown"])
    )
    return told


def test_a_range_is_half_open_by_the_moment_observed() -> None:
    told = everything()
    all_of = [e for s in History(told.table, TENANT, {}, *EVER).walk(Place()) for e in s.events]
    moments = sorted({event["time"] for event in all_of})
    rng = random.Random(2)  # noqa: S311 - the same

    for _ in range(10):
        low, high = sorted(rng.sample(moments, 2))
        start, end = moment(low), moment(high)
        got = History(told.table, TENANT, {}, start, end)
        ids = sorted(e["id"] for step in got.walk(Place()) for e in step.events)
        assert ids == sorted(e["id"] for e in all_of if low <= e["time"] < high)

    assert not list(History(told.table, TENANT, {}, start, start).walk(Place()))


def moment(text: str) -> int:
    found = from_rfc3339(text)
    assert found is not None
    return found


SOURCE = Provenance("con_a", "rcp_19c13bd3e80_a_00112233445566778899", 1)
AT = 1_790_000_000_000


def signalled(told: Told, action: str, at: int, message: str | None = None, **more: Any) -> None:
    signal = SignalRecord(
        "relayr:d1", "k", action, at, f"{action}{at}", "Name", "major", message, **more
    )
    said.write(told.table, TENANT, Assembly(signals=[signal]), SOURCE)
    told.follow()


def test_an_alert_is_replayed_turn_by_turn_as_it_was_then() -> None:
    told = Told()
    told.integrate(filter={"types": ["alert.*"]})
    signalled(told, "raise", AT, "first")
    signalled(told, "acknowledge", AT, "seen", by="op", noted_at=AT + 500)
    signalled(told, "raise", AT + 1000, "second")
    signalled(told, "clear", AT + 2000)
    first = told.got()
    assert [event["type"] for event in first] == [
        "alert.raised",
        "alert.acknowledged",
        "alert.cleared",
    ]

    told.replay({"types": ["alert.*"]})
    again = told.got()

    before, after = essence(first), essence(again)
    # The wording at an acknowledgement is not kept; later raises may have changed it.
    acknowledged = first[1]["id"]
    assert before[acknowledged]["data"].pop("message") == "first"
    assert after[acknowledged]["data"].pop("message") == "second"
    assert after == before


def test_an_alert_that_was_raised_before_the_range_is_replayed_as_cleared_within_it() -> None:
    told = Told()
    told.integrate(filter={"types": ["alert.*"]})
    signalled(told, "raise", AT)
    signalled(told, "clear", AT + 40 * 86_400_000)
    told.got()

    told.replay({"types": ["alert.*"]}, start=AT + 1)

    assert [event["type"] for event in told.got()] == ["alert.cleared"]


def test_a_replay_is_sent_although_the_same_events_are_dead_or_delivered() -> None:
    told = Told()
    told.integrate(filter={"types": ["alert.*"]})
    answers = chain([500] * 5, repeat(200))
    told.answer = lambda _: Outcome(next(answers), 1)
    signalled(told, "raise", AT)
    assert len(told.got()) == 4
    (letter,) = told.dead_letters()

    job = told.replay({"types": ["alert.*"]})
    sent = told.got()

    assert len(sent) == 2
    assert {event["id"] for event in sent} == set(letter["event_ids"])
    dead = deliveries.find(told.table, TENANT, letter["delivery"])
    replayed = deliveries.find(
        told.table, TENANT, deliveries.identity_of("int_a", letter["event_ids"], job.id)
    )
    assert dead is not None
    assert replayed is not None
    assert (dead.state, replayed.state, len(replayed.attempts)) == ("dead", "delivered", 2)


def few() -> list[Example]:
    found = [next(e for e in examples() if e.vendor == v) for v in ("relayr", "haltian")]
    return [*found, next(e for e in examples() if "alert" in e.name)]


@pytest.mark.parametrize("lose_answers", [False, True])
@pytest.mark.parametrize("batch", [None, {"max_records": 3}], ids=["single", "batch"])
def test_a_crash_at_any_call_loses_nothing(
    batch: dict[str, int] | None, *, lose_answers: bool
) -> None:
    died, step = True, 0
    while died:
        step += 1
        faults = Nth(lose_answers=lose_answers)
        told = Told(aws=FakeAws(faults), slice=Size(events=4, chunk=2))
        told.integrate(batch=batch)
        for number, each in enumerate(few()):
            told.hears(each, number)
        expected = set(essence(repeatable(told.got())))
        job = told.replay()
        faults.n = step

        settle(told, faults)

        died, faults.armed = faults.died, False
        assert set(essence(told.got_so_far())) == expected, step
        done = find(told.table, TENANT, "int_a", job.id)
        assert done is not None
        assert (done.state, done.count) == ("done", len(expected)), step
        assert not told.aws.sqs.queues[QUEUE]
    assert step > 50
