"""Rollups: whatever comes late, twice, corrected or removed, whatever fails: they say what the points say."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from chalicelib import queues, renormalization
from chalicelib.aws import Hub
from chalicelib.config import Config
from chalicelib.model.assembly import Assembly, Point, Segment
from chalicelib.model.envelope import arrived
from chalicelib.model.receipts import receipt_id
from chalicelib.model.stale import QUIET
from chalicelib.model.summaries import Cell
from chalicelib.model.times import DAY, HOUR
from chalicelib.normalize import entry as normalize
from chalicelib.project import entry as project
from chalicelib.project import rollups as keeping
from chalicelib.project import silence
from chalicelib.store import cells as points
from chalicelib.store import connections, devices, keys, renormalizations, rollups, said
from chalicelib.store.connections import Connection
from chalicelib.store.renormalizations import Renormalization
from chalicelib.store.said import Provenance
from chalicelib.store.table import ConflictError, Key, Table, table_of
from tests.support.fake_aws import FakeAws, Faults
from tests.support.simulation import CONFIG, INBOUND, Simulation, _record

pytestmark = pytest.mark.usefixtures("quiet")

DEVICE = "relayr:d1"
PK = keys.device_pk("ten", DEVICE)
MINUTE = 60_000
TODAY = 1_795_000_000_000 // DAY * DAY
METRICS = ("temperature", "sound_level_eq", "people_in_total", "occupied", "people_count")


class World:
    """A hub in memory whose stream project has read up to a place."""

    def __init__(self, faults: Faults | None = None, *, keep_all: bool = True) -> None:
        config = CONFIG if keep_all else Config("hub", INBOUND, "deliveries", "dead", "archive")
        self.aws = FakeAws(faults or Faults())
        self.hub = Hub(config, self.aws.client, self.aws.clock)
        self.table: Table = table_of(self.hub)
        self.aws.clock.now = TODAY + DAY // 2
        self.read = 0
        connections.save(self.table, Connection("con_relayr", "ten", "relayr", "x", 1))

    def say(
        self, *said_now: Point, kind: str = "k", name: str = "x", at: int | None = None
    ) -> None:
        """Have one payload store points of one hour."""
        first = min(each.at for each in said_now)
        segment = Segment(DEVICE, kind, first, name, said_now)
        arrival = self.aws.clock() if at is None else at
        source = Provenance(
            "con_relayr", receipt_id("con_relayr", arrival, "", name.encode()), 1, "r"
        )
        said.write(self.table, "ten", Assembly(segments=[segment]), source)

    def hear(self, *items: Any) -> None:
        """Have a vendor's payload come in."""
        body = json.dumps(items).encode()
        self.normalize(
            arrived("con_relayr", self.aws.clock(), body, "devices/d1/measurements").to_json()
        )

    def normalize(self, message: str) -> None:
        record = {"messageId": "m", "body": message}
        assert normalize.run({"Records": [record]}, self.hub) == {"batchItemFailures": []}
        self.aws.clock.forward(1)

    def renormalize(self) -> None:
        """Have all payloads read again, to the end."""
        wanted = Renormalization("ten", "con_relayr", 0, 0, 10**14, dry_run=False, requested_at=0)
        order = renormalizations.begin(self.table, wanted)
        assert order is not None
        renormalization.enqueue(self.hub, order)
        while queue := self.aws.sqs.queues[INBOUND]:
            self.normalize(queue.pop(next(iter(queue))).body)
            self.project()

    def project(self) -> None:
        records = self.aws.dynamodb.stream[self.read :]
        answer = project.run({"Records": [_record(each) for each in records]}, self.hub)
        assert answer == {"batchItemFailures": []}
        self.read += len(records)

    def settle(self) -> None:
        """Let project hear of everything, and the sweep sum up all that is over."""
        self.project()
        for _ in range(100):
            self.aws.clock.forward(2 * QUIET)
            silence.sweep(self.hub)
            if not any(day + DAY + 6 * HOUR <= self.aws.clock() for day in self.stale()):
                return
        raise AssertionError("there is always something to sum up")

    def cells(self, start: int, end: int, metrics: Any = METRICS) -> list[Cell]:
        device, _ = devices.load_device(self.table, "ten", DEVICE)
        assert device is not None
        return list(rollups.cells(self.table, "ten", device, metrics, start=start, end=end))

    def truth(self, start: int, end: int, metrics: Any = METRICS) -> list[Cell]:
        """The same from the points."""
        device, _ = devices.load_device(self.table, "ten", DEVICE)
        assert device is not None
        return list(points.cells(self.table, "ten", device, metrics, start=start, end=end))

    def check(self, start: int, end: int, metrics: Any = METRICS) -> list[Cell]:
        """Assert that both say the same, to the last bit and type; return it."""
        found = self.cells(start, end, metrics)
        assert repr(found) == repr(self.truth(start, end, metrics))
        return found

    def without_segments(self) -> None:
        """Take all segments away behind the hub's back: what can still be told is told by rollups."""
        partition = self.aws.dynamodb.items[PK]
        for sk in [sk for sk in partition if sk.startswith(keys.SEGMENT)]:
            del partition[sk]
            self.aws.dynamodb.sorted[PK].remove(sk)

    def rolled(self) -> list[str]:
        return [sk for sk in self.aws.dynamodb.sorted[PK] if sk.startswith(keys.ROLLUP)]

    def stale(self) -> dict[int, int]:
        state, _ = devices.load_state(self.table, "ten", DEVICE)
        return {day * DAY: hours for day, (hours, _) in state.stale.days.items()}


