"""Exports are written slice by slice: whatever dies, fails, is lost or comes twice, the file is the same."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from chalicelib import exportation
from chalicelib.aws import Hub
from chalicelib.export import entry, slices, stalled
from chalicelib.export.slices import Size
from chalicelib.exportation import Slice
from chalicelib.model.envelope import arrived
from chalicelib.model.times import DAY
from chalicelib.normalize.payloads import put_through
from chalicelib.project import entry as project
from chalicelib.store import connections, devices, exports, series
from chalicelib.store.connections import Connection
from chalicelib.store.exports import DONE, FAILED, RUNNING, Export
from chalicelib.store.table import table_of
from infra.local import events
from tests.support.embedded import Embedded
from tests.support.fake_aws import FakeAws, Faults, error
from tests.support.simulation import CONFIG, Crash
from tests.support.world import Nth, record

pytestmark = pytest.mark.usefixtures("quiet")

QUEUE = "exports"
TENANT = "ten"
START, END = 1_794_000_000_000, 1_794_080_000_000
VISIBILITY = 360_000
SMALL = Size(part=2000, rows=2)
"""Slices of six rows."""


@dataclass
class World:
    """A hub in memory with measurements, and its exports queue."""

    faults: Faults = field(default_factory=Faults)
    size: Size = SMALL
    in_hand: list[Any] = field(default_factory=list)
    """The message that is worked on."""

    def __post_init__(self) -> None:
        self.aws = FakeAws(self.faults)
        self.aws.s3.least_part = self.size.part
        self.hub = self.another_process()
        self.connection = Connection("con_a", TENANT, "relayr", "x", 1, {})
        connections.save(table_of(self.hub), self.connection)

    def another_process(self) -> Hub:
        return Hub(CONFIG, self.aws.client, self.aws.clock)

    def measured(self, device: str, *points: tuple[int, float]) -> None:
        """Let one payload bring temperatures of a device."""
        say(self.hub, self.connection, device, points)

    def order(self, *names: str, **options: Any) -> Export:
        return order(self.hub, *names, **options)

    def find(self, export: Export) -> Export:
        found = exports.find(table_of(self.hub), TENANT, export.id)
        assert found is not None
        return found

    def work(self) -> bool:
        """Have the next message taken by a process; false if none may be received now."""
        messages = self.aws.sqs.visible(QUEUE)
        if not messages:
            return False
        message = messages[0]
        message.received += 1
        message.visible_at = self.aws.clock() + VISIBILITY
        self.take(message.id)
        return True

    def take(self, identity: str) -> None:
        queue = self.aws.sqs.queues[QUEUE]
        self.in_hand = [record(queue[identity])]
        event = {"Records": self.in_hand}
        if not entry.run(event, self.another_process(), self.size)["batchItemFailures"]:
            queue.pop(identity, None)

    def until_quiet(self) -> None:
        """Let time pass until nothing is left to do; a process that dies is replaced."""
        for _ in range(2000):
            try:
                if self.work():
                    continue
            except Crash:
                continue
            waiting = [each.visible_at for each in self.aws.sqs.queues.get(QUEUE, {}).values()]
            if waiting:
                self.aws.clock.now = max(self.aws.clock.now, min(waiting))
            elif self.listed():
                self.aws.clock.forward(60_000)
                try:
                    stalled.sweep(self.another_process())
                except Crash:
                    continue
            else:
                return
        raise AssertionError("it never becomes quiet")

    def listed(self) -> bool:
        """Whether a sweep will find something, now or later."""
        items = (i for some in self.aws.dynamodb.items.values() for i in some.values())
        return any(i.get("g2pk") == {"S": "EXPORTS"} for i in items)

    def file(self, export: Export) -> bytes:
        content = self.aws.s3.objects[exportation.file_of(export)]
        return gzip.decompress(content) if export.compression else content

    def wanted(self, *names: str) -> list[Any]:
        """What the table says of devices' measurements."""
        table = table_of(self.hub)
        found = []
        for name in names:
            device, _ = devices.load_device(table, TENANT, name)
            assert device is not None
            read = series.readings(
                table, TENANT, device, list(device.metrics), start=START, end=END
            )
            found += [reading.as_json(name) for reading in read]
        return found


