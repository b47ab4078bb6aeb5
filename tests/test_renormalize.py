"""History read again: as if today's adapter had been there from the beginning, whatever fails on the way."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from chalicelib import archive, renormalization
from chalicelib.aws import Hub
from chalicelib.dispatch import entry as dispatch
from chalicelib.model.envelope import Envelope, arrived
from chalicelib.model.records import (
    AlertSignal,
    Event,
    Fact,
    MalformedPayloadError,
    Measurement,
    Media,
    Record,
)
from chalicelib.model.state import State
from chalicelib.model.times import DAY, HOUR
from chalicelib.normalize import entry as normalize
from chalicelib.normalize import history, stalled
from chalicelib.project import entry as project
from chalicelib.store import (
    alerts,
    connections,
    devices,
    integrations,
    keys,
    quarantine,
    renormalizations,
    said,
    series,
)
from chalicelib.store.changes import changes
from chalicelib.store.connections import Connection
from chalicelib.store.integrations import Integration
from chalicelib.store.renormalizations import DONE, FAILED, RUNNING, Renormalization
from chalicelib.store.table import Plain, Table, table_of, unmarshal
from tests.support.acme import Acme
from tests.support.examples import Example, examples
from tests.support.fake_aws import FakeAws
from tests.support.simulation import (
    CONFIG,
    DELIVERIES,
    INBOUND,
    Crash,
    Handler,
    Simulation,
    stream_record,
)

pytestmark = pytest.mark.usefixtures("quiet")

START = 1_790_000_000_000
"""When the first payload of a story arrives: some weeks before the fakes' clock."""
TENANT, CONNECTION = "ten", "con_a"
WANTED = Renormalization(TENANT, CONNECTION, 0, 0, 1, dry_run=False, requested_at=0)


@pytest.fixture
def acme(tmp_path: Path) -> Iterator[Acme]:
    with Acme(tmp_path) as vendor:
        yield vendor