def point(at: int, value: Any = 20.1, metric: str = "temperature", **more: Any) -> Point:
    return Point(metric, at, value, None, None, more.pop("quality", "good"), more)


@pytest.fixture
def world() -> World:
    return World()


def test_a_day_that_is_over_and_quiet_is_summed_up_and_read_without_its_segments(
    world: World,
) -> None:
    for minute in range(0, 2 * 24 * 60, 7):
        at = TODAY - 2 * DAY + minute * MINUTE
        world.say(point(at, minute / 10), point(at, minute, "people_in_total"), name=f"{minute}")
    world.settle()

    told = world.check(TODAY - 3 * DAY, TODAY + DAY)
    world.without_segments()

    assert len(told) == 2 * 2 * 24
    assert repr(world.cells(TODAY - 3 * DAY, TODAY + DAY)) == repr(told)
    assert world.stale() == {}


def test_the_day_that_is_under_way_is_read_from_its_segments(world: World) -> None:
    world.say(point(TODAY + HOUR))
    world.settle()

    assert world.rolled() == []
    assert len(world.check(TODAY, TODAY + DAY)) == 1


def test_a_device_that_talks_sums_up_yesterday_by_itself(world: World) -> None:
    world.say(point(TODAY + HOUR))
    world.project()
    world.aws.clock.forward(DAY)
    world.say(point(TODAY + DAY + HOUR), name="y")
    world.project()

    assert len(world.rolled()) == 1
    assert list(world.stale()) == [TODAY + DAY]
    world.check(TODAY, TODAY + 2 * DAY)


def test_a_silent_device_is_summed_up_by_the_sweep(world: World) -> None:
    world.say(point(TODAY + HOUR))
    world.project()
    for _ in range(48):
        world.aws.clock.forward(HOUR)
        silence.sweep(world.hub)

    assert len(world.rolled()) == 1
    assert list(devices.due_for_silence(world.table, 10**14)) == []


def test_a_patch_of_a_silent_device_does_not_forget_its_day(world: World) -> None:
    world.say(point(TODAY - DAY))
    world.project()
    devices.change_device(
        world.table, "ten", DEVICE, lambda device: device.operator.update(name="x")
    )
    world.aws.clock.forward(2 * QUIET + 1)
    silence.sweep(world.hub)

    assert len(world.rolled()) == 1


def test_a_thousand_late_payloads_make_one_summing_up(world: World) -> None:
    for second in range(1000):
        world.say(point(TODAY - DAY + second * 1000), name=f"{second}")
        world.aws.clock.forward(1000)
        if second % 10 == 0:
            world.project()
            silence.sweep(world.hub)
    world.settle()

    writes = Counter(each["dynamodb"]["Keys"]["sk"]["S"] for each in world.aws.dynamodb.stream)
    assert [writes[sk] for sk in world.rolled()] == [1]