def say(hub: Hub, connection: Connection, device: str, points: Any) -> None:
    items = [{"name": "temperature", "value": value, "timestamp": at} for at, value in points]
    last = max(at for at, _ in points)
    envelope = arrived(
        connection.id, last, json.dumps(items).encode(), f"devices/{device}/measurements"
    )
    put_through(table_of(hub), connection, envelope)
    stream = hub.dynamodb.stream  # type: ignore[attr-defined]
    assert project.run({"Records": list(stream)}, hub) == {"batchItemFailures": []}
    stream.clear()


def order(hub: Hub, *names: str, **options: Any) -> Export:
    wanted: dict[str, Any] = {"metrics": None, "start": START, "end": END, "format": "ndjson"}
    wanted |= {"compression": None, "created_at": hub.now()}
    export = exports.save(
        table_of(hub), Export(TENANT, "exp_1", devices=names, **(wanted | options))
    )
    exportation.enqueue(hub, export)
    return export


def fill(world: World, hours: int = 2) -> None:
    """Two devices: one with many rows of which some are corrected, one with few."""
    for hour in range(hours):
        begin = START + hour * 3_600_000
        world.measured("a", *((begin + n * 60_000, float(n)) for n in range(12)))
        world.measured("a", *((begin + n * 60_000, -float(n)) for n in range(10, 14)))
    world.measured("b", (START + 5, 1.0), (START + 6, 2.0))


class Slow(Nth):
    """As Nth, and every query takes six seconds: slices end by their time, with a rest."""

    world: World

    def before(self, operation: str) -> None:
        super().before(operation)
        if operation == "Query" and self.armed:
            self.world.aws.clock.forward(6000)


def rows(world: World, export: Export) -> list[Any]:
    return [json.loads(line) for line in world.file(export).decode().splitlines()]


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_many_slices_make_one_file(compression: str | None) -> None:
    world = World(size=size_for(compression))
    fill(world)

    export = world.order("relayr:a", "relayr:b", compression=compression)
    world.until_quiet()

    done = world.find(export)
    assert (done.state, done.rows, done.progress) == (DONE, 30, 1)
    assert rows(world, done) == world.wanted("relayr:a", "relayr:b")
    assert done.size == len(world.aws.s3.objects[exportation.file_of(done)])
    assert len(done.parts) > 3


def test_progress_never_goes_back_and_is_1_at_the_end_only() -> None:
    world = World()
    fill(world)
    export = world.order("relayr:a", "relayr:b", end=START + 4 * 3_600_000)
    seen = [world.find(export).progress]

    while world.work():
        seen.append(world.find(export).progress)

    assert seen == sorted(seen)
    assert seen[0] == 0
    assert max(seen[:-1]) < 1 == seen[-1]
    assert len(set(seen)) > 4


def undisturbed(form: str, hours: int) -> bytes:
    world = World()
    fill(world, hours)
    export = world.order("relayr:b", "relayr:a", format=form)
    world.until_quiet()
    return world.file(export)


def size_for(compression: str | None) -> Size:
    return SMALL if compression is None else replace(SMALL, part=400, member=900)


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("lose_answers", [False, True])
@pytest.mark.parametrize(("form", "compression"), [("csv", None), ("ndjson", "gzip")])
def test_a_crash_at_any_step_leaves_the_same_file(
    form: str, compression: str | None, lose_answers: bool, slow: bool
) -> None:
    hours = 1 if slow else 2  # slow slices have a row each
    wanted = undisturbed(form, hours)
    n, died = 0, True
    while died:
        n += 1
        faults = (Slow if slow else Nth)(n=n, lose_answers=lose_answers)
        world = World(faults, size_for(compression))
        if isinstance(faults, Slow):
            faults.world = world
        fill(world, hours)
        export = world.order("relayr:b", "relayr:a", format=form, compression=compression)
        faults.armed = True
        world.until_quiet()
        faults.armed, died = False, faults.died

        done = world.find(export)
        assert done.state == DONE, n
        assert world.file(done) == wanted, n
        assert done.rows == 14 * hours + 2, n
        assert done.size == len(world.aws.s3.objects[exportation.file_of(done)]), n
    assert n > 40


