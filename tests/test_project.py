"""What follows from stored records: presence by silence, parents, alerts; each survives its neighbours."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chalicelib.aws import Hub
from chalicelib.model.envelope import arrived
from chalicelib.model.times import DAY
from chalicelib.normalize import entry as normalize
from chalicelib.project import entry as project
from chalicelib.project import silence
from chalicelib.store import connections, devices, keys
from chalicelib.store.connections import Connection
from chalicelib.store.table import Key, Table, table_of
from tests.support.fake_aws import FakeAws, Faults
from tests.support.simulation import CONFIG, Crash, stream_record

pytestmark = pytest.mark.usefixtures("quiet")

MINUTE = 60_000


class World:
    """A hub whose stream project has read up to a place."""

    def __init__(self, faults: Faults | None = None) -> None:
        self.aws = FakeAws(faults or Faults())
        self.hub = Hub(CONFIG, self.aws.client, self.aws.clock)
        self.table: Table = table_of(self.hub)
        self.read = 0
        for vendor in ("relayr", "viziosense"):
            connections.save(self.table, Connection(f"con_{vendor}", "ten", vendor, "x", 1))

    def hear(self, vendor: str, body: Any, topic: str = "") -> None:
        envelope = arrived(f"con_{vendor}", self.aws.clock(), json.dumps(body).encode(), topic)
        record = {"messageId": "m", "body": envelope.to_json()}
        assert normalize.run({"Records": [record]}, self.hub) == {"batchItemFailures": []}

    def measure(self, value: float = 20, device: str = "d1", name: str = "temperature") -> None:
        body = [{"name": name, "value": value, "timestamp": self.aws.clock()}]
        self.hear("relayr", body, f"devices/{device}/measurements")

    def project(self) -> dict[str, Any]:
        records = self.aws.dynamodb.stream[self.read :]
        answer = project.run({"Records": [stream_record(each) for each in records]}, self.hub)
        if not answer["batchItemFailures"]:
            self.read += len(records)
        return answer

    def presence(self, device: str = "relayr:d1") -> tuple[str, str]:
        """Presence by the device's item and by its state's."""
        found, _ = devices.load_device(self.table, "ten", device)
        state, _ = devices.load_state(self.table, "ten", device)
        return (found.presence if found else "none", state.presence)

    def sweep(self) -> int:
        return silence.sweep(self.hub)


@pytest.fixture
def world() -> World:
    return World()


def test_a_device_that_speaks_is_online(world: World) -> None:
    world.measure()
    world.project()

    assert world.presence() == ("online", "online")


def test_a_device_silent_for_too_long_goes_offline_once(world: World) -> None:
    world.measure()
    world.project()

    early = world.sweep()
    world.aws.clock.forward(DAY)
    gone = [world.sweep(), world.sweep()]

    assert (early, gone) == (0, [1, 0])
    assert world.presence() == ("offline", "offline")


def test_a_device_that_spoke_meanwhile_is_looked_at_later(world: World) -> None:
    world.measure()
    world.project()
    world.aws.clock.forward(DAY)
    world.measure()
    world.project()

    gone = world.sweep()

    assert gone == 0
    assert world.presence() == ("online", "online")
    assert list(devices.due_for_silence(world.table, world.aws.clock())) == []


def test_a_silent_device_that_speaks_is_online_again(world: World) -> None:
    world.measure()
    world.project()
    world.aws.clock.forward(DAY)
    world.sweep()

    world.measure()
    world.project()

    assert world.presence() == ("online", "online")


class CrashOnce(Faults):
    """Dies after the write of one item, once."""

    def __init__(self) -> None:
        self.count = -1

    def after(self, operation: str) -> None:
        if operation == "PutItem":
            self.count -= 1
            if self.count == 0:
                raise Crash


@pytest.mark.parametrize("write", [1, 2])
def test_a_sweep_that_dies_is_made_good_by_the_next(write: int) -> None:
    faults = CrashOnce()
    world = World(faults)
    world.measure()
    world.project()
    world.aws.clock.forward(DAY)

    faults.count = write
    with pytest.raises(Crash):
        world.sweep()
    world.sweep()

    assert world.presence() == ("offline", "offline")
    assert world.sweep() == 0


class SpeaksMeanwhile(Faults):
    """The device speaks between the sweep's reading and its writing."""

    def __init__(self) -> None:
        self.world: World | None = None

    def before(self, operation: str) -> None:
        if operation == "PutItem" and self.world is not None:
            world, self.world = self.world, None
            world.measure()
            world.project()