@pytest.mark.parametrize("projected", [True, False], ids=["heard of", "not heard of yet"])
def test_a_late_point_counts_as_soon_as_project_has_heard_of_it(
    world: World, *, projected: bool
) -> None:
    world.say(point(TODAY - DAY))
    world.settle()
    world.say(point(TODAY - DAY + MINUTE), name="late")
    if projected:
        world.project()

    (cell,) = world.cells(TODAY - DAY, TODAY)

    assert cell.summary.count == (2 if projected else 1)


def test_a_correction_and_a_removal_are_summed_up_again(world: World) -> None:
    for hour in range(3):
        world.say(point(TODAY - DAY + hour * HOUR, hour), name=f"{hour}")
    world.settle()
    world.say(point(TODAY - DAY, 77), name="0")
    world.table.delete(keys.segment("ten", DEVICE, "k", TODAY - DAY + HOUR, "1", points=True))
    world.project()

    before = world.check(TODAY - DAY, TODAY)
    world.settle()
    world.without_segments()

    assert [cell.summary.maximum for cell in before] == [77, 2]
    assert repr(world.cells(TODAY - DAY, TODAY)) == repr(before)


def test_history_that_is_read_again_is_summed_up_again(world: World) -> None:
    for hour in range(0, 48, 5):
        at = TODAY - 2 * DAY + hour * HOUR
        world.hear({"name": "temperature", "value": hour, "timestamp": at})
    world.settle()
    before = world.check(TODAY - 3 * DAY, TODAY)
    known = connections.find(world.table, "con_relayr")
    assert known is not None
    mapped = {"temperature": {"metric": "temperature", "unit": "[degF]"}}
    connections.save(world.table, replace(known, settings={"metric_map": mapped}))
    world.aws.clock.forward(5000)
    world.renormalize()

    told = world.check(TODAY - 3 * DAY, TODAY)
    world.settle()
    world.without_segments()

    assert [cell.summary.count for cell in told] == [cell.summary.count for cell in before]
    assert not {cell.summary.last for cell in told} & {cell.summary.last for cell in before}
    assert repr(world.cells(TODAY - 3 * DAY, TODAY)) == repr(told)


def test_a_day_of_which_nothing_is_left_says_nothing(world: World) -> None:
    world.say(point(TODAY - DAY))
    world.say(point(TODAY - 2 * DAY))
    world.settle()
    world.table.delete(keys.segment("ten", DEVICE, "k", TODAY - DAY, "x", points=True))
    world.settle()

    assert len(world.check(TODAY - 3 * DAY, TODAY)) == 1


def test_a_device_that_always_speaks_late_is_summed_up_once_an_hour(world: World) -> None:
    for minute in range(0, 6 * 60, 2):
        world.say(point(TODAY - DAY + minute * MINUTE), name=f"{minute}")
        world.project()
        world.check(TODAY - DAY, TODAY)
        world.aws.clock.forward(2 * MINUTE)
        silence.sweep(world.hub)
    world.settle()

    writes = Counter(each["dynamodb"]["Keys"]["sk"]["S"] for each in world.aws.dynamodb.stream)
    assert [writes[sk] for sk in world.rolled()] == [7]
    assert writes[keys.DEVICE] <= 3 * 7 + 1


def test_only_the_hours_that_changed_are_read_again(world: World) -> None:
    for hour in range(24):
        world.say(point(TODAY - DAY + hour * HOUR, hour), name=f"{hour}")
    world.settle()
    told = world.check(TODAY - DAY, TODAY)
    world.without_segments()
    world.say(point(TODAY - DAY + 5 * HOUR, 99), name="late")
    world.settle()

    changed = [
        new for old, new in zip(told, world.cells(TODAY - DAY, TODAY), strict=True) if new != old
    ]

    assert [(cell.start, cell.summary.last.value) for cell in changed] == [
        (TODAY - DAY + 5 * HOUR, 99)
    ]


