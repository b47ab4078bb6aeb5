from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.dispatch import entry
from chalicelib.model.alerts import Alert
from chalicelib.model.assembly import (
    Assembly,
    EventRecord,
    FactAt,
    MediaRecord,
    Point,
    Segment,
    SignalRecord,
)
from chalicelib.model.records import Media
from chalicelib.model.state import Device
from chalicelib.store import alerts, devices, said
from chalicelib.store.changes import changes
from chalicelib.store.said import Provenance
from chalicelib.store.table import Key, unmarshal
from tests.support.world import QUEUE, TENANT, World

AT = 1_790_000_000_000
SOURCE = Provenance("con_a", "rcp_19c13bd3e80_a_00112233445566778899", 1)
DEVICE = "acme:d1"


def point(value: Any, at: int = AT, metric: str = "temperature", **extra: Any) -> Point:
    fields: dict[str, Any] = {"unit": "Cel", "window_ms": None, "quality": "good", "attributes": {}}
    return Point(metric, at, value, **(fields | extra))


def segment(*points: Point, name: str = "s") -> Assembly:
    return Assembly(segments=[Segment(DEVICE, "k", AT, name, points)])


class Stream:
    """Writes into a world's table and tells what each write means."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.seen = 0

    def records(self) -> list[dict[str, Any]]:
        stream = self.world.aws.dynamodb.stream
        found, self.seen = stream[self.seen :], len(stream)
        return [{**r, "dynamodb": _as_lambda(r["dynamodb"])} for r in found]

    def said(self, assembly: Assembly, source: Provenance = SOURCE) -> list[dict[str, Any]]:
        said.write(self.world.table, TENANT, assembly, source)
        return self.events()

    def events(self) -> list[dict[str, Any]]:
        found = []
        for record in self.records():
            image = record["dynamodb"]
            old = unmarshal(image["OldImage"]) if "OldImage" in image else None
            made = [list(changes(old, unmarshal(image["NewImage"]), AT)) for _ in range(2)]
            assert made[0] == made[1]
            found += made[0]
        return found


def _as_lambda(image: dict[str, Any]) -> dict[str, Any]:
    def text(item: dict[str, Any]) -> dict[str, Any]:
        return {
            name: {"B": base64.b64encode(typed["B"]).decode()} if "B" in typed else typed
            for name, typed in item.items()
        }

    return {n: text(v) if n.endswith("Image") else v for n, v in image.items()}


@pytest.fixture
def stream(world: World) -> Stream:
    return Stream(world)


def test_every_new_point_is_recorded_with_its_provenance(stream: Stream) -> None:
    found = stream.said(segment(point(1), point(2, AT + 1), point(value=True, metric="occupied")))

    assert [e["type"] for e in found] == ["measurement.recorded"] * 3
    assert len({e["id"] for e in found}) == 3
    first = found[0]
    assert first["source"] == "/vendors/acme/connections/con_a"
    assert (first["specversion"], first["subject"]) == ("1.0", DEVICE)
    assert first["time"] == first["data"]["observed_at"] == "2026-09-21T14:13:20.000Z"
    assert first["datacontenttype"] == "application/json"
    assert first["data"]["provenance"]["receipt_id"] == SOURCE.receipt_id
    assert "." not in first["id"]


def test_saying_it_again_through_another_payload_or_adapter_is_no_change(stream: Stream) -> None:
    stream.said(segment(point(1)))

    other = Provenance("con_a", "rcp_19c13bd3e81_a_00112233445566778899", 2)
    found = stream.said(segment(point(1)), other)

    assert found == []


@pytest.mark.parametrize(
    "changed",
    [
        point(2),
        point(1, unit="K"),
        point(1, quality="suspect"),
        point(1, window_ms=1000),
        point(1, attributes={"note": "x"}),
    ],
)
def test_another_value_of_the_same_measurement_is_a_correction(
    stream: Stream, changed: Point
) -> None:
    before = stream.said(segment(point(1), point(5, AT + 1)))

    found = stream.said(segment(changed, point(5, AT + 1)))

    assert [e["type"] for e in found] == ["measurement.corrected"]
    assert found[0]["id"] != before[0]["id"]
    assert found[0]["data"]["id"] == before[0]["data"]["id"]


def test_the_last_of_duplicates_in_one_segment_counts(stream: Stream) -> None:
    found = stream.said(segment(point(1), point(2)))

    assert [e["data"]["value"] for e in found] == [2]


def test_readings_set_apart_by_an_attribute_are_two_measurements(stream: Stream) -> None:
    cells = [point(1, attributes={"cell": n}) for n in (0, 1)]

    assert len(stream.said(segment(*cells))) == 2


def test_facts_alone_say_nothing_here(stream: Stream) -> None:
    facts = (FactAt("name", "x", AT),)

    assert stream.said(Assembly(segments=[Segment(DEVICE, "k", AT, "f", (), facts)])) == []


def test_an_event_occurs_once(stream: Stream) -> None:
    record = EventRecord("ev1", DEVICE, "acme.door", AT, {"open": True})

    found = stream.said(Assembly(events=[record]))
    again = stream.said(Assembly(events=[record]))
    other = stream.said(Assembly(events=[replace(record, data={"open": False})]))

    assert [e["type"] for e in (*found, *again, *other)] == ["event.occurred"] * 2
    assert found[0]["data"]["type"] == "acme.door"
    assert found[0]["id"] != other[0]["id"]


def test_media_is_added_once(stream: Stream) -> None:
    record = MediaRecord("md1", DEVICE, Media(None, "image", "ref", "https://x.example/", AT), AT)

    found = stream.said(Assembly(media=[record])) + stream.said(Assembly(media=[record]))

    assert [(e["type"], e["data"]["id"]) for e in found] == [("media.added", "md1")]


def signal(action: str, at: int, by: str | None = None) -> Assembly:
    return Assembly(signals=[SignalRecord(DEVICE, "door", action, at, f"{action}{at}", by=by)])


def refolded(stream: Stream, assembly: Assembly, at: int) -> list[dict[str, Any]]:
    stream.said(assembly)
    alerts.refold(stream.world.table, TENANT, DEVICE, "door", at)
    return stream.events()


def test_an_alert_tells_of_every_turn_of_its_life_once(stream: Stream) -> None:
    raised = refolded(stream, signal("raise", AT), AT)
    noted = refolded(stream, signal("acknowledge", AT + 1000, "ann"), AT + 1000)
    updated = refolded(stream, signal("raise", AT + 2000), AT + 2000)
    cleared = refolded(stream, signal("clear", AT + 3000), AT + 3000)

    found = raised + noted + updated + cleared
    assert [e["type"] for e in found] == ["alert.raised", "alert.acknowledged", "alert.cleared"]
    assert [e["time"][17:23] for e in found] == ["20.000", "21.000", "23.000"]
    assert len({e["id"] for e in found}) == 3
    assert len({e["data"]["id"] for e in found}) == 1
    assert found[2]["data"]["provenance"]["connection_id"] == "con_a"


def test_an_alert_that_is_over_when_it_is_first_known_tells_it_all(stream: Stream) -> None:
    stream.said(signal("clear", AT + 1000))

    found = refolded(stream, signal("raise", AT), AT)

    assert [e["type"] for e in found] == ["alert.raised", "alert.cleared"]
    assert Alert(DEVICE, "door", "", "", None, AT, AT).id == found[0]["data"]["id"]


def saved(stream: Stream, **options: Any) -> list[dict[str, Any]]:
    device, item = devices.load_device(stream.world.table, TENANT, DEVICE)
    device = device or Device(DEVICE, "con_a", AT - 5000)
    for name, value in options.items():
        setattr(device, name, value)
    devices.save_device(stream.world.table, TENANT, device, item, AT)
    return stream.events()


def test_a_device_is_registered_changed_and_comes_and_goes(stream: Stream) -> None:
    first = saved(stream, presence="online")
    named = saved(stream, operator={"name": "Door"})
    gone = saved(stream, presence="offline")
    back = saved(stream, presence="online", operator={"name": "Gate"})
    gone_again = saved(stream, presence="offline")

    found = first + named + gone + back + gone_again
    assert [e["type"] for e in found] == [
        "device.registered",
        "device.online",
        "device.updated",
        "device.offline",
        "device.updated",
        "device.online",
        "device.offline",
    ]
    assert len({e["id"] for e in found}) == 7
    assert found[0]["time"] == "2026-09-21T14:13:15.000Z"
    assert found[2]["time"] == "2026-09-21T14:13:20.000Z"
    assert found[2]["data"]["name"] == "Door"


def dispatched(stream: Stream) -> dict[str, Any]:
    return entry.run({"Records": stream.records()}, stream.world.hub)


def queued(world: World) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    world.until_quiet()
    for sent in world.sent:
        found.setdefault(sent.request.url, []).extend(sent.ids)
    world.sent.clear()
    return found


def test_each_integration_gets_what_its_filter_matches(stream: Stream) -> None:
    world = stream.world
    world.integrate("int_a")
    world.integrate("int_b", filter={"metrics": ["occupied"]})
    world.integrate("int_c", filter={"tags": ["roof"]})
    world.integrate("int_d", enabled=False)
    saved(stream, operator={"tags": ["roof"]})
    said.write(world.table, TENANT, segment(point(1), point(value=True, metric="occupied")), SOURCE)

    assert dispatched(stream) == {"batchItemFailures": []}

    got = queued(world)
    assert {url[8]: len(ids) for url, ids in got.items()} == {"a": 2, "b": 1, "c": 2}


def test_a_change_of_integrations_acts_after_two_seconds(stream: Stream) -> None:
    world = stream.world
    said.write(world.table, TENANT, segment(point(1)), SOURCE)
    dispatched(stream)
    world.integrate()
    world.aws.clock.forward(2000)

    said.write(world.table, TENANT, segment(point(2), name="t"), SOURCE)
    dispatched(stream)

    assert [len(ids) for ids in queued(world).values()] == [1]


def test_a_batch_tried_again_delivers_under_the_same_ids(stream: Stream) -> None:
    world = stream.world
    world.integrate()
    said.write(world.table, TENANT, segment(point(1), point(2, AT + 1)), SOURCE)
    event = {"Records": stream.records()}
    world.aws.faults.before = _fail_once("SendMessageBatch")  # type: ignore[method-assign]

    first = entry.run(event, world.hub)
    second = entry.run(event, world.hub)
    entry.run(event, world.hub)

    number = event["Records"][0]["dynamodb"]["SequenceNumber"]
    assert first == {"batchItemFailures": [{"itemIdentifier": number}]}
    assert second == {"batchItemFailures": []}
    (ids,) = queued(world).values()
    assert len(ids) == 4
    assert len(set(ids)) == 2


def test_what_stands_before_a_broken_change_does_not_wait_for_it(stream: Stream) -> None:
    world = stream.world
    world.integrate()
    said.write(world.table, TENANT, segment(point(1)), SOURCE)
    world.table.put(Key(f"T#{TENANT}#D#{DEVICE}", "M#broken"), {"d": b"{"})
    said.write(world.table, TENANT, segment(point(2), name="t"), SOURCE)
    records = stream.records()

    answer = entry.run({"Records": records}, world.hub)

    broken = next(r for r in records if r["dynamodb"]["Keys"]["sk"]["S"] == "M#broken")
    number = broken["dynamodb"]["SequenceNumber"]
    assert answer == {"batchItemFailures": [{"itemIdentifier": number}]}
    assert [len(ids) for ids in queued(world).values()] == [1]
    assert not world.aws.sqs.queues[QUEUE]


def _fail_once(operation: str) -> Any:
    left = [operation]

    def before(name: str) -> None:
        if name in left:
            left.remove(name)
            raise TimeoutError(name)

    return before