@dataclass
class World:
    """A hub whose queue and stream are worked off when told, with one integration that wants all."""

    vendor: str = "acme"
    settings: Any = field(default_factory=dict)
    aws: FakeAws = field(default_factory=FakeAws)

    def __post_init__(self) -> None:
        self.read = 0
        self.hub = Hub(CONFIG, self.aws.client, self.aws.clock)
        self.connect(self.settings)
        target = {"url": "https://example.com/"}
        integrations.save(self.table, Integration("int_a", TENANT, "x", "webhook", 0, target))

    @property
    def table(self) -> Table:
        return table_of(self.hub)

    def connect(self, settings: Any) -> None:
        """Connect the vendor, or change the connection's settings."""
        known = connections.find(self.table, CONNECTION)
        made = known or Connection(CONNECTION, TENANT, self.vendor, "x", 1)
        connections.save(self.table, replace(made, settings=settings))

    def receive(self, envelope: Envelope) -> None:
        record = {"messageId": "m", "body": envelope.to_json()}
        assert normalize.run({"Records": [record]}, self.hub) == {"batchItemFailures": []}

    def acme(self, at: int, *items: Any, device: str = "d1", arrival: int | None = None) -> None:
        body = {"d": device, "at": START + at, "items": list(items)}
        moment = START + (at if arrival is None else arrival)
        self.receive(arrived(CONNECTION, moment, json.dumps(body).encode()))
        self.follow()

    def follow(self) -> None:
        """Let the stream be read to its end."""
        while self.read < len(self.aws.dynamodb.stream):
            batch = [stream_record(each) for each in self.aws.dynamodb.stream[self.read :][:100]]
            for stage in (project.run, dispatch.run):
                assert stage({"Records": batch}, self.hub) == {"batchItemFailures": []}
            self.read += len(batch)

    def order(
        self, start: int = -300 * DAY, end: int = 100 * DAY, *, dry_run: bool = False
    ) -> Renormalization:
        wanted = Renormalization(
            TENANT, CONNECTION, 0, START + start, START + end, dry_run, self.aws.clock()
        )
        order = renormalizations.begin(self.table, wanted)
        assert order is not None
        renormalization.enqueue(self.hub, order)
        return order

    def step(self) -> bool:
        """Do what the queue's next message names."""
        queue = self.aws.sqs.queues.get(INBOUND, {})
        if not queue:
            return False
        message = queue.pop(next(iter(queue)))
        record = {"messageId": "m", "body": message.body}
        assert normalize.run({"Records": [record]}, self.hub) == {"batchItemFailures": []}
        self.follow()
        return True

    def renormalize(self, *span: int, dry_run: bool = False) -> Renormalization:
        """Have history read again to the end."""
        order = self.order(*span, dry_run=dry_run)
        while self.step():
            pass
        return self.now(order)

    def now(self, order: Renormalization) -> Renormalization:
        found = renormalizations.find(self.table, TENANT, CONNECTION, order.number)
        assert found is not None
        return found

    def delivered(self) -> list[dict[str, Any]]:
        """Return what was handed to deliver since the last time."""
        messages = self.aws.sqs.queues.pop(DELIVERIES, {})
        return [event for each in messages.values() for event in json.loads(each.body)["events"]]

    def values(self, device: str = "d1", metric: str = "temperature") -> list[tuple[int, Any]]:
        found, _ = devices.load_device(self.table, TENANT, f"{self.vendor}:{device}")
        assert found is not None
        kinds = {"unit": None, "kind": "gauge", "in": ["item", "moved", "measurements"]}
        found.metrics.setdefault(metric, kinds)
        rows = series.readings(
            self.table, TENANT, found, [metric], start=START - DAY, end=START + DAY
        )
        return [(row.point.at - START, row.point.value) for row in rows]

    def latest(self, device: str = "d1") -> dict[str, Any]:
        state, _ = devices.load_state(self.table, TENANT, f"{self.vendor}:{device}")
        return {name[0]: point.value for name, (point, _) in state.latest.items()}

    def device(self, device: str = "d1") -> dict[str, Any]:
        found, _ = devices.load_device(self.table, TENANT, f"{self.vendor}:{device}")
        assert found is not None
        return found.as_json(None)

    def quarantined(self) -> set[str]:
        rows = self.aws.dynamodb.items.get(f"T#{TENANT}#Q", {}).values()
        return {quarantine.as_json(unmarshal(item))["path"] for item in rows}


def temperature(item: Any, body: Any) -> list[Record]:
    return [Measurement(body["d"], "temperature", item["v"], body["at"], "Cel")]


def half(item: Any, body: Any) -> list[Record]:
    """Read as :func:`temperature` should have: the vendor counts in half degrees."""
    return [Measurement(body["d"], "temperature", item["v"] / 2, body["at"], "Cel")]


def one_of(world: World, kind: str) -> list[Any]:
    return [event["data"]["value"] for event in world.delivered() if event["type"] == kind]


# --- what a better adapter does ------------------------------------------------------------------


def test_a_better_adapter_corrects_values_in_place_and_each_is_delivered_once(acme: Acme) -> None:
    acme.reads(temperature)
    world = World()
    for n in range(3):
        world.acme(n, {"v": 40 + n})
    first = [e for e in world.delivered() if e["type"] == "measurement.recorded"]

    acme.reads(half)
    done = world.renormalize()
    corrected = world.delivered()
    again = world.renormalize()

    assert world.values() == [(0, 20), (1, 20.5), (2, 21)]
    assert world.latest() == {"temperature": 21}
    assert {event["type"] for event in corrected} == {"measurement.corrected"}
    assert [e["data"]["id"] for e in corrected] == [e["data"]["id"] for e in first]
    assert not {e["id"] for e in corrected} & {e["id"] for e in first}
    versions = {
        e["data"]["provenance"]["receipt_id"]: e["data"]["provenance"] for e in first + corrected
    }
    assert [each["adapter_version"] for each in versions.values()] == [2, 2, 2]
    assert (done.state, done.counts["payloads"], done.counts["corrected"]) == (DONE, 3, 3)
    assert again.counts == {**dict.fromkeys(renormalizations.COUNTS, 0), "payloads": 3}
    assert world.delivered() == []


