"""What one payload of each vendor costs, counted call by call by AWS's own sizing rules.

Emulators report units wrongly, so the meter computes them; its arithmetic is checked here by hand.  The
figures are those of a warm process: the connection, its messages' looks, the device and the month are
known.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from chalicelib import queues, renormalization
from chalicelib.ingress.http import receive
from chalicelib.model.assembly import Assembly, Point, Segment
from chalicelib.model.envelope import arrived
from chalicelib.model.receipts import receipt_id
from chalicelib.model.shapes import LEARNING, Source
from chalicelib.model.stale import ALL_HOURS
from chalicelib.model.state import Device
from chalicelib.model.times import DAY, HOUR
from chalicelib.normalize import entry as normalize
from chalicelib.normalize.watch import watch
from chalicelib.project import entry as project
from chalicelib.reading import read
from chalicelib.security import hashed
from chalicelib.store import (
    cells,
    connections,
    keys,
    renormalizations,
    rollups,
    said,
    tallies,
)
from chalicelib.store.connections import Connection
from chalicelib.store.renormalizations import Renormalization
from chalicelib.store.table import Key, Table, table_of
from chalicelib.store.tallies import Counted
from infra.local import events
from infra.meter import Meter, size_of
from tests.support.embedded import Embedded
from tests.support.examples import example
from tests.support.requests import request

pytestmark = pytest.mark.usefixtures("quiet")


class Metered:
    """A hub on the embedded AWS whose every call is counted."""

    def __init__(self, embedded: Embedded) -> None:
        self.embedded = embedded
        self.hub = embedded.hub(self.client)
        self.meter = Meter(embedded.client("dynamodb"), self.hub.config.table)

    def client(self, service: str) -> Any:
        made = self.embedded.client(service)
        self.meter.attach(made)
        return made

    def cost(self) -> dict[str, float]:
        """Return what was counted since the last time."""
        found = self.meter.summary()
        self.meter.reset()
        return found


@pytest.fixture
def metered(embedded: Embedded) -> Metered:
    return Metered(embedded)


# --- the meter's arithmetic ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "size"),
    [
        ({"pk": {"S": "abc"}}, 2 + 3),
        ({"pk": {"S": "ü€"}}, 2 + 2 + 3),
        ({"d": {"B": b"\x00" * 7}}, 1 + 7),
        ({"n": {"N": "0"}}, 1 + 2),
        ({"n": {"N": "12"}}, 1 + 2),
        ({"n": {"N": "123"}}, 1 + 3),
        ({"n": {"N": "1000"}}, 1 + 2),
        ({"n": {"N": "-123"}}, 1 + 4),
        ({"n": {"N": "0.25"}}, 1 + 2),
        ({"b": {"BOOL": True}}, 1 + 1),
        ({"a": {"S": ""}, "bc": {"S": "d"}}, 1 + 2 + 1),
        (None, 0),
    ],
)
def test_the_size_of_an_item_is_its_names_and_values(item: Any, size: int) -> None:
    assert size_of(item) == size


def put(metered: Metered, size: int, **index: str) -> dict[str, float]:
    """Put an item of so many bytes in all."""
    plain = {"d": b"", **index}
    typed = {"pk": {"S": "p"}, "sk": {"S": "s"}, "d": {"B": b""}} | {
        k: {"S": v} for k, v in index.items()
    }
    plain["d"] = b"x" * (size - size_of(typed))
    Table(metered.hub).put(Key("p", "s"), plain)
    return metered.cost()


@pytest.mark.parametrize(("size", "units"), [(100, 1), (1024, 1), (1025, 2), (5000, 5)])
def test_a_write_costs_a_unit_for_every_kilobyte_begun(
    metered: Metered, size: int, units: int
) -> None:
    assert put(metered, size)["write_units"] == units


def test_a_write_costs_its_larger_image_and_every_index_it_touches(metered: Metered) -> None:
    first = put(metered, 1500, g1pk="a", g1sk="1")
    smaller = put(metered, 100, g1pk="a", g1sk="1")
    again = put(metered, 100, g1pk="a", g1sk="1")
    moved = put(metered, 100, g1pk="a", g1sk="2")
    both = put(metered, 100, g1pk="a", g1sk="2", g2pk="b", g2sk="3")
    left = put(metered, 100)

    units = [cost["write_units"] for cost in (first, smaller, again, moved, both, left)]
    assert units == [4, 4, 1, 3, 3, 3]


def test_a_refused_write_costs_what_stands_there(metered: Metered) -> None:
    put(metered, 3000)

    with pytest.raises(Exception, match="Key"):
        Table(metered.hub).replace(Key("p", "s"), {"d": b""}, None)

    assert metered.cost()["write_units"] == 3


def test_reads_are_rounded_once_a_query_and_once_an_item_of_a_batch(metered: Metered) -> None:
    table = Table(metered.hub)
    for n in range(3):
        table.put(Key("p", f"{n}"), {"d": b"x" * 3000})
    metered.cost()
    costs: list[float] = []

    for ask in (
        lambda: table.get(Key("p", "0")),
        lambda: table.get(Key("p", "0"), consistent=False),
        lambda: table.get(Key("p", "none")),
        lambda: table.query("p"),
        lambda: table.query("p", consistent=True),
        lambda: table.query("none"),
        lambda: table.get_many(Key("p", f"{n}") for n in range(5)),
        lambda: table.get_many((Key("p", f"{n}") for n in range(5)), consistent=True),
    ):
        ask()
        costs.append(metered.cost()["read_units"])

    assert costs == [1, 0.5, 1, 1.5, 3, 0.5, 2.5, 5]


@pytest.mark.parametrize(
    ("sizes", "requests"),
    [([1], 1), ([65_536], 1), ([65_537], 2), ([1] * 10, 1), ([1] * 11, 2), ([40_000] * 10, 7)],
)
def test_a_message_costs_a_request_for_every_64_kilobytes_begun(
    metered: Metered, sizes: list[int], requests: int
) -> None:
    queues.send(
        metered.hub, metered.hub.config.inbound_url, [queues.Message("x" * n) for n in sizes]
    )

    assert metered.cost()["sqs_requests"] == requests


# --- the hub's figures ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Sending:
    """An example and the texts in it that make it the next one."""

    vendor: str
    name: str
    times: tuple[str, ...]
    next_times: tuple[str, ...]

    def body(self, number: int) -> bytes:
        text = example(self.vendor, self.name).body.decode()
        if number:
            for old, new in zip(self.times, self.next_times, strict=True):
                assert old in text
                text = text.replace(old, new)
        return text.encode()


SENDINGS = (
    Sending("soundsensing", "soundlevel", ("1627902750}",), ("1627902810}",)),
    Sending(
        "viziosense", "count-barrier", ("1706154895", "1706154900"), ("1706154955", "1706154960")
    ),
    Sending("haltian", "12100-environment", ("1657109290",), ("1657109890",)),
    Sending("lightelligence", "attribute-update", ("07:04:15.830",), ("07:05:15.830",)),
    Sending("relayr", "measurements-metric-map", ("1512332898",), ("1512332958",)),
)
STAGES = ("ingress", "normalize", "project")
CASES = ("first", "next", "again")
# By case: the first payload of a device, the next one, and that one sent again.
# By stage: AWS calls, write units, read units, SQS requests.
Costs = tuple[tuple[float, ...], ...]
ENTERED, STORED = (1, 0, 0, 1), (2, 1, 0, 0)
# The examples are years old, so their hours are to be summed up: the look for that is the fourth unit.
REGISTERED, FOLDED, NOTHING = (3, 4, 2, 0), (2, 1, 2, 0), (0, 0, 0, 0)
KNOWN: dict[str, Costs] = {
    "first": (ENTERED, STORED, REGISTERED),
    "next": (ENTERED, STORED, FOLDED),
    "again": (ENTERED, STORED, NOTHING),
}
FIGURES: dict[str, dict[str, Costs]] = {
    "soundsensing": KNOWN,
    # The barrier is a child: its parent is looked for, and registered with it.
    "viziosense": {**KNOWN, "first": (ENTERED, STORED, (5, 6, 3, 0))},
    "haltian": KNOWN,
    "lightelligence": KNOWN,
    "relayr": KNOWN,
}


def test_a_payload_of_each_vendor_costs_exactly_this(metered: Metered) -> None:
    got = {sending.vendor: _costs(metered, sending) for sending in SENDINGS}

    _print(got)
    assert got == FIGURES


def test_a_payload_read_again_costs_two_reads_and_its_object_and_a_write_only_where_it_differs(
    metered: Metered,
) -> None:
    sending = next(each for each in SENDINGS if each.vendor == "relayr")
    _costs(metered, sending)
    before = _read_again(metered)
    _one(metered, sending, "con_relayr", 0)  # one more object of the archive, the same records
    after = _read_again(metered)
    known = connections.find(table_of(metered.hub), "con_relayr")
    assert known is not None
    settings = {**known.settings, "severity_map": {"leak": "major"}}
    connections.save(table_of(metered.hub), replace(known, settings=settings))
    changed = _read_again(metered)

    def more(high: dict[str, float], low: dict[str, float]) -> list[float]:
        return [high[name] - low[name] for name in high]

    assert more(after, before) == [3, 0, 1.5, 0]
    assert more(changed, after) == [2, 2, 0, 0]  # the four payloads brought two items


def per_minute(rng: random.Random) -> Iterator[list[Point]]:
    """A sample of three metrics every minute, each in a payload of its own."""
    level = {"temperature": 21.0, "relative_humidity": 45.0, "carbon_dioxide": 600.0}
    for minute in range(1440):
        at = minute * 60_000 + rng.randrange(2000)
        level = {name: round(value + rng.gauss(0, 0.2), 2) for name, value in level.items()}
        yield [Point(name, at, value, None, None, "good", {}) for name, value in level.items()]


def per_second(rng: random.Random) -> Iterator[list[Point]]:
    """A sample of five metrics every second, a hundred in a payload (and never two hours in one)."""
    names = ("sound_level_eq", "sound_level_max", "sound_level_min", "vibration_rms_x", "voltage")
    for batch in range(0, 86_400, 100):
        yield [
            Point(name, second * 1000, round(rng.gauss(55, 6), 1), None, 1000, "good", {})
            for second in range(batch, batch + 100)
            for name in names
        ]


def per_hour(rng: random.Random) -> Iterator[list[Point]]:
    """A sample of thirty metrics every hour."""
    for hour in range(24):
        at = hour * HOUR + rng.randrange(60_000)
        yield [
            Point(f"relayr.m{n}", at, round(rng.gauss(50, 10), 2), None, None, "good", {})
            for n in range(30)
        ]


@pytest.mark.parametrize(
    ("load", "most"),
    [
        # Reading a day from segments; summing it up (read, written); a year from rollups.
        (per_minute, (46, 92, 3, 105)),
        (per_second, (155, 310, 5, 190)),
        (per_hour, (2, 5, 4, 150)),
    ],
)
def test_a_year_of_rollups_costs_a_few_days_of_segments(
    metered: Metered, load: Callable[[random.Random], Iterator[list[Point]]], most: Any
) -> None:
    table, device_id = table_of(metered.hub), "relayr:d1"
    today = metered.hub.now() // DAY
    midnight = (today - 1) * DAY
    said_of_it = [
        Segment(device_id, "k", midnight + points[0].at, f"{n}", _moved(points, midnight))
        for n, points in enumerate(load(random.Random(1)))  # noqa: S311 - a load, not a secret
    ]
    once = {"p": receipt_id("con_relayr", today * DAY, "", b""), "c": "con_relayr", "v": 1}
    entries = said.entries("ten", Assembly(segments=said_of_it))
    table.put_many({each.key: {"d": each.data, **once, "w": "0" * 16} for each in entries})
    names = {point.metric for segment in said_of_it for point in segment.points}
    device = Device(device_id, "con_relayr", 0, metrics={name: {"in": ["k"]} for name in names})
    metered.cost()

    told = list(cells.cells(table, "ten", device, names, start=midnight, end=midnight + DAY))
    raw = metered.cost()["read_units"]
    rollups.rebuild(table, "ten", device, today - 1, ALL_HOURS, most=10**6)
    summing = metered.cost()
    made = table.get(keys.rollup("ten", device_id, today - 1))
    assert made is not None
    days = (keys.rollup("ten", device_id, day) for day in range(today - 365, today - 1))
    table.put_many({day: {"d": made["d"], "ver": 1} for day in days})
    metered.cost()
    start = (today - 365) * DAY
    year = list(rollups.cells(table, "ten", device, names, start=start, end=today * DAY))
    read = metered.cost()

    got = (raw, summing["read_units"], summing["write_units"], read["read_units"])
    print(f"\n{load.__name__}: {got} units, {read['calls']} calls")  # noqa: T201
    assert len(year) == 365 * len(told)
    assert year[-len(told) :] == told
    assert all(cost <= bound for cost, bound in zip(got, most, strict=True)), got
    assert (
        summing["read_units"] >= 2 * raw
    )  # consistently: what its stream record told must be seen
    assert read["calls"] <= 8


def _moved(points: list[Point], by: int) -> tuple[Point, ...]:
    return tuple(each._replace(at=each.at + by) for each in points)


def _read_again(metered: Metered) -> dict[str, float]:
    """Order a renormalization and return what its first step costs, which reads all payloads."""
    hub, sqs = metered.hub, metered.embedded.client("sqs")
    order = Renormalization("ten", "con_relayr", 0, 0, 10**14, dry_run=False, requested_at=0)
    begun = renormalizations.begin(table_of(hub), order)
    assert begun is not None
    renormalization.enqueue(hub, begun)
    costs: list[dict[str, float]] = []
    while found := sqs.receive_message(QueueUrl=hub.config.inbound_url).get("Messages"):
        sqs.delete_message(QueueUrl=hub.config.inbound_url, ReceiptHandle=found[0]["ReceiptHandle"])
        metered.cost()
        record = {"messageId": "m", "body": found[0]["Body"]}
        assert normalize.run({"Records": [record]}, hub) == {"batchItemFailures": []}
        costs.append(metered.cost())
    return costs[0]


def _costs(metered: Metered, sending: Sending) -> dict[str, Costs]:
    """Send a first payload, the next one, and that again; return what each cost in each stage."""
    table = table_of(metered.hub)
    identity = f"con_{sending.vendor}"
    secrets = ((hashed("secret"), None),)
    settings = example(sending.vendor, sending.name).settings
    connections.save(table, Connection(identity, "ten", sending.vendor, "x", 1, settings, secrets))
    connections.recent(table, identity)
    _warm(metered, sending, identity)
    found: dict[str, Costs] = {}
    for case, number in zip(CASES, (0, 1, 1), strict=True):
        metered.embedded.clock.forward(500)  # a warm process knows the connection for 2 s
        found[case] = _one(metered, sending, identity, number)
    return found


def _warm(metered: Metered, sending: Sending, identity: str) -> None:
    """Let the process know how the vendor's items look, and have counted lately."""
    table, shown = table_of(metered.hub), example(sending.vendor, sending.name)
    connection = connections.recent(table, identity)
    assert connection is not None
    for number in range(LEARNING):
        at = metered.hub.now() - LEARNING + number
        envelope = arrived(identity, at, sending.body(0), shown.topic, shown.query)
        source = Source(at, envelope.receipt_id, 0, 1)
        items = [(n, each.item) for n, each in enumerate(read(connection, envelope).outcomes)]
        watch(table, connection, items, source)
    tallies.count(table, "ten", identity, 1, {Counted("k", "accepted", 1, 0): 1})
    tallies.write_due(table)