def test_the_range_may_begin_and_end_at_any_cell(world: World) -> None:
    for hour in range(72):
        world.say(point(TODAY - 3 * DAY + hour * HOUR, hour), name=f"{hour}")
    world.settle()
    world.say(point(TODAY - 2 * DAY + 90 * MINUTE, 5), name="late")
    world.project()

    for first in (0, 1, 23, 24, 25, 40):
        for last in (41, 47, 48, 49, 71, 72, 90):
            start = TODAY - 3 * DAY
            found = world.check(start + first * HOUR, start + last * HOUR)
            assert len(found) == min(last, 72) - first


def test_what_is_dated_ahead_counts_when_its_day_is_over(world: World) -> None:
    ahead = TODAY + 30 * DAY
    world.say(point(ahead), name="ahead")
    world.settle()
    assert world.stale() == {}
    assert len(world.check(ahead, ahead + DAY)) == 1

    world.aws.clock.now = ahead + 12 * HOUR
    world.say(point(ahead + 5 * HOUR), name="then")
    world.project()
    world.aws.clock.forward(DAY)
    world.settle()
    told = world.check(ahead, ahead + DAY)
    world.without_segments()

    assert len(told) == 2
    assert repr(world.cells(ahead, ahead + DAY)) == repr(told)


def test_a_metric_of_old_days_only_is_found_there(world: World) -> None:
    world.say(point(TODAY - 9 * DAY, 5, "people_count", **{"class": "person"}), kind="old")
    world.say(point(TODAY - DAY), name="new")
    world.settle()
    world.without_segments()

    (cell,) = world.cells(TODAY - 10 * DAY, TODAY, ("people_count",))

    assert cell.series == ("people_count", (("class", "person"),))
    assert world.cells(TODAY - 10 * DAY, TODAY, ("occupied",)) == []


def test_a_day_with_too_many_series_is_read_from_its_segments(world: World) -> None:
    rng = random.Random(1)  # noqa: S311 - numbers that do not compress
    for kind in range(60):
        said_now = [
            point(
                TODAY - DAY + n, rng.random(), "temperature", **{"class": f"{kind}-{rng.random()}"}
            )
            for n in range(100)
        ]
        world.say(*said_now, kind=f"k{kind}")
    world.settle()

    assert len(world.check(TODAY - DAY, TODAY)) == 6000
    assert world.stale() == {}
    assert all(
        len(i.get("d", {"B": b""})["B"]) < 380 * 1024 for i in world.aws.dynamodb.items[PK].values()
    )


def test_a_long_day_is_summed_up_in_several_steps(world: World) -> None:
    for hour in range(24):
        said_now = [point(TODAY - DAY + hour * HOUR + n * 100, n) for n in range(500)]
        world.say(*said_now, name=f"{hour}")
    world.project()
    world.aws.clock.forward(2 * QUIET)
    steps = 0
    while world.stale():
        keeping.catch_up(world.table, "ten", DEVICE, keeping.Allowance(1200 + 3 * 20))
        told = world.check(TODAY - DAY, TODAY)
        steps += 1
    world.without_segments()

    assert steps == 8
    assert repr(world.cells(TODAY - DAY, TODAY)) == repr(told)