def test_a_device_that_speaks_while_it_is_looked_at_stays_online() -> None:
    faults = SpeaksMeanwhile()
    world = World(faults)
    world.measure()
    world.project()
    world.aws.clock.forward(DAY)

    faults.world = world
    gone = [world.sweep(), world.sweep()]

    assert gone == [0, 0]
    assert world.presence() == ("online", "online")


def test_an_expected_interval_set_by_an_operator_decides_when_silence_is_too_long(
    world: World,
) -> None:
    world.measure()
    world.project()
    look_at = world.aws.clock() + 3 * MINUTE
    devices.change_device(
        world.table,
        "ten",
        "relayr:d1",
        lambda device: device.operator.update(expected_interval_seconds=60),
        look_at=look_at,
    )

    world.aws.clock.forward(3 * MINUTE - 1)
    early = world.sweep()
    world.aws.clock.forward(2)

    assert (early, world.sweep()) == (0, 1)


def test_a_child_registers_its_parent_and_does_not_go_offline_by_silence(world: World) -> None:
    seconds = world.aws.clock() // 1000
    spot = {"id": "spot1", "name": "P-0", "is_active": True, "deactivated": False, "cls": "car"}
    body = {
        "stream_id": "cam1",
        "type": "VPM",
        "timestamp": seconds,
        "payload": [{**spot, "event_ts": seconds}],
    }
    world.hear("viziosense", body)
    world.project()
    world.aws.clock.forward(DAY)

    world.sweep()

    parent, _ = devices.load_device(world.table, "ten", "viziosense:cam1")
    child, _ = devices.load_device(world.table, "ten", "viziosense:spot1")
    assert parent is not None
    assert child is not None
    assert child.fact("parent_id") == "viziosense:cam1"
    assert child.presence == "online"


def test_one_device_that_cannot_be_folded_does_not_hold_up_the_others(world: World) -> None:
    world.measure(device="good")
    world.measure(device="bad")
    world.table.put(Key(keys.device_pk("ten", "relayr:bad"), keys.STATE), {"d": b"damaged"})

    answer = world.project()

    failed = [each["itemIdentifier"] for each in answer["batchItemFailures"]]
    stream = {r["dynamodb"]["SequenceNumber"]: r["dynamodb"] for r in world.aws.dynamodb.stream}
    assert [stream[number]["Keys"]["pk"]["S"] for number in failed] == ["T#ten#D#relayr:bad"]
    assert world.presence("relayr:good") == ("online", "online")


def test_projecting_the_whole_stream_again_writes_nothing(world: World) -> None:
    for value in range(5):
        world.aws.clock.forward(MINUTE)
        world.measure(value)
        world.hear(
            "relayr",
            [{"name": "hot", "state": ("set", "clear")[value % 2], "timestamp": world.aws.clock()}],
            "devices/d1/alerts",
        )
        world.project()
    before = len(world.aws.dynamodb.stream)

    world.read = 0
    world.project()

    assert len(world.aws.dynamodb.stream) == before


def test_a_name_repeated_with_every_message_is_written_once(world: World) -> None:
    for minute in range(4):
        world.aws.clock.forward(MINUTE)
        seconds = world.aws.clock() // 1000
        marker = {"id": "b1", "name": "Door", "event_ts": seconds, "cls": "person", "in": minute}
        body = {"stream_id": "cam1", "type": "VCB", "timestamp": seconds, "payload": [marker]}
        world.hear("viziosense", body)
        world.project()

    writes = [r["dynamodb"]["Keys"] for r in world.aws.dynamodb.stream]
    where = {"pk": {"S": "T#ten#D#viziosense:b1"}, "sk": {"S": keys.DEVICE}}
    assert writes.count(where) == 1


def removed(world: World, *, expired: bool) -> dict[str, Any]:
    """Return the stream's word of the removal of everything that was measured."""
    records = []
    for sk in list(world.aws.dynamodb.items["T#ten#D#relayr:d1"]):
        if sk.startswith(keys.SEGMENT):
            world.table.delete(Key("T#ten#D#relayr:d1", sk))
            records.append(stream_record(world.aws.dynamodb.stream[-1]))
    if expired:
        service = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
        records = [{**each, "userIdentity": service} for each in records]
    return {"Records": records}


@pytest.mark.parametrize("expired", [False, True])
def test_what_expires_stays_the_latest_and_what_is_removed_does_not(
    world: World, *, expired: bool
) -> None:
    world.measure(20)
    world.project()

    assert project.run(removed(world, expired=expired), world.hub) == {"batchItemFailures": []}

    state, _ = devices.load_state(world.table, "ten", "relayr:d1")
    device, _ = devices.load_device(world.table, "ten", "relayr:d1")
    assert device is not None
    assert (bool(state.latest), bool(device.metrics)) == (expired, expired)