def _one(metered: Metered, sending: Sending, identity: str, number: int) -> Costs:
    hub, found = metered.hub, example(sending.vendor, sending.name)
    before = len(metered.embedded.stream(hub.config.table))
    metered.cost()

    knock = request(
        f"{identity}/{found.topic}", sending.body(number), query={**found.query, "token": "secret"}
    )
    answer = receive(knock, hub)
    entered = metered.cost()
    assert answer.status_code == 202

    (message,) = metered.embedded.client("sqs").receive_message(QueueUrl=hub.config.inbound_url)[
        "Messages"
    ]
    record = {"messageId": "m", "body": message["Body"]}
    assert normalize.run({"Records": [record]}, hub) == {"batchItemFailures": []}
    normalized = metered.cost()

    arn = metered.embedded.stream_arn(hub.config.table)
    records = metered.embedded.stream(hub.config.table)[before:]
    event = {"Records": [events.stream_record(each, arn) for each in records]}
    assert project.run(event, hub) == {"batchItemFailures": []}
    projected = metered.cost()

    return tuple(tuple(cost.values()) for cost in (entered, normalized, projected))


def _print(figures: dict[str, dict[str, Costs]]) -> None:
    print(f"\n{'one payload':24}" + "".join(f"{stage:>26}" for stage in STAGES))  # noqa: T201
    for vendor, cases in figures.items():
        for case, costs in cases.items():
            cells = [f"{calls:g} calls {w:g} W {r:g} R {sqs:g} SQS" for calls, w, r, sqs in costs]
            print(f"{vendor:16}{case:8}" + "".join(f"{cell:>26}" for cell in cells))  # noqa: T201