@dataclass
class Twice(Faults):
    """At the n-th step of the one process another one takes the same message, and finishes."""

    n: int = 0
    intrude: Callable[[], None] | None = None

    def before(self, _operation: str) -> None:
        self._step()

    def after(self, _operation: str) -> None:
        self._step()

    def _step(self) -> None:
        if self.intrude is None:
            return
        self.n -= 1
        if self.n == 0:
            intrude, self.intrude = self.intrude, None
            intrude()


@pytest.mark.parametrize("finish", [False, True])
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_two_processes_with_one_message_leave_one_whole_file(
    compression: str | None, finish: bool
) -> None:
    n, met = 0, True
    while met:
        n += 1
        faults = Twice(n=n)
        world = World(faults, size_for(compression))
        fill(world)
        before = world.wanted("relayr:b", "relayr:a")
        export = world.order("relayr:b", "relayr:a", compression=compression)
        faults.intrude = lambda world=world: interfere(world, finish=finish)
        world.until_quiet()
        met = faults.intrude is None

        done = world.find(export)
        found, after = rows(world, done), world.wanted("relayr:b", "relayr:a")
        assert done.state == DONE, n
        assert found == [row for row in after if row in found], n
        assert [row for row in found if row in before] == before, n
        assert done.rows == len(found), n
        assert done.size == len(world.aws.s3.objects[exportation.file_of(done)]), n
    assert n > 30


def interfere(world: World, *, finish: bool) -> None:
    """Let late values arrive here and there, and another process do the same slice, or all that is left."""
    world.measured("b", (START + 1, -1.0))
    for hour in range(2):
        world.measured("a", (START + hour * 3_600_000 + 90_000, -1.0))
    if finish:
        world.until_quiet()
    else:
        entry.run({"Records": world.in_hand}, world.another_process(), world.size)


def test_what_is_stored_behind_the_place_that_was_read_is_left_out_and_ahead_of_it_comes() -> None:
    world = World()
    world.measured("a", *((START + n * 1000, float(n)) for n in range(20)))
    export = world.order("relayr:a")
    assert world.work()
    assert world.find(export).state == RUNNING

    world.measured("a", (START + 500, -1.0), (START + 19_500, -2.0))
    world.until_quiet()

    values = [row["value"] for row in rows(world, export)]
    assert values == [*range(20), -2.0]


def test_a_metric_that_a_device_gets_meanwhile_is_no_reason_to_begin_anew() -> None:
    world = World()
    fill(world)
    export = world.order("relayr:a")
    assert world.work()

    items = [{"name": "humidity", "value": 5, "timestamp": START + n * 3_000_000} for n in range(4)]
    body = json.dumps(items).encode()
    envelope = arrived("con_a", END, body, "devices/a/measurements")
    put_through(table_of(world.hub), world.connection, envelope)
    assert project.run({"Records": world.aws.dynamodb.stream}, world.hub) == {
        "batchItemFailures": []
    }
    world.until_quiet()

    found = rows(world, export)
    assert len([row for row in found if row["metric"] == "temperature"]) == 28
    assert len([row for row in found if row["metric"] == "relative_humidity"]) == 3


@pytest.mark.parametrize("lost", range(12))
def test_a_lost_message_is_replaced(lost: int) -> None:
    world = World()
    fill(world)
    export = world.order("relayr:b", "relayr:a")
    for _ in range(lost):
        world.work()
    world.aws.sqs.queues[QUEUE].clear()

    world.until_quiet()

    assert world.find(export).state == DONE
    assert rows(world, export) == world.wanted("relayr:b", "relayr:a")


