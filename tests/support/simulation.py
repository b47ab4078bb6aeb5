"""A whole hub in memory under a seeded schedule of faults.

Every AWS call may be throttled, time out after it took effect, refuse batch entries, or be the place
where the handler's process dies.  Handlers are started as Lambda's event source mappings start them:
SQS batches with visibility and partial failures, stream batches in order with retry and bisection.
"""

from __future__ import annotations

import base64
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chalicelib.aws import Hub
from chalicelib.config import Config
from tests.support.fake_aws import Clock, FakeAws, FakeMessage, Faults, error

INBOUND, DELIVERIES, DEAD = "inbound", "deliveries", "dead"
ORDERED = "ordered.fifo"
CONFIG = Config(
    "hub",
    INBOUND,
    DELIVERIES,
    DEAD,
    "archive",
    ORDERED,
    retry_schedule=(1, 2, 4),
    keep_all=True,
    exports_url="exports",
)
VISIBILITY = 30_000
SWEEP = 60_000
_STEPS = 2000
Handler = Callable[[dict[str, Any], Hub], dict[str, Any]]


class Crash(BaseException):
    """The process of a handler dies: nothing after this line of it happens."""


@dataclass
class SeededFaults(Faults):
    """Faults by a seeded random: each call fails in one of four ways with probability ``rate``."""

    rng: random.Random
    rate: float = 0.0
    struck: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often each operation failed in each way."""
    armed: bool = False
    """Handlers run: what a test prepares and looks at is neither counted nor disturbed."""

    def before(self, operation: str) -> None:
        """Throttle, or die before the call."""
        if self._strikes(3, "throttled", operation):
            raise error("ThrottlingException", operation)
        if self._strikes(6, "died before", operation):
            raise Crash

    def after(self, operation: str) -> None:
        """Lose the answer, or die after the call took effect."""
        if self._strikes(3, "answer lost", operation):
            raise TimeoutError(operation)
        if self._strikes(6, "died after", operation):
            raise Crash

    def refuses(self, operation: str) -> bool:
        """Refuse one entry of a batch."""
        return self._strikes(3, "entry refused", operation)

    def _strikes(self, share: int, way: str, operation: str) -> bool:
        if self.rng.random() >= self.rate / share:
            return False
        self.struck[way, operation] += 1
        return True


@dataclass
class CrashAt(SeededFaults):
    """Dies at the call of one number (from 0), before or after it takes effect, and never again."""

    number: int = 0
    late: bool = False
    calls: int = 0

    def before(self, operation: str) -> None:
        """Count the call, and die before it if it is the one."""
        self.calls += self.armed
        if self.armed and self.calls == self.number + 1 and not self.late:
            self.struck["died before", operation] += 1
            raise Crash

    def after(self, operation: str) -> None:
        """Die after the call if it is the one."""
        if self.armed and self.calls == self.number + 1 and self.late:
            self.struck["died after", operation] += 1
            raise Crash

    def refuses(self, _operation: str) -> bool:
        """Refuse nothing."""
        return False


@dataclass
class Simulation:
    """One hub, its handlers, and what is under way."""

    seed: int
    handlers: dict[str, Handler]
    rate: float = 0.05
    clock: Clock = field(default_factory=Clock)
    crash: tuple[int, bool] | None = None
    """Die at the call of this number, before (False) or after (True) it takes effect, and nowhere else."""

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)  # noqa: S311 - a schedule, not a secret
        self.faults = SeededFaults(self.rng)
        if self.crash is not None:
            self.faults = CrashAt(self.rng, number=self.crash[0], late=self.crash[1])
            self.rate = 0.0
        self.aws = FakeAws(self.faults, self.clock)
        self.hub = Hub(CONFIG, self.aws.client, self.clock)
        self.positions: dict[str, int] = {
            name: 0 for name in ("project", "dispatch") if name in self.handlers
        }

    def fresh_process(self) -> None:
        """Start anew without what a process remembers, as after a crash or on another machine."""
        self.hub = Hub(CONFIG, self.aws.client, self.clock)

    def run(self) -> None:
        """Let handlers run, under faults, until nothing is left to do; then without faults."""
        self.faults.rate = self.rate
        self.faults.armed = True
        for step in range(_STEPS):
            if step == _STEPS * 3 // 4:
                self.faults.rate = 0.0
            work = self._work()
            if work:
                self.rng.choice(work)()
            elif visible_at := self._waiting():
                self.clock.now = max(self.clock() + 1, min(visible_at))
            elif self._parked():
                self.clock.forward(SWEEP)
                self._invoke("sweep", {})
            else:
                self.faults.rate = 0.0
                self.faults.armed = False
                return
        raise AssertionError(f"seed {self.seed}: work never ends")

    def _work(self) -> list[Callable[[], None]]:
        work: list[Callable[[], None]] = []
        for name, url in (("normalize", INBOUND), ("deliver", DELIVERIES), ("deliver", ORDERED)):
            if name in self.handlers and self.aws.sqs.visible(url):
                work.append(lambda name=name, url=url: self._queue(name, url))  # type: ignore[misc]
        end = len(self.aws.dynamodb.stream)
        for name, position in self.positions.items():
            if position < end:
                work.append(lambda name=name: self._stream(name))  # type: ignore[misc]
        return work

    def _waiting(self) -> list[int]:
        """Return when the messages of all queues may be received."""
        urls = (INBOUND, DELIVERIES, ORDERED)
        return [message.visible_at for url in urls for message in self.aws.sqs.next(url)]

    def _parked(self) -> bool:
        """Say whether the table holds deliveries that a sweep will bring back."""
        if "sweep" not in self.handlers:
            return False
        items = (i for some in self.aws.dynamodb.items.values() for i in some.values())
        return any(i.get("g2pk", {"S": ""})["S"].startswith(("DUE#", "LANES")) for i in items)

    def _queue(self, name: str, url: str) -> None:
        messages = self.aws.sqs.visible(url)
        self.rng.shuffle(messages)
        batch = messages[: 1 if url == ORDERED else self.rng.randint(1, 10)]
        for message in batch:
            message.received += 1
            message.visible_at = self.clock() + VISIBILITY
        answer = self._invoke(name, {"Records": [queue_record(m, url) for m in batch]})
        if answer is None:
            return
        failed = {each["itemIdentifier"] for each in answer["batchItemFailures"]}
        for message in batch:
            # A receipt that is answered again while its delete is lost: rare, and it happens here too.
            if message.id not in failed and self.rng.random() >= self.faults.rate / 3:
                self.aws.sqs.queues[url].pop(message.id, None)

    def _stream(self, name: str) -> None:
        position = self.positions[name]
        batch = self.aws.dynamodb.stream[position : position + self.rng.randint(1, 100)]
        answer = self._invoke(name, {"Records": [stream_record(r) for r in batch]})
        if answer is None:
            return  # the whole batch again
        failed = [each["itemIdentifier"] for each in answer["batchItemFailures"]]
        if failed:
            numbers = [r["dynamodb"]["SequenceNumber"] for r in batch]
            self.positions[name] = position + min(numbers.index(each) for each in failed)
        else:
            self.positions[name] = position + len(batch)

    def _invoke(self, name: str, event: dict[str, Any]) -> dict[str, Any] | None:
        try:
            return self.handlers[name](event, self.hub)
        except Crash:
            self.fresh_process()
            return None
        except Exception:  # noqa: BLE001 - Lambda: the invocation failed, the mapping tries again
            return None


def queue_record(message: FakeMessage, url: str) -> dict[str, Any]:
    """Return a message as Lambda's event carries it."""
    return {
        "messageId": message.id,
        "receiptHandle": message.id,
        "body": message.body,
        "attributes": message.attributes,
        "messageAttributes": {},
        "md5OfBody": "",
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:eu-west-1:000000000000:{url}",
        "awsRegion": "eu-west-1",
    }


def stream_record(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record of the table's stream as Lambda's event carries it."""
    image = dict(record["dynamodb"])
    for name in ("NewImage", "OldImage"):
        if name in image:
            image[name] = {k: _text(v) for k, v in image[name].items()}
    return {**record, "dynamodb": image}


def _text(typed: dict[str, Any]) -> dict[str, Any]:
    """Return an attribute as Lambda's event carries it: binary as base64 text."""
    ((kind, value),) = typed.items()
    return {"B": base64.b64encode(value).decode()} if kind == "B" else typed
