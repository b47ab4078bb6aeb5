"""Devices and states: read as written, never undone by an outdated writer, always small enough."""

from __future__ import annotations

import random
from typing import Any

import pytest

from chalicelib.model.assembly import Point
from chalicelib.model.state import NAMES_LIMIT, Device, Source, State
from chalicelib.store import devices
from chalicelib.store.table import ConflictError, Table
from tests.support.fake_aws import FakeAws
from tests.support.strategies import DEVICE, START

SOURCE = Source(START, "con_a", "rcp_1", 1)
ITEM_LIMIT = 400 * 1024


def device(**more: Any) -> Device:
    return Device(DEVICE, "con_a", START, **more)


def state_with(*points: Point) -> State:
    latest = {(point.metric, *point.discriminator): (point, SOURCE) for point in points}
    return State(latest, START, None, START + 1, (START, 0))


def point(metric: str, at: int = START, **attributes: Any) -> Point:
    return Point(metric, at, 1.5, "Cel", 60_000, "suspect", attributes)


def test_a_device_is_read_as_it_was_written(table: Table) -> None:
    wrote = device(
        facts={"name": ("x", START, START + 1), "attributes.a": (None, 1, 2)},
        operator={"tags": ["a"]},
        metrics={"temperature": {"unit": "Cel", "kind": "gauge", "in": ["k"]}},
        presence="online",
    )

    devices.save_device(table, "ten", wrote, None, START + 60_000)
    read, item = devices.load_device(table, "ten", DEVICE)

    assert read == wrote
    assert item is not None


def test_a_state_is_read_as_it_was_written(table: Table) -> None:
    wrote = state_with(
        point("temperature"),
        point("people_count", cell=1),
        point("people_count", cell=2),
    )

    devices.save_state(table, "ten", DEVICE, wrote, None)
    read, _ = devices.load_state(table, "ten", DEVICE)

    assert read == wrote
    assert devices.states(table, "ten", [DEVICE, "relayr:none"]) == {DEVICE: wrote}


def test_what_does_not_exist_is_an_empty_state_and_no_device(table: Table) -> None:
    assert devices.load_device(table, "ten", DEVICE) == (None, None)
    assert devices.load_state(table, "ten", DEVICE) == (State(), None)
    assert devices.change_device(table, "ten", DEVICE, lambda _: None) is None


def test_nothing_is_written_where_nothing_changed(aws: FakeAws, table: Table) -> None:
    devices.save_device(table, "ten", device(presence="online"), None, START)
    devices.save_state(table, "ten", DEVICE, state_with(point("temperature")), None)
    read, item = devices.load_device(table, "ten", DEVICE)
    state, state_item = devices.load_state(table, "ten", DEVICE)
    assert read is not None
    before = len(aws.dynamodb.stream)

    wrote = devices.save_device(table, "ten", read, item, START + 999_999)
    wrote |= devices.save_state(table, "ten", DEVICE, state, state_item)

    assert not wrote
    assert len(aws.dynamodb.stream) == before


@pytest.mark.parametrize("what", ["device", "state"])
def test_an_outdated_writer_is_told(table: Table, what: str) -> None:
    def save(name: str, read: Any) -> None:
        if what == "device":
            devices.save_device(table, "ten", device(operator={"name": name}), read, START)
        else:
            devices.save_state(table, "ten", DEVICE, state_with(point(name)), read)

    def load() -> Any:
        load = devices.load_device if what == "device" else devices.load_state
        return load(table, "ten", DEVICE)[1]

    save("a", None)
    read = load()
    save("b", read)

    with pytest.raises(ConflictError):
        save("c", read)
    with pytest.raises(ConflictError):
        save("d", None)
    assert load()["ver"] == 2