def test_changed_settings_correct_history() -> None:
    world = World("relayr")
    for n in range(3):
        body = [{"name": "Warmth", "value": 50 + 9 * n, "timestamp": START + n}]
        envelope = arrived(
            CONNECTION, START + n, json.dumps(body).encode(), "devices/d1/measurements"
        )
        world.receive(envelope)
    world.follow()
    world.delivered()
    assert world.latest() == {"relayr.Warmth": 68}

    world.connect({"metric_map": {"Warmth": {"metric": "temperature", "unit": "[degF]"}}})
    done = world.renormalize()

    assert world.values() == [(0, 10), (1, 15), (2, 20)]
    assert world.values(metric="relayr.Warmth") == []
    assert world.latest() == {"temperature": 20}
    assert set(world.device()["metrics"]) == {"temperature"}
    assert (done.counts["recorded"], done.counts["withdrawn"]) == (3, 3)
    assert one_of(world, "measurement.recorded") == [10, 15, 20]


def test_only_what_arrived_in_the_range_is_read_again(acme: Acme) -> None:
    acme.reads(temperature)
    world = World()
    for n in range(4):
        world.acme(n, {"v": 40})

    acme.reads(half)
    world.renormalize(1, 3)
    empty = world.renormalize(2, 2)

    assert world.values() == [(0, 40), (1, 20), (2, 20), (3, 40)]
    assert (empty.state, empty.counts["payloads"]) == (DONE, 0)


def test_a_record_that_moves_leaves_nothing_behind(acme: Acme) -> None:
    """The clock was read wrongly, the device was another one, the message kind has another name."""

    def wrong(item: Any, body: Any) -> list[Record]:
        at = body["at"] + 3 * HOUR
        return [
            Measurement(f"{body['d']}x", "temperature", item["v"], at),
            Fact(f"{body['d']}x", "name", "x", at),
        ]

    acme.reads(wrong)
    world = World()
    for n in range(3):
        world.acme(n, {"v": n})
    assert world.latest("d1x") == {"temperature": 2}

    acme.reads(temperature, lambda _: "moved")
    done = world.renormalize()

    assert world.values() == [(0, 0), (1, 1), (2, 2)]
    assert world.values("d1x") == []
    assert (world.latest(), world.latest("d1x")) == ({"temperature": 2}, {})
    assert (world.device("d1x")["metrics"], world.device("d1x")["name"]) == ({}, None)
    assert (done.counts["recorded"], done.counts["withdrawn"]) == (3, 6)


def test_a_fact_that_moves_with_its_segment_stays(acme: Acme) -> None:
    def named(item: Any, body: Any) -> list[Record]:
        return [*temperature(item, body), Fact(body["d"], "name", item["n"], body["at"])]

    acme.reads(named)
    world = World()
    world.acme(0, {"v": 1, "n": "old"})
    world.acme(1, {"v": 1, "n": "new"})

    acme.reads(named, lambda _: "moved")
    world.renormalize()
    assert world.device()["name"] == "new"

    acme.reads(lambda item, body: named(item, body)[: 2 if item["n"] == "old" else 1])
    world.renormalize()
    assert world.device()["name"] == "old"


def test_the_latest_value_falls_back_to_what_is_still_said(acme: Acme) -> None:
    acme.reads(temperature)
    world = World()
    for n, value in enumerate((20, 21, 850, 999)):
        world.acme(n * HOUR, {"v": value})
    world.delivered()

    acme.reads(lambda item, body: temperature(item, body) if item["v"] < 100 else [])
    done = world.renormalize()

    assert world.latest() == {"temperature": 21}
    assert list(world.device()["metrics"]) == ["temperature"]
    assert done.counts["withdrawn"] == 2
    assert world.delivered() == []  # nothing says to a receiver that something is not true