def test_old_messages_mean_nothing() -> None:
    world = World()
    fill(world)
    export = world.order("relayr:b", "relayr:a")
    (first,) = world.aws.sqs.queues[QUEUE].values()
    old = first.body
    world.until_quiet()
    done = world.find(export)

    for again in ("1", "2"):
        message = {"messageId": "m", "body": old, "attributes": {"ApproximateReceiveCount": again}}
        assert entry.run({"Records": [message]}, world.hub, SMALL) == {"batchItemFailures": []}

    assert world.find(export) == done
    assert not world.aws.sqs.queues[QUEUE]


def test_who_died_before_naming_the_next_slice_is_made_good_by_its_own_message() -> None:
    world = World()
    fill(world)
    world.order("relayr:a")
    assert world.work()
    queue = world.aws.sqs.queues[QUEUE]
    named = [message.body for message in queue.values()]
    queue.clear()

    again = [{**world.in_hand[0], "attributes": {"ApproximateReceiveCount": "2"}}]
    assert entry.run({"Records": again}, world.hub, SMALL) == {"batchItemFailures": []}

    assert [message.body for message in queue.values()] == named


def test_a_slice_ends_in_time_where_nothing_is_found() -> None:
    faults = Slow()
    world = faults.world = World(faults)
    hours = 400
    for hour in range(0, hours, 20):
        world.measured("a", *((START + n * 3_600_000, 1.0) for n in range(hour, hour + 20)))
    rare = [{"name": "humidity", "value": 5, "timestamp": START + hours * 3_600_000}]
    body = json.dumps(rare).encode()
    put_through(
        table_of(world.hub), world.connection, arrived("con_a", END, body, "devices/a/measurements")
    )
    assert project.run({"Records": world.aws.dynamodb.stream}, world.hub) == {
        "batchItemFailures": []
    }
    export = world.order("relayr:a", metrics=("relative_humidity",), end=START + 17 * DAY)
    faults.armed = True
    slowest = 0
    while world.find(export).state == RUNNING:
        began = world.aws.clock.now
        assert world.work()
        slowest = max(slowest, world.aws.clock.now - began)

    done = world.find(export)
    assert (done.state, done.rows) == (DONE, 1)
    assert slowest <= 3 * 6000
    assert done.slice > 10


def test_what_is_deleted_leaves_neither_parts_nor_rest() -> None:
    faults = Slow()
    world = faults.world = World(faults)
    fill(world)
    export = world.order("relayr:a")
    faults.armed = True
    while not (world.find(export).rest and world.find(export).parts):
        assert world.work()

    assert exports.give_up(table_of(world.hub), TENANT, export.id)
    world.until_quiet()

    assert world.aws.s3.uploads == {}
    assert [name for name in world.aws.s3.objects if name.startswith("exports/")] == []


class Refusing(Faults):
    """S3 refuses to take parts, so many times."""

    def __init__(self, times: int) -> None:
        self.times = times

    def before(self, operation: str) -> None:
        if operation == "UploadPart" and self.times:
            self.times -= 1
            raise error("SlowDown", operation)


def test_a_slice_that_fails_is_tried_again_and_the_file_is_whole() -> None:
    world = World(Refusing(4))
    fill(world)
    export = world.order("relayr:a")
    began = world.aws.clock.now

    world.until_quiet()

    assert world.find(export).state == DONE
    assert rows(world, export) == world.wanted("relayr:a")
    assert world.aws.clock.now - began == (10 + 40 + 160 + 640) * 1000


def test_an_export_that_fails_again_and_again_has_failed_and_leaves_nothing() -> None:
    world = World()
    fill(world)
    export = world.order("relayr:a")
    assert world.work()
    assert world.aws.s3.uploads
    world.faults = world.aws.s3.faults = Refusing(1000)

    world.until_quiet()

    failed = world.find(export)
    assert failed.state == FAILED
    assert failed.reason
    assert failed.finished_at == world.aws.clock.now
    assert world.aws.s3.uploads == {}
    assert [name for name in world.aws.s3.objects if name.startswith("exports/")] == []
    assert world.aws.sqs.queues[QUEUE] == {}