def test_an_operators_change_is_kept_when_project_writes_meanwhile(table: Table) -> None:
    devices.save_device(table, "ten", device(), None, START)
    told: list[str] = []

    def change(found: Device) -> None:
        if not told:  # project comes in between our reading and our writing
            told.append("once")
            known, item = devices.load_device(table, "ten", DEVICE)
            assert known is not None
            known.facts["name"] = ("theirs", START, START)
            devices.save_device(table, "ten", known, item, START)
        found.operator["tags"] = ["ours"]

    devices.change_device(table, "ten", DEVICE, change)

    found, _ = devices.load_device(table, "ten", DEVICE)
    assert found is not None
    assert (found.fact("name"), found.operator) == ("theirs", {"tags": ["ours"]})


def test_an_online_device_is_due_for_silence_when_its_moment_comes(table: Table) -> None:
    devices.save_device(table, "ten", device(presence="online"), None, START + 60_000)

    early = list(devices.due_for_silence(table, START + 59_999))
    late = list(devices.due_for_silence(table, START + 60_001))

    assert (early, late) == ([], [("ten", DEVICE)])


def test_a_planned_look_stands_unless_it_is_planned_anew(table: Table) -> None:
    devices.save_device(table, "ten", device(presence="online"), None, START + 60_000)
    read, item = devices.load_device(table, "ten", DEVICE)
    assert read is not None
    read.operator = {"name": "x"}

    devices.save_device(table, "ten", read, item, START + 999_000)
    stands = list(devices.due_for_silence(table, START + 60_001))
    _, item = devices.load_device(table, "ten", DEVICE)
    devices.save_device(table, "ten", read, item, START + 999_000, reschedule=True)

    assert stands == [("ten", DEVICE)]
    assert list(devices.due_for_silence(table, START + 60_001)) == []


def test_an_offline_device_is_not_looked_at(table: Table) -> None:
    devices.save_device(table, "ten", device(presence="online"), None, START)
    read, item = devices.load_device(table, "ten", DEVICE)
    assert read is not None
    read.presence = "offline"

    devices.save_device(table, "ten", read, item, START)

    assert list(devices.due_for_silence(table, START + 60_000)) == []


def test_devices_are_listed_newest_first_and_filtered(table: Table) -> None:
    for n in range(5):
        each = Device(
            f"relayr:d{n}", "con_a", START + n, operator={"tags": ["odd"] if n % 2 else []}
        )
        devices.save_device(table, "ten", each, None, START)

    page = devices.devices(
        table, "ten", limit=10, after=None, keep=lambda d: not d.operator["tags"]
    )

    assert [devices.device_of(item).id for item in page.items] == [
        "relayr:d4",
        "relayr:d2",
        "relayr:d0",
    ]


def noise(length: int, seed: int) -> str:
    rng = random.Random(seed)  # noqa: S311 - text that does not compress
    return "".join(chr(rng.randrange(0x10000, 0x30000)) for _ in range(length))


def test_a_device_with_a_thousand_long_texts_still_fits_and_keeps_the_newest(
    table: Table,
) -> None:
    facts = {f"attributes.{n}": (noise(1000, n), START + n, START) for n in range(NAMES_LIMIT)}
    metrics: dict[str, Any] = {
        noise(250, n): {"unit": None, "kind": "gauge", "in": []} for n in range(NAMES_LIMIT)
    }

    devices.save_device(
        table, "ten", device(facts=facts, metrics=metrics, operator={"name": "x"}), None, START
    )

    read, item = devices.load_device(table, "ten", DEVICE)
    assert read is not None
    assert item is not None
    assert len(item["d"]) < ITEM_LIMIT
    assert f"attributes.{NAMES_LIMIT - 1}" in read.facts
    assert read.operator == {"name": "x"}
    assert not devices.save_device(
        table, "ten", device(facts=facts, metrics=metrics, operator={"name": "x"}), item, START
    )


def test_a_state_of_a_thousand_long_names_still_fits_and_keeps_the_newest(table: Table) -> None:
    points = [point(noise(250, n), START + n, note=noise(250, -n)) for n in range(NAMES_LIMIT)]

    devices.save_state(table, "ten", DEVICE, state_with(*points), None)

    state, item = devices.load_state(table, "ten", DEVICE)
    assert item is not None
    assert len(item["d"]) < ITEM_LIMIT
    assert (points[-1].metric,) in state.latest
    assert (points[0].metric,) not in state.latest