def test_an_event_that_is_a_measurement_now_is_no_event_any_more(acme: Acme) -> None:
    acme.reads(lambda item, body: [Event(body["d"], "acme.warm", body["at"], item)])
    world = World()
    world.acme(0, {"v": 20})

    acme.reads(temperature)
    world.renormalize()

    assert world.values() == [(0, 20)]
    assert not any(sk.startswith("E#") for sk in partition(world, "d1"))


def test_an_alert_whose_raise_was_none_is_gone_and_its_neighbours_stay(acme: Acme) -> None:
    def signals(item: Any, body: Any) -> list[Record]:
        return [AlertSignal(body["d"], "hot", item["s"], body["at"])]

    acme.reads(signals)
    world = World()
    for n, action in enumerate(("raise", "clear", "raise", "clear", "raise")):
        world.acme(n, {"s": action})
    before = alerts_of(world)
    assert [each["state"] for each in before] == ["cleared", "cleared", "active"]

    acme.reads(lambda item, body: signals(item, body) if body["at"] < START + 4 else [])
    world.renormalize()

    assert alerts_of(world) == before[:2]
    assert alerts.find(world.table, TENANT, before[2]["id"]) is None


def test_what_an_operator_said_of_an_alert_stays(acme: Acme) -> None:
    acme.reads(lambda item, body: [AlertSignal(body["d"], "hot", item["s"], body["at"])])
    world = World()
    world.acme(0, {"s": "raise"})
    (item,) = (unmarshal(i) for sk, i in partition(world, "d1").items() if sk.startswith("A#"))
    signal = said.signal_of(
        unmarshal(next(i for sk, i in partition(world, "d1").items() if sk.startswith("S#")))
    )
    spoken = replace(signal, action="acknowledge", digest="me", by="me", source="hub")
    alerts.signal(world.table, TENANT, spoken, said.provenance_of(item))
    world.follow()

    acme.reads(
        lambda item, body: [AlertSignal(body["d"], "hot", item["s"], body["at"], severity="major")]
    )
    world.renormalize()

    (alert,) = alerts_of(world)
    assert (alert["severity"], alert["acknowledged"]["by"]) == ("major", "me")


def test_quarantine_follows_the_adapter(acme: Acme) -> None:
    def picky(bad: int) -> Callable[[Any, Any], list[Record]]:
        def reader(item: Any, body: Any) -> list[Record]:
            if item["v"] == bad:
                raise MalformedPayloadError("odd")
            return temperature(item, body)

        return reader

    acme.reads(picky(0))
    world = World()
    world.acme(0, {"v": 0}, {"v": 1}, {"v": 2})
    assert world.quarantined() == {"$.items[0]"}

    acme.reads(picky(1))
    dry = world.renormalize(dry_run=True)
    assert world.quarantined() == {"$.items[0]"}
    done = world.renormalize()

    assert world.quarantined() == {"$.items[1]"}
    assert dry.counts == done.counts
    assert (done.counts["released"], done.counts["quarantined"]) == (1, 1)


def test_an_older_link_of_a_clip_does_not_come_back(acme: Acme) -> None:
    acme.reads(lambda i, b: [Media(b["d"], "audio", i["clip"], i["url"], START)])
    world = World()
    world.acme(0, {"clip": "c", "url": "https://example.com/1"})
    world.acme(1, {"clip": "c", "url": "https://example.com/2"})

    acme.reads(lambda i, b: [Media(b["d"], "audio", i["clip"], i["url"], START, 9)])
    world.renormalize(0, 1)
    assert media_of(world) == [("https://example.com/2", None)]
    world.renormalize()

    assert media_of(world) == [("https://example.com/2", 9)]


def test_a_payload_that_arrives_meanwhile_is_not_overwritten(acme: Acme) -> None:
    acme.reads(temperature)
    world = World()
    world.acme(0, {"v": 40})

    acme.reads(half)
    order = world.order()
    world.acme(0, {"v": 50}, arrival=30 * DAY)  # the vendor's own correction of the same moment
    while world.step():
        pass

    assert world.now(order).state == DONE
    assert world.values() == [(0, 25)]
    assert world.latest() == {"temperature": 25}


