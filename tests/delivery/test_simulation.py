"""Fan-out and delivery under seeded faults at every AWS call: nothing lost, no second id, no stranger."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chalicelib.aws import Hub
from chalicelib.deliver import parked
from chalicelib.deliver.courier import Courier, Hands
from chalicelib.deliver.entry import deliver
from chalicelib.dispatch import entry as dispatch
from chalicelib.model.assembly import Assembly, EventRecord, Point, Segment, SignalRecord
from chalicelib.model.requests import Request
from chalicelib.outbound.http import Outcome
from chalicelib.project import entry as project
from chalicelib.store import deliveries, integrations, said
from chalicelib.store.integrations import Integration
from chalicelib.store.said import Provenance
from chalicelib.store.table import table_of
from tests.support.simulation import Crash, Simulation

AT = 1_794_999_000_000
SOURCE = Provenance("con_a", "rcp_19c13bd3e80_a_00112233445566778899", 1)


class Run:
    """One simulation: an endpoint that is well, one for batches, a dead one, one told how they do."""

    def __init__(self, seed: int) -> None:
        self.got: dict[str, list[dict[str, Any]]] = {
            "good": [],
            "list": [],
            "watch": [],
            "order": [],
        }
        self.simulation = Simulation(
            seed,
            {
                "project": project.run,
                "dispatch": dispatch.run,
                "deliver": self.deliver,
                "sweep": lambda _, hub: {"requeued": parked.sweep(hub)},
            },
        )
        self.tries: dict[str, int] = {}

    def deliver(self, event: dict[str, Any], hub: Hub) -> dict[str, Any]:
        hands = Hands(
            self.send, self.simulation.rng, self.sleep, lambda: 0.0, linger=lambda *_: None
        )
        return deliver(event["Records"], Courier(hub, hands))

    def sleep(self, seconds: float) -> None:
        self.simulation.clock.forward(round(seconds * 1000))

    def send(self, request: Request) -> Outcome:
        self.maybe_die()
        name = request.url.split("/")[2]
        body = json.loads(request.body)
        if name == "dead":
            return Outcome(None, 5, error="connection refused")
        identity = request.headers["webhook-id"]
        self.tries[identity] = self.tries.get(identity, 0) + 1
        if self.simulation.rng.random() < 0.2 and self.tries[identity] < 3:
            return Outcome(429, 5, retry_after="2")
        self.got[name] += body if isinstance(body, list) else [body]
        self.maybe_die()
        return Outcome(200, 5)

    def maybe_die(self) -> None:
        if self.simulation.rng.random() < self.simulation.faults.rate / 3:
            raise Crash


def whole_run(seed: int) -> Run:
    run = Run(seed)
    table = table_of(run.simulation.hub)
    records = {"types": ["measurement.*", "event.*", "alert.*", "device.*"]}
    for name, batch, wanted in (
        ("good", None, records),
        ("list", {"max_records": 7}, records),
        ("dead", None, records),
        ("order", None, records),
        ("watch", None, {"types": ["integration.*"]}),
    ):
        config = {"url": f"https://{name}/"}
        ordering = "device" if name == "order" else "none"
        found = Integration(f"int_{name}", "t", name, "webhook", 0, config, wanted, batch, ordering)
        integrations.save(table, found)
    for number in range(12):
        device = f"haltian:d{number % 3}"
        at = AT + number * 1000
        points = tuple(
            Point(metric, at, number, None, None, "good", {})
            for metric in ("temperature", "uptime")
        )
        assembly = Assembly([Segment(device, "k", at, f"s{number}", points)])
        if number % 4 == 0:
            assembly.events.append(EventRecord(f"ev{number}", device, "haltian.x", at, number))
            for action in ("raise", "clear"):
                assembly.signals.append(SignalRecord(device, "k", action, at, f"{action}{number}"))
        said.write(table, "t", assembly, SOURCE)
        if number % 3 == 0:
            said.write(table, "t", assembly, SOURCE)
    run.simulation.run()
    return run


@pytest.mark.parametrize("seed", range(24))
def test_every_change_arrives_under_one_id_whatever_happens(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_LEVEL", "CRITICAL")

    run = whole_run(seed)

    ids = {
        name: {(e["type"], _what(e)): set[str]() for e in events}
        for name, events in run.got.items()
        if name != "watch"
    }
    for name in ids:
        for event in run.got[name]:
            ids[name][event["type"], _what(event)].add(event["id"])
    assert all(len(found) == 1 for kind in ids.values() for found in kind.values())
    assert ids["good"] == ids["list"] == ids["order"]
    assert _in_order(run)
    kinds = [kind for kind, _ in ids["good"]]
    assert kinds.count("measurement.recorded") == 24
    assert kinds.count("event.occurred") == 3
    assert kinds.count("device.registered") == 3
    assert kinds.count("alert.raised") == kinds.count("alert.cleared") == 3
    failing = [e for e in run.got["watch"] if e["subject"] == "int_dead"]
    assert {e["type"] for e in failing} == {"integration.failing"}
    assert len({e["id"] for e in failing}) == 1
    assert _dead(run) == {e["id"] for e in run.got["good"]}


def _in_order(run: Run) -> bool:
    """Say whether each device's measurements came in the order of their commits, repeats apart."""
    for device in ("haltian:d0", "haltian:d1", "haltian:d2"):
        came = dict.fromkeys(
            e["data"]["value"]
            for e in run.got["order"]
            if e["subject"] == device and e["type"].startswith("measurement.")
        )
        if list(came) != sorted(came):
            return False
    return True


def _what(event: dict[str, Any]) -> str:
    """Return what tells two changes of one type apart, other than their ids."""
    if event["type"] in {"device.updated", "device.online", "device.offline"}:
        return json.dumps([event["subject"], event["id"]])
    return json.dumps([event["subject"], event["data"]["id"]])


def _dead(run: Run) -> set[str]:
    table = table_of(run.simulation.hub)
    found: set[str] = set()
    after = None
    while True:
        page = deliveries.deliveries(
            table, "t", "int_dead", start=None, end=None, limit=100, after=after
        )
        rows = [deliveries.delivery_of(item) for item in page.items]
        assert {row.state for row in rows} <= {"dead"}
        assert {len(row.attempts) for row in rows} <= {4}
        found |= {identity for row in rows for identity in row.event_ids}
        after = page.after
        if after is None:
            return found
