"""A run of the whole hub in memory that is verified id by id, under faults and beside bad endpoints.

``python -m tests.support.verification 100000`` (or ``make verify``) puts so many records through normalize,
project, dispatch and deliver: payloads come twice and out of order, queues hand out messages again, AWS
calls are throttled, refuse entries and lose answers, and processes die before and after any call.  Three
receivers are well but for an error now and then, one refuses every connection, one hangs for a while.

Time is virtual, and each process has its own: an attempt that takes 15 seconds keeps one process busy for so
long and nobody else.  So lag is the hub's and not this machine's, and a seed repeats a run to the letter.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple
from zlib import crc32

from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from standardwebhooks import Webhook

from chalicelib import queues
from chalicelib.aws import Hub
from chalicelib.config import Config
from chalicelib.deliver import parked
from chalicelib.deliver.courier import Courier, Hands
from chalicelib.deliver.entry import deliver
from chalicelib.deliver.in_order import InOrder
from chalicelib.deliver.standing import Standings
from chalicelib.deliver.tally import Tally
from chalicelib.dispatch import entry as dispatch
from chalicelib.model.envelope import arrived
from chalicelib.model.requests import Request
from chalicelib.model.times import to_rfc3339
from chalicelib.normalize import entry as normalize
from chalicelib.outbound.http import Outcome
from chalicelib.project import entry as project
from chalicelib.store import connections, deliveries, integrations, keys, standings
from chalicelib.store.connections import Connection
from chalicelib.store.deliveries import DEAD, PENDING
from chalicelib.store.integrations import Integration
from chalicelib.store.table import Table, table_of
from tests.support.fake_aws import Clock, FakeAws
from tests.support.simulation import DEAD as LETTERS
from tests.support.simulation import (
    DELIVERIES,
    INBOUND,
    ORDERED,
    VISIBILITY,
    Crash,
    SeededFaults,
    queue_record,
    stream_record,
)

TENANT, CONNECTION = "t", "con_v"
CONFIG = Config(
    "hub",
    INBOUND,
    DELIVERIES,
    LETTERS,
    "archive",
    ORDERED,
    retry_schedule=(2, 4, 8, 16),
    keep_all=True,
)
SECRET = "whsec_dmVyaWZpZWQtYnktaWQtdmVyaWZpZWQ="
WELL = ("plain", "batched", "ordered")
BAD = ("dead", "hanging")
HANGS = 60_000
"""Milliseconds for which the hanging endpoint hangs, shorter than its deliveries are tried."""
PACE = 25
"""Payloads a second."""
START = 1_795_000_000_000
_FIRST = START // 3_600_000 * 3600 - 40 * 86_400
"""Seconds: when the vendor says that it measured first, on the hour."""
_ITEMS, _METRICS = 5, {"temp": "temperature", "humd": "relative_humidity", "lght": "illuminance"}
_DEVICES = 50
_SWEEP = 60_000
_COST = 5
"""Milliseconds that a process takes for a batch, beside what endpoints take."""
_WINDOW = 100
"""Milliseconds for which messages wait for others of their batch."""

_JITTER = 5000
"""Milliseconds by which payloads come out of order."""
_LATENCY, _ERRORS = 5, 0.003
"""Milliseconds of an answer, and the share of answers 500, of endpoints that are well."""
_LOOK = 20
"""Steps between two looks whether all is done."""
_LONGEST = 48 * 3_600_000
_COMPARED = 20_000
"""Records for which lags are compared."""
_SHARDS = 4
REGISTERED = "device.registered"
READERS = ("project", "dispatch")
"""Who reads the stream."""
QUEUES = {INBOUND: ("normalize", 20), DELIVERIES: ("deliver", 100), ORDERED: ("deliver", 100)}
"""Who takes from which queue, with how many processes: as many as a deployment has."""
What = tuple[str, str, str, float]
"""What tells a record from all others: device, time, metric and value."""


class Payload(NamedTuple):
    """One message of the vendor, and the records that it means."""

    body: bytes
    means: tuple[What, ...]


def payloads(records: int, seed: int) -> Iterator[Payload]:
    """Yield payloads that mean at least so many measurements, each payload about one device in one minute."""
    rng = random.Random(seed)  # noqa: S311 - load, not a secret
    for number in range(-(-records // (_ITEMS * len(_METRICS)))):
        device = f"TSAR{number % _DEVICES:04d}"
        items: list[dict[str, Any]] = []
        means: list[What] = []
        for second in range(_ITEMS):
            at = _FIRST + number * 60 + second
            values = {name: round(rng.uniform(10, 40), 1) for name in _METRICS}
            items.append({"tsmId": 12100, "tsmEv": 10, "tsmTs": at, "tsmTuid": device, **values})
            means += [
                (f"haltian:{device}", to_rfc3339(at * 1000), metric, values[name])
                for name, metric in _METRICS.items()
            ]
        yield Payload(json.dumps(items).encode(), tuple(means))


@dataclass
class Receiver:
    """An endpoint that trusts nobody: it verifies each request and parses each event."""

    batched: bool = False
    requests: int = 0
    events: int = 0
    says: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    """What was said under each id, as hashes: one, if a repeat says the same."""
    ids: dict[What, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Under which ids each record came: one."""
    first: dict[str, int] = field(default_factory=dict)
    """When each id came first (ms), in the order in which they came."""
    devices: set[str] = field(default_factory=set)

    def take(self, request: Request, now: int) -> None:
        """Take a delivery.  Raises ``AssertionError`` for what no receiver would believe."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        signed_at = int(headers["webhook-timestamp"])
        moment = datetime.fromtimestamp(signed_at, UTC)
        signature = Webhook(SECRET).sign(headers["webhook-id"], moment, request.body.decode())
        body = json.loads(request.body)
        kind = "cloudevents-batch" if self.batched else "cloudevents"
        believed = (
            abs(signed_at * 1000 - now) <= 300_000
            and signature in headers["webhook-signature"].split(" ")
            and headers["content-type"].startswith(f"application/{kind}+json")
            and isinstance(body, list) == self.batched
            and (self.batched or headers["webhook-id"] == body["id"])
        )
        if not believed:
            raise AssertionError(f"not a delivery: {headers}")
        self.requests += 1
        for each in body if self.batched else [body]:
            self._hold(JSONFormat().read(CloudEvent, json.dumps(each).encode()), now)

    def _hold(self, event: Any, now: int) -> None:
        identity, data = event.get_id(), dict(event.get_data())
        self.events += 1
        if event.get_type() == REGISTERED:
            self.devices.add(event.get_subject())
            return
        data.pop("provenance")  # the only thing that a repeat may say otherwise
        self.says[identity].add(hash(json.dumps(data, sort_keys=True)))
        what = (event.get_subject(), data["observed_at"], data["metric"], data["value"])
        self.ids[what].add(identity)
        self.first.setdefault(identity, now)


class Overlapping(Standings):
    """Places of a process whose attempts are made one after another, at moments that overlap."""

    def __init__(self, table: Table, clock: Clock) -> None:
        super().__init__(table)
        self._clock = clock
        self._under_way: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)

    @contextmanager
    def place(
        self, integration: Integration, limit: int | None, *, alone: bool = False
    ) -> Iterator[int]:
        """Take a place for as long as the attempt lasts by the clock."""
        where = (integration.tenant, integration.id)
        known, places = self._under_way[where], self._places[where]
        now, most = self._clock.now, self.share(integration, limit, alone=alone)
        others = sorted((end, begun) for begun, end in known if begun <= now < end)
        if len(others) >= most and places.pace is not None and places.pace < 500:
            self._clock.now = others[-most][0]  # soon there is a place: it is waited for
            others = others[len(others) - most + 1 :]
        places.under_way = [begun for _, begun in others]
        begun = self._clock.now
        with super().place(integration, limit, alone=alone) as wait:
            try:
                yield wait
            finally:
                if not wait:
                    known[:] = [*known[-20:], (begun, self._clock.now)]


class SideBySide(Courier):
    """Takes the messages of a batch at one moment, as the threads of a process do."""

    def __init__(self, hub: Hub, hands: Hands, clock: Clock) -> None:
        super().__init__(hub, hands)
        self._clock = clock
        self._standings = Overlapping(self._table, clock)
        self._lines = InOrder(self._table, self._standings)
        self.ended = 0

    def take(self, message: Mapping[str, Any], tally: Tally, *, again: bool) -> None:
        """Deal with one message; time passes for it alone."""
        begun = self._clock.now
        try:
            super().take(message, tally, again=again)
        finally:
            self.ended = max(self.ended, self._clock.now)
            self._clock.now = begun


@dataclass
class Process:
    """One process of a function: what it remembers goes when it dies."""

    run: Callable[[dict[str, Any]], dict[str, Any]]
    free_at: int = START
    groups: Counter[str] = field(default_factory=Counter)
    """What it has in hand."""


Source = tuple[str, int]
"""A queue, or a shard of the stream for one of its readers."""
_Batch = tuple[int, Source, Process]


class Verification:
    """One run: what comes in, what is under way, and what arrived."""

    def __init__(self, records: int, seed: int, *, rate: float, bad: bool) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - a schedule, not a secret
        self.faults = SeededFaults(self.rng)
        self.clock = Clock(START)
        self.aws = FakeAws(self.faults, self.clock)
        self.rate = rate
        self.receivers = {
            name: Receiver(name == "batched") for name in (*WELL, "hanging")[: 3 + bad]
        }
        self.payloads = list(payloads(records, seed))
        self.commits: dict[str, dict[str, int]] = defaultdict(dict)
        """The minutes of each device's payloads as they were committed, with their rank."""
        self.came: dict[str, int] = {}
        """When each payload came first, by its minute."""
        self.invocations: Counter[str] = Counter()
        self.deaths = 0
        self.refused = 0
        self._names = (*WELL, *BAD) if bad else WELL
        self._feed = sorted(self._arrivals(), reverse=True)
        self._shards: dict[Source, deque[tuple[int, dict[str, Any]]]] = {
            (name, shard): deque() for name in READERS for shard in range(_SHARDS)
        }
        self._processes: dict[Source, list[Process]] = {
            (name, 0): [self._process(handler) for _ in range(number)]
            for name, (handler, number) in QUEUES.items()
        } | {source: [self._process(source[0])] for source in self._shards}
        self._prepare()

    def _prepare(self) -> None:
        table = table_of(self._hub())
        connections.save(table, Connection(CONNECTION, TENANT, "haltian", "x", 1, {}))
        wanted = {"types": ["measurement.*", REGISTERED]}
        for name in self._names:
            batch = {"max_records": 40} if name == "batched" else None
            ordering = "device" if name == "ordered" else "none"
            config = {"url": f"https://{name}.example/"}
            made = Integration(
                f"int_{name}", TENANT, name, "webhook", 0, config, wanted, batch, ordering
            )
            integrations.save(table, replace(made, secrets=((SECRET, None),)))

    def _arrivals(self) -> Iterator[tuple[int, int]]:
        """Yield when which payload comes: out of order, and one in ten again."""
        for number in range(len(self.payloads)):
            at = START + number * 1000 // PACE + self.rng.randrange(_JITTER)
            yield at, number
            if self.rng.random() < 0.1:
                yield at + self.rng.randrange(60_000), number

    # --- the schedule ---------------------------------------------------------------------------------

    def run(self) -> None:
        """Let everything happen.  Raises ``AssertionError`` if it never ends."""
        swept, steps = START, 0
        while True:
            steps += 1
            if not self._feed and steps % _LOOK == 0 and self._over():
                return
            found = min(self._ready(), default=None, key=lambda each: each[0])
            moment = min(
                found[0] if found else swept + _SWEEP,
                self._feed[-1][0] if self._feed else swept + _SWEEP,
            )
            if moment >= swept + _SWEEP:
                swept += _SWEEP
                self.clock.now = swept
                self._tried(lambda: parked.sweep(self._hub()))
                if swept > START + _LONGEST:
                    raise AssertionError("it never ends")
            elif self._feed and self._feed[-1][0] == moment:
                self._arrive(*self._feed.pop())
            elif found:
                self._take(*found)
            self._share_stream(moment)

    def _ready(self) -> Iterator[_Batch]:
        """Yield from when on which source has a batch for which process."""
        for source, processes in self._processes.items():
            if source in self._shards:
                waiting = self._shards[source]
                begins = waiting[0][0] if waiting else None
            else:
                queued = self.aws.sqs.next(source[0])
                begins = min((each.visible_at for each in queued), default=None)
            if begins is not None:
                process = min(processes, key=lambda each: each.free_at)
                yield max(begins + _WINDOW, process.free_at), source, process

    def _arrive(self, moment: int, number: int) -> None:
        self.clock.now = moment
        payload = self.payloads[number]
        self.came.setdefault(_minute(payload.means[0][1]), moment)
        body = arrived(CONNECTION, moment, payload.body).to_json()
        queues.send(self._hub(), INBOUND, [queues.Message(body)])

    def _take(self, moment: int, source: Source, process: Process) -> None:
        self.clock.now = moment
        if source in self._shards:
            self._take_changes(source, process)
        else:
            self._take_messages(source[0], process)

    def _take_changes(self, source: Source, process: Process) -> None:
        waiting = self._shards[source]
        most = self.rng.randint(1, 100)
        batch = [each for moment, each in islice(waiting, most) if moment <= self.clock.now]
        answer = self._invoke(source, process, [stream_record(each) for each in batch])
        if answer is None or self._strikes():
            return  # the whole batch again
        numbers = [each["dynamodb"]["SequenceNumber"] for each in batch]
        failed = [numbers.index(each["itemIdentifier"]) for each in answer["batchItemFailures"]]
        for _ in range(min(failed, default=len(batch))):
            waiting.popleft()

    def _take_messages(self, queue: str, process: Process) -> None:
        busy: Counter[str] = Counter()
        for each in self._processes[queue, 0]:
            if each.free_at > self.clock.now:
                busy += each.groups
        visible = self.aws.sqs.visible(queue)
        self.rng.shuffle(visible)
        # A fair queue: who has much under way comes after the others.
        visible.sort(key=lambda each: busy[each.group or ""])
        batch = visible[: 1 if queue == ORDERED else 10]
        begun = self.clock.now
        for message in batch:
            message.received += 1
            # Handed out twice at once, now and then; a queue that keeps order never does that.
            twice = queue != ORDERED and self._strikes()
            message.visible_at = begun if twice else begun + VISIBILITY
        process.groups = Counter(each.group or "" for each in batch)
        answer = self._invoke((queue, 0), process, [queue_record(each, queue) for each in batch])
        if answer is None:
            return
        failed = {each["itemIdentifier"] for each in answer["batchItemFailures"]}
        for message in batch:
            if message.id not in failed and not self._strikes():
                self.aws.sqs.queues[queue].pop(message.id, None)
        if queue == ORDERED:  # the next of its group comes when this one is done
            for follower in self.aws.sqs.next(queue):
                if follower.group == batch[0].group:
                    follower.visible_at = max(follower.visible_at, process.free_at)

    def _invoke(
        self, source: Source, process: Process, records: list[dict[str, Any]]
    ) -> dict[str, Any] | None:
        self.invocations[source[0]] += 1
        handler = QUEUES[source[0]][0] if source[0] in QUEUES else source[0]
        begun, answer = self.clock.now, None

        def run() -> None:
            nonlocal answer
            answer = process.run({"Records": records})

        if not self._tried(run):
            process.run = self._process(handler).run
        process.free_at = max(begun, self.clock.now) + _COST
        return answer

    def _tried(self, work: Callable[[], object]) -> bool:
        """Do work under faults; say whether its process lives on."""
        self.faults.rate = self.rate
        try:
            work()
        except Crash:
            self.deaths += 1
            return False
        except Exception:  # noqa: BLE001 - the invocation failed; the mapping tries again
            return True
        finally:
            self.faults.rate = 0.0
        return True

    def _strikes(self) -> bool:
        return self.rng.random() < self.rate

    def _share_stream(self, moment: int) -> None:
        """Share what was committed among the shards, and remember its order.

        It counts from the moment at which its process began: what another one committed meanwhile waits
        for nobody.
        """
        for record in self.aws.dynamodb.stream:
            pk, sk = (record["dynamodb"]["Keys"][name]["S"] for name in ("pk", "sk"))
            shard = crc32(pk.encode()) % _SHARDS
            for name in READERS:
                self._shards[name, shard].append((moment, record))
            if record["eventName"] == "INSERT" and sk.startswith(keys.SEGMENT):
                ranks = self.commits[keys.device_of(pk)[1]]
                ranks.setdefault(_minute(sk.split("#")[2]), len(ranks))
        self.aws.dynamodb.stream.clear()

    def _over(self) -> bool:
        """Say whether nothing is under way but what the dead endpoint has to wait for."""
        queued = [each for url in QUEUES for each in self.aws.sqs.next(url)]
        if any(self._shards.values()) or any(each.group != "int_dead" for each in queued):
            return False
        waiting = [
            place
            for (index, partition), places in self.aws.dynamodb.sorted.items()
            if index == "by_state"
            and (partition.startswith("DUE#") or partition.endswith("WAITING"))
            for place in places
        ]
        return all("int_dead" in pk for _, pk, _ in waiting)

    # --- what runs --------------------------------------------------------------------------------------

    def _hub(self) -> Hub:
        return Hub(CONFIG, self.aws.client, self.clock)

    def _process(self, handler: str) -> Process:
        hub = self._hub()
        if handler != "deliver":
            run = {"normalize": normalize.run, "project": project.run, "dispatch": dispatch.run}[
                handler
            ]
            return Process(lambda event: run(event, hub))
        hands = Hands(
            self._send, self.rng, self._sleep, lambda: self.clock.now / 1000, linger=lambda *_: None
        )
        courier = SideBySide(hub, hands, self.clock)

        def work(event: dict[str, Any]) -> dict[str, Any]:
            courier.ended = 0
            try:
                return deliver(event["Records"], courier)
            finally:
                self.clock.now = max(self.clock.now, courier.ended)

        return Process(work)

    def _sleep(self, seconds: float) -> None:
        self.clock.forward(round(seconds * 1000))

    def _send(self, request: Request) -> Outcome:
        """Be the network and all endpoints."""
        self.faults.before("HTTP")
        name = request.url.split("/")[2].removesuffix(".example")
        if name == "dead":
            return Outcome(None, 1, error="connection refused")
        if name == "hanging" and self.clock.now < START + HANGS:
            self.clock.forward(15_000)
            return Outcome(None, 15_000, error="timeout: no complete answer within 15 s")
        self.clock.forward(_LATENCY)
        if self.rng.random() < _ERRORS:
            self.refused += 1
            return Outcome(500, _LATENCY)
        self.receivers[name].take(request, self.clock.now)
        self.faults.after("HTTP")
        return Outcome(200, _LATENCY)

    # --- what came of it --------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise ``AssertionError`` unless all arrived under one id, in order, or is kept."""
        expected = {what for payload in self.payloads for what in payload.means}
        ids: dict[What, set[str]] | None = None
        for name, receiver in self.receivers.items():
            got = receiver.ids
            _same(f"{name}: records", set(got), expected)
            _none(
                f"{name}: records under two ids", (w for w, found in got.items() if len(found) > 1)
            )
            _none(
                f"{name}: ids that say two things",
                (i for i, s in receiver.says.items() if len(s) > 1),
            )
            if len(receiver.says) != len(expected):
                raise AssertionError(
                    f"{name}: ids for {len(receiver.says)} of {len(expected)} records"
                )
            _same(f"{name}: devices", receiver.devices, {what[0] for what in expected})
            if ids is not None and ids != got:
                raise AssertionError(f"{name}: another id than elsewhere")
            ids = got
        self._check_order()
        if "dead" in self._names:
            _same("dead: kept", self.kept()[0], set(self.receivers["plain"].says))

    def _check_order(self) -> None:
        receiver = self.receivers["ordered"]
        what = {identity: what for what, found in receiver.ids.items() for identity in found}
        last: dict[str, int] = {}
        for identity in receiver.first:
            device, at, *_ = what[identity]
            rank = self.commits[device][_minute(at)]
            if rank < last.get(device, 0):
                raise AssertionError(f"ordered: {device} overtaken at {at}")
            last[device] = rank

    def kept(self) -> tuple[set[str], Counter[str]]:
        """Return the measurements kept for the dead endpoint, and how many deliveries in which state."""
        table, found, states = table_of(self._hub()), set[str](), Counter[str]()
        after = None
        while True:
            page = deliveries.deliveries(
                table, TENANT, "int_dead", start=None, end=None, limit=1000, after=after
            )
            for row in map(deliveries.delivery_of, page.items):
                reasons = {attempt["error"] for attempt in row.attempts}
                if row.state not in {DEAD, PENDING} or reasons - {"connection refused"}:
                    raise AssertionError(f"dead: {row}")
                states["dead" if row.state == DEAD else "tried" if row.attempts else "parked"] += 1
                found |= {
                    event["id"]
                    for event in deliveries.events_of(table, row)
                    if event["type"] != REGISTERED
                }
            after = page.after
            if after is None:
                break
        if standings.standing(table, TENANT, "int_dead").condition.reason != "connection refused":
            raise AssertionError("dead: no reason")
        return found, states

    def lags(self, name: str) -> list[int]:
        """Return how long each record took to a receiver (ms of virtual time), sorted."""
        receiver = self.receivers[name]
        return sorted(
            receiver.first[identity] - self.came[_minute(what[1])]
            for what, found in receiver.ids.items()
            for identity in found
        )

    def told(self) -> str:
        """Return the figures, a line each."""
        struck = Counter[str]()
        for (way, _), times in self.faults.struck.items():
            struck[way] += times
        lines = [
            (
                f"{len(self.payloads)} payloads, {sum(len(p.means) for p in self.payloads)} records,"
                f" {sum(self.invocations.values())} invocations, {self.clock.now - START} ms of virtual time"
            ),
            f"faults: {dict(struck)}, {self.deaths} processes died, {self.refused} answers 500",
        ]
        for name, receiver in self.receivers.items():
            lines.append(
                f"{name}: {len(receiver.says)} ids of {len(receiver.ids)} records"
                f" in {receiver.requests} requests, {receiver.events} events with repeats"
            )
        if "dead" in self._names:
            lines.append(f"dead: {dict(self.kept()[1])}")
        return "\n".join(lines)


