"""The whole path under faults: whatever fails in whatever order, the same table and the same deliveries.

A story is what one connection receives.  Each schedule sends some stories, shuffled and with payloads
repeated, through all four handlers while AWS calls are throttled, time out after they took effect, refuse
entries of batches, or are the place where the handler's process dies.  What is in the table then is
compared with what an undisturbed run of each story alone leaves there.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest

from chalicelib import archive, queues
from chalicelib.aws import Hub
from chalicelib.deliver.courier import Courier, Hands
from chalicelib.deliver.entry import deliver
from chalicelib.dispatch import entry as dispatch
from chalicelib.model.envelope import Envelope, arrived
from chalicelib.model.requests import Request
from chalicelib.model.shapes import LEARNING
from chalicelib.model.state import State
from chalicelib.normalize import entry as normalize
from chalicelib.outbound.http import Outcome
from chalicelib.project import entry as project
from chalicelib.reading import read
from chalicelib.store import (
    alerts,
    connections,
    devices,
    integrations,
    keys,
    profiles,
    quarantine,
    said,
)
from chalicelib.store.changes import changes
from chalicelib.store.connections import Connection
from chalicelib.store.integrations import Integration
from chalicelib.store.table import Plain, table_of, unmarshal
from tests.support.examples import Example, example, examples
from tests.support.fake_aws import FakeAws
from tests.support.simulation import (
    CONFIG,
    DELIVERIES,
    INBOUND,
    Crash,
    CrashAt,
    Handler,
    Simulation,
)

pytestmark = pytest.mark.usefixtures("quiet")

LATER = 5000
SMALL = 3000


@dataclass(frozen=True, eq=False)
class Story:
    """What one connection of a tenant of its own receives, in the order in which it was sent."""

    number: int
    vendor: str
    settings: Any
    payloads: tuple[tuple[bytes, str, Any, int], ...]

    @property
    def tenant(self) -> str:
        return f"t{self.number}"

    def connection(self) -> Connection:
        return Connection(f"con_s{self.number}", self.tenant, self.vendor, "x", 1, self.settings)

    def envelopes(self) -> list[Envelope]:
        identity = self.connection().id
        return [
            arrived(identity, at, body, topic, query) for body, topic, query, at in self.payloads
        ]

    def repeated(self) -> list[Envelope]:
        """The same payloads sent again: new receipts, where the arrival is not their only time."""
        again = []
        for first, (body, topic, query, at) in zip(self.envelopes(), self.payloads, strict=True):
            second = arrived(self.connection().id, at + LATER, body, topic, query)
            if read(self.connection(), first).assembly == read(self.connection(), second).assembly:
                again.append(second)
        return again


def relayr_story() -> list[tuple[bytes, str, Any, int]]:
    """A device whose alert is set and cleared twice between measurements of one clock."""
    start = 1_769_860_000_000
    sent: list[tuple[bytes, str, Any, int]] = []
    for step in range(4):
        at = start + step * 60_000
        values = [{"name": "temperature", "value": 20 + step, "timestamp": at}]
        alert = [{"name": "tooHot", "state": "clear" if step % 2 else "set", "timestamp": at}]
        for kind, body in (("measurements", values), ("alerts", alert)):
            sent.append(
                (json.dumps(body).encode(), f"devices/d1/{kind}", {}, at + 1000 + len(sent))
            )
    return sent


def drifting_story() -> list[tuple[bytes, str, Any, int]]:
    """A device whose measurements get a new field, and an old one of another type, in the end."""
    start = 1_769_860_000_000
    sent: list[tuple[bytes, str, Any, int]] = []
    for step in range(LEARNING + 4):
        at = start + step * 60_000
        item: dict[str, Any] = {"name": "temperature", "value": step, "timestamp": at, "note": 1}
        if step > LEARNING:
            item |= {"unit": "C", "note": "x"}
        sent.append((json.dumps([item]).encode(), "devices/d1/measurements", {}, at + 1000))
    return sent


@cache
def stories() -> tuple[Story, ...]:
    def sent(*found: Example) -> list[tuple[bytes, str, Any, int]]:
        return [(e.body, e.topic, e.query, e.received_at + n) for n, e in enumerate(found)]

    several = [
        ("relayr", relayr_story()),
        ("relayr", drifting_story()),
        (
            "viziosense",
            sent(example("viziosense", "alert-firing"), example("viziosense", "alert-clearing")),
        ),
        ("haltian", sent(*(e for e in examples() if e.name.startswith("11201-heartbeat")))),
    ]
    found = [Story(n, vendor, {}, tuple(payloads)) for n, (vendor, payloads) in enumerate(several)]
    for each in examples():
        if len(each.body) < SMALL:
            found.append(Story(len(found), each.vendor, each.settings, tuple(sent(each))))
    return tuple(found)


@dataclass
class Contents:
    """What the table holds of a tenant, without the traces of order: provenance, versions."""

    said: dict[tuple[str, str], bytes] = field(default_factory=dict)
    alerts: dict[tuple[str, str], Any] = field(default_factory=dict)
    devices: dict[str, Any] = field(default_factory=dict)
    states: dict[str, Any] = field(default_factory=dict)
    quarantined: set[tuple[str, str, str]] = field(default_factory=set)
    events: dict[str, set[str]] = field(default_factory=dict)
    """CloudEvents ids by type that these items mean."""
    drift: list[str] = field(default_factory=list)
    """Ids of the events of changed looks: when one was first seen depends on the order."""


def contents_of(aws: FakeAws, tenant: str) -> Contents:
    found = Contents()
    for pk, partition in aws.dynamodb.items.items():
        if pk == f"T#{tenant}#Q":
            rows = [quarantine.as_json(unmarshal(item)) for item in partition.values()]
            found.quarantined = {(r["receipt_id"], r["path"], r["reason"]) for r in rows}
        if not pk.startswith(keys.device_pk(tenant, "")):
            continue
        if keys.DEVICE in partition:
            _fold(found, pk, unmarshal(partition[keys.DEVICE]), partition.get(keys.STATE))
        for sk, typed in partition.items():
            item = unmarshal(typed)
            if sk.startswith(keys.EVENT) and said.event_of(item).type == profiles.EVENT:
                found.drift.append(said.event_of(item).id)
            else:
                _take(found, pk, sk, item)
            for event in changes(None, item, None):
                found.events.setdefault(event["type"], set()).add(event["id"])
    return found


def _take(found: Contents, pk: str, sk: str, item: Plain) -> None:
    if sk.startswith(keys.SAID):
        found.said[pk, sk] = item["d"]
    elif sk.startswith(keys.ALERT):
        found.alerts[pk, sk] = alerts.alert_of(item)


def _fold(found: Contents, pk: str, item: Plain, typed: Plain | None) -> None:
    device = devices.device_of(item)
    state = devices.state_of(unmarshal(typed)) if typed else State()
    device.recall(state.confirmed)
    facts = {path: (value, at) for path, (value, at, _) in device.facts.items()}
    found.devices[pk] = (facts, device.metrics, device.presence)
    latest = {name: point for name, (point, _) in state.latest.items()}
    found.states[pk] = (latest, state.last_seen, state.presence)


@cache
def undisturbed(story: Story) -> Contents:
    """Return what a story leaves when every payload comes once, in order, and nothing fails."""
    aws = FakeAws()
    hub = Hub(CONFIG, aws.client, aws.clock)
    connections.save(table_of(hub), story.connection())
    for envelope in story.envelopes():
        record = {"messageId": "m", "body": envelope.to_json()}
        assert normalize.run({"Records": [record]}, hub) == {"batchItemFailures": []}
    for record in list(aws.dynamodb.stream):
        assert project.run({"Records": [record]}, hub) == {"batchItemFailures": []}
    return contents_of(aws, story.tenant)


class Run:
    """Some stories through all handlers under one schedule."""

    def __init__(self, told: list[Story], seed: int, crash: tuple[int, bool] | None = None) -> None:
        handlers: dict[str, Handler] = {
            "normalize": normalize.run,
            "project": project.run,
            "dispatch": dispatch.run,
            "deliver": self.deliver,
        }
        self.stories = told
        self.simulation = Simulation(seed, handlers, crash=crash)
        self.delivered: dict[tuple[str, str], set[str]] = {}
        """Ids under which each thing of each type was delivered."""
        self._prepare()
        self.simulation.run()

    def deliver(self, event: dict[str, Any], hub: Hub) -> dict[str, Any]:
        hands = Hands(self.send, self.simulation.rng, self.sleep, lambda: 0.0)
        return deliver(event["Records"], Courier(hub, hands))

    def sleep(self, seconds: float) -> None:
        self.simulation.clock.forward(round(seconds * 1000))

    def send(self, request: Request) -> Outcome:
        event = json.loads(request.body)
        if event["type"] != "device.updated" and event["type"] not in {
            "device.online",
            "device.offline",
        }:
            what = (event["type"], f"{request.url} {event['subject']} {event['data']['id']}")
            self.delivered.setdefault(what, set()).add(event["id"])
        if self.simulation.rng.random() < self.simulation.faults.rate / 3:
            raise Crash
        return Outcome(200, 5)

    def ids(self, story: Story, kind: str) -> set[str]:
        return {
            identity
            for (of_kind, what), found in self.delivered.items()
            for identity in found
            if of_kind == kind and what.startswith(f"https://{story.tenant}/ ")
        }

    def _prepare(self) -> None:
        table = table_of(self.simulation.hub)
        sent: list[Envelope] = []
        for story in self.stories:
            connections.save(table, story.connection())
            target = {"url": f"https://{story.tenant}/"}
            integrations.save(table, Integration("int_a", story.tenant, "x", "webhook", 0, target))
            sent += [*story.envelopes(), *story.repeated()]
        self.simulation.rng.shuffle(sent)
        queues.send(self.simulation.hub, INBOUND, [queues.Message(each.to_json()) for each in sent])


def check(run: Run) -> None:
    aws = run.simulation.aws
    assert not aws.sqs.queues[INBOUND]
    assert not aws.sqs.queues.get(DELIVERIES)
    for story in run.stories:
        expected, got = undisturbed(story), contents_of(aws, story.tenant)
        originals = {each.receipt_id for each in story.envelopes()}
        assert got.said == expected.said
        assert got.alerts == expected.alerts
        assert got.devices == expected.devices
        assert got.states == expected.states
        assert sorted(got.drift) == sorted(expected.drift)
        assert run.ids(story, profiles.EVENT) == got.events.get(profiles.EVENT, set())
        assert {row for row in got.quarantined if row[0] in originals} == expected.quarantined
        _check_deliveries(run, story, expected)
        for envelope in story.envelopes():
            found = archive.find(run.simulation.hub, story.tenant, envelope.receipt_id)
            assert found == envelope


def _check_deliveries(run: Run, story: Story, expected: Contents) -> None:
    for kind in ("measurement.recorded", "event.occurred", "media.added", "device.registered"):
        assert run.ids(story, kind) == expected.events.get(kind, set()), kind
    assert run.ids(story, "measurement.corrected") == set()
    for kind in ("alert.raised", "alert.cleared"):
        # An alert whose earlier raise came late was delivered as it was known before, too.
        assert run.ids(story, kind) >= expected.events.get(kind, set()), kind
    assert all(len(found) == 1 for found in run.delivered.values())


def picked(seed: int) -> list[Story]:
    """Three stories; every one has its turn."""
    rng = random.Random(seed)  # noqa: S311 - a schedule, not a secret
    known = stories()
    return [
        known[seed % len(known)],
        *rng.sample([s for s in known if s is not known[seed % len(known)]], 2),
    ]


def schedules(config: pytest.Config) -> Iterator[int]:
    yield from range(config.getoption("--schedules"))


def test_no_schedule_of_faults_loses_or_doubles_anything(request: pytest.FixtureRequest) -> None:
    struck: Counter[tuple[str, str]] = Counter()

    for seed in schedules(request.config):
        run = Run(picked(seed), seed)
        try:
            check(run)
        except AssertionError as error:
            error.add_note(f"seed {seed}: {[(s.vendor, s.number) for s in run.stories]}")
            raise
        struck += run.simulation.faults.struck

    ways = {way for way, _ in struck}
    assert ways == {"throttled", "died before", "answer lost", "died after", "entry refused"}
    for operation in (
        "PutItem",
        "UpdateItem",
        "BatchGetItem",
        "Query",
        "PutObject",
        "SendMessageBatch",
    ):
        assert all(struck[way, operation] for way in ways - {"entry refused"}), operation


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_a_crash_at_any_call_of_the_run_changes_nothing(late: bool) -> None:
    told = [
        next(s for s in stories() if s.vendor == vendor)
        for vendor in ("relayr", "viziosense", "haltian")
    ]
    told += [
        next(s for s in stories() if s.vendor == vendor)
        for vendor in ("soundsensing", "lightelligence")
    ]
    whole = Run(told, 1, crash=(-1, late))
    check(whole)
    survived = 0

    for number in range(_calls(whole)):
        run = Run(told, 1, crash=(number, late))
        check(run)
        survived += sum(run.simulation.faults.struck.values())

    assert survived == _calls(whole) > 100


def _calls(run: Run) -> int:
    faults = run.simulation.faults
    assert isinstance(faults, CrashAt)
    return faults.calls


def test_a_changed_look_is_told_once_whatever_fails() -> None:
    """The schedules above tell this story rarely; here it is told again and again."""
    story = next(each for each in stories() if each.payloads == tuple(drifting_story()))
    assert len(undisturbed(story).drift) == 2

    for seed in range(40):
        run = Run([story], seed)
        check(run)


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_a_changed_look_is_told_once_wherever_a_process_dies(late: bool) -> None:
    story = next(each for each in stories() if each.payloads == tuple(drifting_story()))
    whole = Run([story], 1, crash=(-1, late))
    check(whole)

    for number in range(_calls(whole)):
        check(Run([story], 1, crash=(number, late)))