# --- what changes nothing ------------------------------------------------------------------------


def payloads_of(found: list[Example]) -> list[Envelope]:
    return [
        arrived(CONNECTION, e.received_at + n, e.body, e.topic, e.query)
        for n, e in enumerate(found)
    ]


@pytest.mark.parametrize("vendor", sorted({each.vendor for each in examples()}))
def test_an_unchanged_adapter_changes_nothing(vendor: str) -> None:
    found = [each for each in examples() if each.vendor == vendor]
    settings: dict[str, Any] = {}
    for each in found:
        settings |= each.settings
    world = World(vendor, settings)
    for envelope in payloads_of(found):
        world.receive(envelope)
    world.follow()
    world.delivered()
    before = len(world.aws.dynamodb.stream)

    done = world.renormalize()

    assert done.state == DONE
    assert done.counts == {**dict.fromkeys(renormalizations.COUNTS, 0), "payloads": len(found)}
    written = {each["dynamodb"]["Keys"]["pk"]["S"] for each in world.aws.dynamodb.stream[before:]}
    assert written == {f"T#{TENANT}#N#{CONNECTION}"}
    assert world.delivered() == []


def test_a_dry_run_writes_nothing_and_tells_what_would_change(acme: Acme) -> None:
    acme.reads(temperature)
    world = World()
    for n in range(30):
        world.acme(n, {"v": n})
    world.delivered()
    before = len(world.aws.dynamodb.stream)

    acme.reads(lambda item, body: half(item, body) if item["v"] % 3 else [])
    dry = world.renormalize(dry_run=True)

    written = {each["dynamodb"]["Keys"]["pk"]["S"] for each in world.aws.dynamodb.stream[before:]}
    assert written == {f"T#{TENANT}#N#{CONNECTION}"}
    assert world.delivered() == []
    assert len(dry.examples) == history.EXAMPLES
    example = dry.examples[0]
    assert (example["change"], example["before"]["value"], example["after"]["value"]) == (
        "corrected",
        1,
        0.5,
    )
    assert example["id"] == example["before"]["id"] == example["after"]["id"]
    assert world.renormalize().counts == dry.counts


# --- steps -----------------------------------------------------------------------------------------


def test_a_long_range_is_walked_in_steps(acme: Acme) -> None:
    acme.reads(temperature)
    world = World()
    for n in range(2 * history.PAYLOADS + 1):
        world.acme(n * 1000, {"v": n})
    acme.reads(half)
    order = world.order(0, DAY)

    seen = []
    while world.step():
        now = world.now(order)
        seen.append((now.counts["payloads"], now.progress))

    assert [count for count, _ in seen[:3]] == [history.PAYLOADS, 2 * history.PAYLOADS, 401]
    progress = [share for _, share in seen]
    assert progress == sorted(progress)
    assert progress[-1] == 1
    assert world.now(order).counts["corrected"] == 400  # nought is its own half


def test_a_step_ends_when_its_time_is_up(acme: Acme) -> None:
    acme.reads(temperature)
    world = World()
    for n in range(3):
        world.acme(n, {"v": n})
    order = world.order()
    (message,) = world.aws.sqs.queues[INBOUND].values()
    step = renormalization.named(message.body)
    assert step is not None

    history.go_on(world.hub, step, world.aws.clock(), again=False)

    assert world.now(order).counts["payloads"] == 1


def test_changed_settings_begin_a_walk_anew(acme: Acme) -> None:
    acme.reads(temperature)
    world = World()
    for n in range(history.PAYLOADS + 1):
        world.acme(n, {"v": 10})
    order = world.order()
    world.step()
    assert world.now(order).counts["payloads"] == history.PAYLOADS

    acme.reads(half)
    while world.step():
        pass

    now = world.now(order)
    assert now.counts["payloads"] == now.counts["corrected"] == history.PAYLOADS + 1