def _same(what: str, got: set[Any], expected: set[Any]) -> None:
    if got != expected:
        lost, strange = expected - got, got - expected
        some = sorted(map(str, lost))[:3], sorted(map(str, strange))[:3]
        raise AssertionError(f"{what}: {len(lost)} lost, {len(strange)} strange: {some}")


def _none(what: str, found: Iterable[Any]) -> None:
    if some := list(found):
        raise AssertionError(f"{what}: {len(some)}: {some[:3]}")


def _minute(at: str) -> str:
    return at[:16]


def percentile(values: Sequence[int], share: float) -> int:
    """Return the value that a share of sorted values does not exceed."""
    return values[min(len(values) - 1, int(len(values) * share))]


def verified(records: int, seed: int, *, rate: float, bad: bool = True) -> Verification:
    """Return a run that was checked.  Raises ``AssertionError`` for one that promises were broken in."""
    run = Verification(records, seed, rate=rate, bad=bad)
    run.run()
    run.check()
    return run


def main(arguments: Sequence[str] | None = None) -> None:
    """Verify a run under faults, then compare lags with and without the bad endpoints."""
    parser = argparse.ArgumentParser(prog="verify", description=__doc__.splitlines()[0])
    parser.add_argument("records", type=int, nargs="?", default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0.001, help="share of AWS calls that fail")
    wanted = parser.parse_args(arguments)
    os.environ["LOG_LEVEL"] = "CRITICAL"
    say = sys.stdout.write
    begun = time.monotonic()
    say(verified(wanted.records, wanted.seed, rate=wanted.rate).told() + "\n")
    say(f"verified in {time.monotonic() - begun:.0f} s\n\n")
    few = min(wanted.records, _COMPARED)
    beside, alone = (verified(few, wanted.seed, rate=0, bad=bad) for bad in (True, False))
    for name in WELL:
        with_bad, without = beside.lags(name), alone.lags(name)
        p99, before = percentile(with_bad, 0.99), percentile(without, 0.99)
        say(
            f"{name}: p50 {percentile(without, 0.5)} -> {percentile(with_bad, 0.5)} ms,"
            f" p99 {before} -> {p99} ms beside the bad endpoints: {p99 / before:.2f} x\n"
        )


if __name__ == "__main__":
    main()