def test_a_rollup_expires_with_the_first_point_that_it_tells_of(world: World) -> None:
    world = World(keep_all=False)
    world.say(point(TODAY - DAY), at=TODAY)
    world.say(point(TODAY - DAY + HOUR), at=TODAY + 1000, name="later")
    world.settle()
    item = world.table.get(keys.rollup("ten", DEVICE, TODAY // DAY - 1))
    assert item is not None
    assert item["expires_at"] == (TODAY + said.RETENTION) // 1000

    world.aws.clock.now = TODAY + said.RETENTION
    world.table.delete(keys.segment("ten", DEVICE, "k", TODAY - DAY, "x", points=True))

    assert len(world.check(TODAY - DAY, TODAY)) == 1


def test_a_rollup_that_fails_does_not_hold_up_what_is_new(world: World) -> None:
    world.say(point(TODAY - DAY))
    world.project()
    where = keys.rollup("ten", DEVICE, TODAY // DAY - 1)
    world.table.put(where, {"d": b"damaged", "ver": 1})
    world.aws.clock.forward(2 * QUIET)
    world.say(point(TODAY + HOUR, 30), name="new")

    world.project()

    state, _ = devices.load_state(world.table, "ten", DEVICE)
    assert state.latest["temperature",][0].value == 30
    assert len(world.check(TODAY, TODAY + DAY)) == 1


class Meanwhile(Faults):
    """Something happens just before the rollup is written, once."""

    def __init__(self) -> None:
        self.act: Any = None

    def after(self, operation: str) -> None:
        if operation == "Query" and self.act is not None:
            act, self.act = self.act, None
            act()


def test_who_has_read_the_segments_earlier_does_not_write_later() -> None:
    faults = Meanwhile()
    world = World(faults)
    world.say(point(TODAY - DAY))
    world.project()
    world.aws.clock.forward(2 * QUIET)

    def overtake() -> None:
        world.say(point(TODAY - DAY + MINUTE), name="late")
        world.project()
        world.aws.clock.forward(2 * QUIET)
        keeping.catch_up(world.table, "ten", DEVICE, keeping.Allowance(keeping.A_BATCH))

    faults.act = overtake
    with pytest.raises(ConflictError):
        keeping.catch_up(world.table, "ten", DEVICE, keeping.Allowance(keeping.A_BATCH))

    assert world.stale() == {}
    assert world.check(TODAY - DAY, TODAY)[0].summary.count == 2


def test_what_comes_while_a_day_is_summed_up_makes_it_stale_again() -> None:
    faults = Meanwhile()
    world = World(faults)
    world.say(point(TODAY - DAY))
    world.project()
    world.aws.clock.forward(2 * QUIET)
    faults.act = lambda: world.say(point(TODAY - DAY + MINUTE), name="late")

    keeping.catch_up(world.table, "ten", DEVICE, keeping.Allowance(keeping.A_BATCH))
    world.project()

    assert world.check(TODAY - DAY, TODAY)[0].summary.count == 2


# --- any order of anything -----------------------------------------------------------------------

SPAN = 4 * DAY


def anything(rng: random.Random, world: World) -> None:
    """Let one payload come: in any order, overlapping, again, corrected; or let one be removed."""
    segments = [sk for sk in world.aws.dynamodb.sorted.get(PK, []) if sk.startswith(keys.SEGMENT)]
    if segments and rng.random() < 0.1:
        world.table.delete(Key(PK, rng.choice(segments)))
        return
    hour = TODAY - SPAN + rng.randrange((SPAN + DAY) // HOUR) * HOUR
    if rng.random() < 0.5:  # much happens in few hours
        hour = TODAY - DAY - rng.randrange(3) * HOUR
    said_now = []
    for _ in range(rng.randint(1, 6)):
        metric = rng.choice(METRICS)
        value = (
            rng.random() < 0.5
            if metric == "occupied"
            else rng.choice((rng.randrange(99), rng.gauss(50, 9), -0.0))
        )
        more = {"class": rng.choice("ab")} if metric == "people_count" else {}
        quality = rng.choice(("good", "good", "suspect", "bad"))
        said_now.append(
            point(hour + rng.randrange(6) * 10 * MINUTE, value, metric, quality=quality, **more)
        )
    at = world.aws.clock() - rng.randrange(3) * 1000
    world.say(*said_now, kind=rng.choice("kl"), name=rng.choice("abcdefgh"), at=at)


def some_range(rng: random.Random) -> tuple[int, int]:
    first, last = sorted(rng.sample(range((SPAN + 2 * DAY) // HOUR), 2))
    return TODAY - SPAN + first * HOUR, TODAY - SPAN + last * HOUR


@pytest.mark.parametrize("seed", range(60))
def test_after_any_history_rollups_say_what_the_points_say(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - a history, not a secret
    world = World()
    anything(rng, world)
    for _ in range(120):
        rng.choice((anything, anything, _tell, _wait))(rng, world)
        if rng.random() < 0.1:
            world.project()
            world.check(*some_range(rng), rng.sample(METRICS, 2))
    world.aws.clock.forward(2 * DAY)
    world.settle()

    told = world.check(TODAY - SPAN, TODAY + 2 * DAY)
    world.without_segments()

    assert repr(world.cells(TODAY - SPAN, TODAY + 2 * DAY)) == repr(told)


def _tell(_: random.Random, world: World) -> None:
    world.project()


def _wait(rng: random.Random, world: World) -> None:
    world.aws.clock.forward(rng.choice((1000, QUIET, 2 * QUIET, HOUR)))
    silence.sweep(world.hub)


# --- any fault -----------------------------------------------------------------------------------


class Schedule:
    """Payloads of three days, shuffled and repeated, through normalize, project and sweep under faults."""

    def __init__(self, seed: int, crash: tuple[int, bool] | None = None) -> None:
        handlers = {
            "normalize": normalize.run,
            "project": project.run,
            "sweep": lambda _, hub: {"offline": silence.sweep(hub)},
        }
        self.simulation = Simulation(seed, handlers, crash=crash)
        self.simulation.clock.now = TODAY + 12 * HOUR
        self.table = table_of(self.simulation.hub)
        connections.save(self.table, Connection("con_relayr", "ten", "relayr", "x", 1))
        rng, sent = self.simulation.rng, []
        for number in range(24):
            at = TODAY - 2 * DAY + number * 2 * HOUR + rng.randrange(HOUR)
            body = [
                {"name": name, "value": rng.random(), "timestamp": at}
                for name in ("temperature", "noise")
            ]
            for repeat in range(rng.randint(1, 2)):
                arrival = TODAY + number * 1000 + repeat
                text = json.dumps(body).encode()
                sent.append(arrived("con_relayr", arrival, text, "devices/d1/measurements"))
        rng.shuffle(sent)
        for each in range(0, len(sent), 12):
            some = sent[each : each + 12]
            queues.send(self.simulation.hub, INBOUND, [queues.Message(e.to_json()) for e in some])
            self._let_pass()
        self._withdraw()
        while devices.load_state(self.table, "ten", DEVICE)[0].stale.days:
            self.simulation.clock.forward(HOUR)
            self._let_pass()

    def _let_pass(self) -> None:
        """Let all work be done and a while pass; then rollups and points must agree."""
        self.simulation.run()
        self.simulation.faults.rate, self.simulation.faults.armed = self.simulation.rate, True
        for _ in range(3):
            self.simulation.clock.forward(QUIET)
            self.simulation._invoke("sweep", {})
        self.simulation.faults.rate, self.simulation.faults.armed = 0.0, False
        self.check()

    def _withdraw(self) -> None:
        """Remove what a renormalization finds to be said no more."""
        segments = [sk for sk in self.simulation.aws.dynamodb.items[PK] if sk.startswith("M#")]
        self.table.delete(Key(PK, segments[0]))
        self._let_pass()

    def cells(self, source: Any) -> str:
        device, _ = devices.load_device(self.table, "ten", DEVICE)
        assert device is not None
        start, end = TODAY - 3 * DAY, TODAY + DAY
        return repr(list(source(self.table, "ten", device, device.metrics, start=start, end=end)))

    def check(self) -> None:
        assert self.cells(rollups.cells) == self.cells(points.cells)


def test_no_schedule_of_faults_makes_a_rollup_wrong(request: pytest.FixtureRequest) -> None:
    struck: Counter[tuple[str, str]] = Counter()
    for seed in range(request.config.getoption("--schedules") // 10):
        schedule = Schedule(seed)
        struck += schedule.simulation.faults.struck
        items = schedule.simulation.aws.dynamodb.items[PK]
        assert sum(sk.startswith(keys.ROLLUP) for sk in items) == 2

    assert all(
        struck[way, operation]
        for way in ("throttled", "died before", "answer lost", "died after")
        for operation in ("PutItem", "Query", "GetItem", "BatchGetItem")
    )


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_a_crash_at_any_call_makes_no_rollup_wrong(late: bool) -> None:
    whole = Schedule(1, crash=(-1, late))
    calls: int = whole.simulation.faults.calls  # type: ignore[attr-defined]
    assert calls > 100

    for number in range(calls):
        Schedule(1, crash=(number, late))