def test_a_process_that_always_dies_fails_its_export_too() -> None:
    class Deadly(Faults):
        def before(self, operation: str) -> None:
            if operation == "UploadPart":
                raise Crash

    world = World(Deadly())
    fill(world)
    export = world.order("relayr:a")

    world.until_quiet()

    assert world.find(export).state == FAILED


def test_more_parts_than_s3_takes_are_refused_in_time() -> None:
    world = World()
    fill(world)
    export = world.order("relayr:a", attempts=10_000)

    world.until_quiet()

    failed = world.find(export)
    assert failed.state == FAILED
    assert "larger" in (failed.reason or "")


def test_memory_does_not_grow_with_the_export() -> None:
    size = Size(part=16 * 1024, rows=50)

    def peak(payloads: int) -> tuple[int, int]:
        world = World(size=size)
        for number in range(payloads):
            begin = START + number * 3_600_000
            world.measured("a", *((begin + n * 1000, n / 7) for n in range(20)))
        export = world.order("relayr:a", format="csv", end=2 * START)
        world.work()  # what is imported and remembered once
        highest = 0
        tracemalloc.start()
        try:
            while not world.find(export).device:  # composing is S3's work, and here the fake's
                tracemalloc.reset_peak()
                before, _ = tracemalloc.get_traced_memory()
                world.work()
                highest = max(highest, tracemalloc.get_traced_memory()[1] - before)
        finally:
            tracemalloc.stop()
        return highest, world.find(export).size

    small, few = peak(40)
    large, many = peak(400)

    assert many > 9 * few
    assert large < 1.3 * small


def test_a_file_is_made_and_downloaded_from_the_embedded_aws(embedded: Embedded) -> None:
    hub = embedded.hub()
    table = table_of(hub)
    connection = Connection("con_a", TENANT, "relayr", "x", 1, {})
    connections.save(table, connection)
    items = [{"name": "temperature", "value": n, "timestamp": START + n} for n in range(50)]
    body = json.dumps(items).encode()
    put_through(table, connection, arrived("con_a", END, body, "devices/a/measurements"))
    arn = embedded.stream_arn(hub.config.table)
    told = [events.stream_record(each, arn) for each in embedded.stream(hub.config.table)]
    assert project.run({"Records": told}, hub) == {"batchItemFailures": []}

    export = order(hub, "relayr:a", compression="gzip")
    found = work_through(hub, export, Size(milliseconds=0, rows=20))

    assert (found.state, found.rows) == (DONE, 50)
    with urllib.request.urlopen(exportation.link(hub, found, 60)) as answer:  # noqa: S310 - our own
        assert answer.headers["Content-Type"] == "application/gzip"
        assert f"{export.id}.ndjson.gz" in answer.headers["Content-Disposition"]
        lines = gzip.decompress(answer.read()).decode().splitlines()
    assert [json.loads(line)["value"] for line in lines] == list(range(50))
    listed = hub.s3.list_objects_v2(Bucket=hub.config.bucket, Prefix="exports/")
    assert [each["Key"] for each in listed["Contents"]] == [exportation.file_of(export)]

    exports.give_up(table, TENANT, export.id)
    assert exports.find(table, TENANT, export.id)
    slices.go_on(hub, Slice(TENANT, export.id, 0), again=False)
    assert exports.find(table, TENANT, export.id) is None
    assert "Contents" not in hub.s3.list_objects_v2(Bucket=hub.config.bucket, Prefix="exports/")


def work_through(hub: Hub, export: Export, size: Size) -> Export:
    """Do slices until the export has ended."""
    while True:
        found = exports.find(table_of(hub), TENANT, export.id)
        assert found is not None
        if found.state != RUNNING:
            return found
        slices.go_on(hub, Slice(TENANT, export.id, found.slice), again=False, size=size)
