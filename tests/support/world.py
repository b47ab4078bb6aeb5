"""A hub in memory with an endpoint of one function, and time that passes when told."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from chalicelib import outbox
from chalicelib.aws import Hub
from chalicelib.config import Config
from chalicelib.deliver import parked, recovery
from chalicelib.deliver.courier import Courier, Hands
from chalicelib.deliver.entry import deliver
from chalicelib.model.cloudevents import CloudEvent, about_device
from chalicelib.model.requests import Request
from chalicelib.outbound.http import Outcome
from chalicelib.store import deliveries, integrations
from chalicelib.store.deliveries import Delivery
from chalicelib.store.integrations import Integration
from chalicelib.store.table import table_of
from tests.support.fake_aws import FakeAws, FakeMessage, Faults
from tests.support.simulation import Crash

QUEUE, DEAD, ORDERED, ORDERED_DEAD = "deliveries", "dead", "ordered.fifo", "dead.fifo"
TENANT = "ten"
OK = Outcome(200, 5)
CONFIG = Config(
    "hub",
    "inbound",
    QUEUE,
    DEAD,
    "archive",
    ORDERED,
    ordered_dead_letters_url=ORDERED_DEAD,
    retry_schedule=(2, 4, 8),
    keep_all=True,
    deliver_processes=1,
)


@dataclass
class Nth(Faults):
    """Dies at the n-th step, counting what comes before and after each call."""

    n: int = 0
    armed: bool = False
    died: bool = False
    lose_answers: bool = False

    def before(self, operation: str) -> None:
        self._step(operation, after=False)

    def after(self, operation: str) -> None:
        self._step(operation, after=True)

    def _step(self, operation: str, *, after: bool) -> None:
        if not self.armed:
            return
        self.n -= 1
        if self.n == 0:
            self.died, self.armed = True, False
            if self.lose_answers and after:
                raise TimeoutError(operation)
            raise Crash(operation)


def event(number: int, device: str = "acme:d1") -> CloudEvent:
    data = {"metric": "temperature", "value": number, "provenance": {"receipt_id": f"rcp_{number}"}}
    at = 1_790_000_000_000 + number
    return about_device("measurement.recorded", f"event{number}", device, "con_a", at=at, data=data)


class Middle(random.Random):
    """Chance that always says one half: no jitter."""

    def random(self) -> float:
        return 0.5


@dataclass
class Sent:
    at: int
    ids: list[str]
    request: Request


@dataclass
class World:
    """One hub, its deliveries queue, and endpoints that answer by the hub's clock."""

    config: Config = CONFIG
    aws: FakeAws = field(default_factory=FakeAws)
    answer: Callable[[Request], Outcome] = lambda _: OK
    sent: list[Sent] = field(default_factory=list)
    delivered: list[Sent] = field(default_factory=list)
    chance: random.Random = field(default_factory=Middle)
    crash: Callable[[str], None] = lambda _: None
    slice: recovery.Size = recovery.SLICE

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin anew without what the process remembered."""
        self.hub = Hub(self.config, self.aws.client, self.aws.clock)
        self.table = table_of(self.hub)
        hands = Hands(
            self._send,
            self.chance,
            self._sleep,
            lambda: 0.0,
            linger=lambda *_: None,
            slice=self.slice,
        )
        self.courier = Courier(self.hub, hands)

    def integrate(self, name: str = "int_a", **options: Any) -> Integration:
        made = Integration(
            name, TENANT, name, "webhook", 0, config={"url": f"https://{name[4:]}.example/"}
        )
        secrets = (("whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ=", None),)
        integrations.save(self.table, replace(made, secrets=secrets, **options))
        found = integrations.find(self.table, TENANT, name)
        assert found is not None
        return found

    def change(self, name: str = "int_a", **options: Any) -> None:
        found = integrations.find(self.table, TENANT, name)
        assert found is not None
        integrations.save(self.table, replace(found, **options))
        self.aws.clock.forward(500)

    def find(self, name: str = "int_a") -> Integration | None:
        return integrations.find(self.table, TENANT, name)

    def enqueue(self, *numbers: int, name: str = "int_a") -> None:
        integration = self.find(name)
        assert integration is not None
        outbox.enqueue(self.hub, TENANT, integration, [event(number) for number in numbers])

    def row(self, *numbers: int, name: str = "int_a") -> Delivery | None:
        ids = [event(number)["id"] for number in numbers]
        return deliveries.find(self.table, TENANT, deliveries.identity_of(name, ids))

    def work(self, *, threads: int = 1) -> int:
        """Have some of what is in the queues now taken; return how many messages that were."""
        taken = self._take(QUEUE, 10, threads)
        return taken or self._take(ORDERED, 1, threads)

    def _take(self, queue: str, most: int, threads: int) -> int:
        batch = self.aws.sqs.visible(queue)[:most]
        for message in batch:
            message.received += 1
            message.visible_at = self.aws.clock() + 30_000
        if batch:
            answer = deliver([record(m) for m in batch], self.courier, threads=threads)
            failed = {each["itemIdentifier"] for each in answer["batchItemFailures"]}
            for message in batch:
                if message.id not in failed:
                    self.aws.sqs.queues[queue].pop(message.id, None)
        return len(batch)

    def until(self, moment: int) -> None:
        """Let time pass until a moment, sweeping every minute."""
        swept = self.aws.clock()
        while True:
            if self.work():
                continue
            waiting = [m.visible_at for m in self._queued()]
            nearest = min([*waiting, swept + 60_000])
            if nearest > moment:
                self.aws.clock.now = max(moment, self.aws.clock())
                return
            self.aws.clock.now = max(nearest, self.aws.clock())
            if self.aws.clock() >= swept + 60_000:
                swept = self.aws.clock()
                parked.sweep(self.hub)

    def until_quiet(self, *, sweep_every: int = 60_000, longest: int = 400 * 86_400_000) -> None:
        """Let time pass from message to message, sweeping now and then, until nothing is left."""
        end = self.aws.clock() + longest
        while self.aws.clock() < end:
            if self.work():
                continue
            parked.sweep(self.hub)
            recovery.sweep(self.hub)
            waiting = self._queued()
            if waiting:
                nearest = min(message.visible_at for message in waiting)
                self.aws.clock.now = max(nearest, self.aws.clock())
            elif any(map(self._rows, ("DUE#", "LANES", "JOBS"))):
                self.aws.clock.forward(sweep_every)
            else:
                return
        raise AssertionError("it never becomes quiet")

    def _queued(self) -> list[FakeMessage]:
        return [*self.aws.sqs.next(QUEUE), *self.aws.sqs.next(ORDERED)]

    def dead_letters(self) -> list[dict[str, Any]]:
        return [json.loads(m.body) for m in self.aws.sqs.queues.get(DEAD, {}).values()]

    def _rows(self, prefix: str) -> Sequence[Any]:
        return [
            item
            for partition in self.aws.dynamodb.items.values()
            for item in partition.values()
            if item.get("g2pk", {}).get("S", "").startswith(prefix)
        ]

    def _send(self, request: Request) -> Outcome:
        body = json.loads(request.body)
        ids = [each["id"] for each in body] if isinstance(body, list) else [body.get("id", "")]
        self.crash("before sending")
        self.sent.append(Sent(self.aws.clock(), ids, request))
        outcome = self.answer(request)
        if outcome.delivered:
            self.delivered.append(self.sent[-1])
        self.crash("after sending")
        return outcome

    def _sleep(self, seconds: float) -> None:
        self.aws.clock.forward(round(seconds * 1000))


def record(message: FakeMessage) -> dict[str, Any]:
    return {
        "messageId": message.id,
        "body": message.body,
        "attributes": message.attributes,
    }


def settle(world: World, faults: Nth) -> None:
    """Run until all is quiet; a dead process is replaced, its messages come again."""
    faults.armed = True
    while True:
        try:
            world.until_quiet(longest=86_400_000)
        except (Crash, TimeoutError):  # a sweep that fails is followed by the next
            world.restart()
            continue
        return