def test_one_order_of_a_connection_is_under_way_at_a_time(acme: Acme) -> None:
    acme.reads(temperature)
    world = World()
    order = world.order()

    assert renormalizations.begin(world.table, WANTED) is None
    while world.step():
        pass
    second = renormalizations.begin(world.table, WANTED)

    assert second is not None
    assert second.number == order.number + 1


def test_of_two_orders_made_at_once_one_is_refused(acme: Acme) -> None:
    acme.reads(temperature)
    world = World()
    query = world.aws.dynamodb.query

    def slow(**request: Any) -> Any:
        answer = query(**request)
        world.aws.dynamodb.query = query  # type: ignore[method-assign]
        world.order()
        return answer

    world.aws.dynamodb.query = slow  # type: ignore[method-assign]

    assert renormalizations.begin(world.table, WANTED) is None


def test_a_lost_message_is_replaced(acme: Acme) -> None:
    acme.reads(temperature)
    world = World()
    world.acme(0, {"v": 1})
    order = world.order()
    world.aws.sqs.queues.clear()

    assert stalled.sweep(world.hub) == 0
    world.aws.clock.forward(HOUR)
    assert stalled.sweep(world.hub) == 1
    assert stalled.sweep(world.hub) == 0
    while world.step():
        pass

    assert world.now(order).state == DONE
    world.aws.clock.forward(HOUR)
    assert stalled.sweep(world.hub) == 0


def test_an_order_that_never_gets_on_fails_and_makes_room(acme: Acme) -> None:
    acme.reads(temperature)
    world = World()
    order = world.order()
    for _ in range(5):
        world.aws.sqs.queues.clear()
        world.aws.clock.forward(HOUR)
        assert stalled.sweep(world.hub) == 1
    world.aws.clock.forward(HOUR)

    assert stalled.sweep(world.hub) == 0

    failed = world.now(order)
    assert (failed.state, failed.finished_at) == (FAILED, world.aws.clock())
    assert failed.reason
    assert world.order().number == order.number + 1


def test_a_step_comes_after_the_payloads_of_its_batch(acme: Acme) -> None:
    acme.reads(temperature)
    world = World()
    order = world.order()
    (step,) = world.aws.sqs.queues[INBOUND].values()
    body = {"d": "d1", "at": START, "items": [{"v": 1}]}
    payload = arrived(CONNECTION, START, json.dumps(body).encode()).to_json()
    records = [{"messageId": str(n), "body": b} for n, b in enumerate((step.body, payload))]

    assert normalize.run({"Records": records}, world.hub) == {"batchItemFailures": []}

    assert world.now(order).counts["payloads"] == 1  # it found in the archive what came beside it


def test_a_step_that_fails_comes_again_and_keeps_what_was_done(acme: Acme) -> None:
    acme.reads(temperature)
    world = World()
    for n in range(3):
        world.acme(n, {"v": n})
    order = world.order()
    failing = [START + 1]

    def broken(item: Any, body: Any) -> list[Record]:
        if body["at"] in failing:
            raise Crash
        return half(item, body)

    acme.reads(broken)
    queue = world.aws.sqs.queues[INBOUND]
    (message,) = queue.values()
    with pytest.raises(Crash):
        normalize.run({"Records": [{"messageId": "m", "body": message.body}]}, world.hub)
    assert world.now(order).step == 0

    failing.clear()
    while world.step():
        pass
    assert world.now(order).counts["payloads"] == 3
    assert world.values() == [(0, 0), (1, 0.5), (2, 1)]


# --- as if it had always been so -----------------------------------------------------------------


def rough(item: Any, body: Any) -> list[Record]:  # noqa: PLR0911 - one a kind of item
    device, at, v = body["d"], body["at"], item["v"]
    match item["k"]:
        case "late":
            return [Measurement(device, "device_temperature", v, at + HOUR)]
        case "who":
            return [Measurement(f"{device}x", "relative_humidity", v, at)]
        case "event":
            return [Event(device, "acme.event", at, v)]
        case "raise" | "clear" as action:
            return [AlertSignal(device, "hot", action, at)]
        case "name":
            return [Fact(device, "name", f"n{v}", at), Measurement(device, "tvoc", v, at)]
        case "odd" if v % 2:
            raise MalformedPayloadError("odd")
        case "odd":
            return [Measurement(device, "carbon_dioxide", v, at)]
        case _:
            return [Measurement(device, "temperature", v, at)]


def fine(item: Any, body: Any) -> list[Record]:  # noqa: PLR0911 - one a kind of item
    device, at, v = body["d"], body["at"], item["v"]
    match item["k"]:
        case "late":
            return [Measurement(device, "device_temperature", v, at)]
        case "who":
            return [Measurement(device, "relative_humidity", v, at)]
        case "event":
            return [Measurement(device, "illuminance", v, at)]
        case "raise" | "clear" as action:
            return [AlertSignal(device, "hot", action, at)] if v % 2 else []
        case "name":
            return [Fact(device, "attributes.label", f"n{v}", at)] if v % 2 else []
        case "odd" if not v % 2:
            raise MalformedPayloadError("odd")
        case "odd":
            return [Measurement(device, "carbon_dioxide", v, at)]
        case _:
            return [Measurement(device, "temperature", v / 2, at)]


KINDS = ["plain", "late", "who", "event", "raise", "clear", "name", "odd"]


def kind_of(item: Any) -> str:
    return "moved" if item["v"] > 5 else "item"


def story(rng: random.Random) -> list[Envelope]:
    found = []
    for n in range(rng.randint(1, 12)):
        items = [
            # Two values of one reading in one payload have no order.
            {"k": kind, "v": rng.randint(0, 9)}
            for kind in rng.sample(KINDS, rng.randint(1, 4))
        ]
        at = START + rng.choice([0, 1, 2, 60, 61]) * 60_000
        body = {"d": rng.choice(["d1", "d2"]), "at": at, "items": items}
        arrival = START + 2 * HOUR + n * rng.choice([1, 7, 20 * 60_000])
        found.append(arrived(CONNECTION, arrival, json.dumps(body).encode()))
    return sorted(found, key=archive.place_of)


@dataclass
class Contents:
    """What the table holds of the tenant, without the traces of how it came to be so."""

    said: dict[tuple[str, str], tuple[bytes, str]]
    alerts: list[Any]
    latest: dict[str, Any]
    facts: dict[str, Any]
    metrics: dict[str, set[str]]
    quarantined: set[tuple[str, str]]
    items: dict[tuple[str, str], Plain] = field(default_factory=dict)


def contents(aws: FakeAws) -> Contents:
    found = Contents({}, [], {}, {}, {}, set())
    for pk, partition in aws.dynamodb.items.items():
        items = {sk: unmarshal(item) for sk, item in partition.items()}
        if pk == f"T#{TENANT}#Q":
            rows = map(quarantine.as_json, items.values())
            found.quarantined = {(row["receipt_id"], row["path"]) for row in rows}
        if not keys.is_device(pk):
            continue
        for sk, item in items.items():
            if sk.startswith(keys.SAID):
                found.said[pk, sk] = item["d"], item["p"]
                found.items[pk, sk] = item
            elif sk.startswith(keys.ALERT):
                found.alerts.append(alerts.alert_of(item).as_json())
        _take_device(found, pk, items)
    return found


def _take_device(found: Contents, pk: str, items: dict[str, Plain]) -> None:
    state = devices.state_of(items[keys.STATE]) if keys.STATE in items else State()
    latest = {name: (point, source.receipt_id) for name, (point, source) in state.latest.items()}
    if latest:
        found.latest[pk] = latest
    if keys.DEVICE in items:
        device = devices.device_of(items[keys.DEVICE])
        device.recall(state.confirmed)
        if device.facts:
            found.facts[pk] = device.facts
        if device.metrics:
            found.metrics[pk] = set(device.metrics)


def always(envelopes: list[Envelope]) -> Contents:
    """Return what there is where today's adapter has been there from the beginning."""
    world = World()
    for envelope in envelopes:
        world.receive(envelope)
        world.follow()
    return contents(world.aws)


class Disturbed:
    """A story read roughly, and then read again finely through all handlers while AWS fails."""

    def __init__(self, acme: Acme, seed: int, crash: tuple[int, bool] | None = None) -> None:
        self.story = story(random.Random(seed))  # noqa: S311 - a schedule, not a secret
        acme.reads(rough)
        self.sent: dict[str, set[str]] = {}
        """Types under which each change went out."""
        handlers: dict[str, Handler] = {
            "normalize": normalize.run,
            "project": project.run,
            "dispatch": dispatch.run,
            "deliver": self.take,
        }
        self.simulation = Simulation(seed, handlers, crash=crash)
        self.world = World(aws=self.simulation.aws)
        for envelope in self.story:
            self.world.receive(envelope)
            self.world.follow()
        self.world.delivered()
        self.before = contents(self.world.aws)
        for name in self.simulation.positions:
            self.simulation.positions[name] = len(self.simulation.aws.dynamodb.stream)
        acme.reads(fine, kind_of)
        self.order = self.world.order()
        renormalization.enqueue(self.world.hub, self.order)  # and once more than it should be
        self.run()

    def take(self, event: dict[str, Any], _: Hub) -> dict[str, Any]:
        for record in event["Records"]:
            for each in json.loads(record["body"])["events"]:
                self.sent.setdefault(each["id"], set()).add(each["type"])
        return {"batchItemFailures": []}

    def run(self) -> None:
        self.simulation.run()
        while self.world.now(self.order).state == RUNNING:
            self.simulation.clock.forward(HOUR)
            stalled.sweep(self.simulation.hub)
            self.simulation.run()

    def check(self) -> None:
        got, expected = contents(self.simulation.aws), always(self.story)
        assert self.world.now(self.order).state == DONE
        assert got.said == expected.said
        assert got.quarantined == expected.quarantined
        assert sorted(map(repr, got.alerts)) == sorted(map(repr, expected.alerts))
        assert got.latest == expected.latest
        assert got.facts == expected.facts
        assert got.metrics == expected.metrics
        self.check_deliveries(got)

    def check_deliveries(self, got: Contents) -> None:
        """Each change of what was said went out under its one id and type, and nothing else did."""
        expected: dict[str, set[str]] = {}
        for where, item in got.items.items():
            for event in changes(self.before.items.get(where), item, None):
                expected.setdefault(event["id"], set()).add(event["type"])
        sent = {
            identity: types
            for identity, types in self.sent.items()
            if any(each.startswith(("measurement.", "event.")) for each in types)
        }
        assert sent == expected


def test_history_is_as_if_it_had_always_been_read_so_whatever_fails(
    acme: Acme, request: pytest.FixtureRequest
) -> None:
    for seed in range(request.config.getoption("--schedules") // 5):
        try:
            Disturbed(acme, seed).check()
        except AssertionError as error:
            error.add_note(f"seed {seed}")
            raise


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_a_crash_at_any_call_changes_nothing(acme: Acme, late: bool) -> None:
    whole = Disturbed(acme, 3, crash=(-1, late))
    whole.check()
    calls = whole.simulation.faults.calls  # type: ignore[attr-defined]

    for number in range(calls):
        Disturbed(acme, 3, crash=(number, late)).check()

    assert calls > 50


def partition(world: World, device: str) -> dict[str, Any]:
    found: dict[str, Any] = world.aws.dynamodb.items[f"T#{TENANT}#D#acme:{device}"]
    return found


def alerts_of(world: World) -> list[dict[str, Any]]:
    items = sorted(partition(world, "d1").items())
    return [alerts.alert_of(unmarshal(i)).as_json() for sk, i in items if sk.startswith("A#")]


def media_of(world: World) -> list[tuple[str | None, float | None]]:
    items = [unmarshal(i) for sk, i in partition(world, "d1").items() if sk.startswith("E!#")]
    found = [said.media_of(item).media for item in items]
    return [(each.url, each.duration_seconds) for each in found]
