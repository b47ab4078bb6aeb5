"""From what an adapter says to what is stored: ids, times, ranges, secrets, sizes."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest

from chalicelib.model.assembly import (
    DEVICE_LIMIT,
    LINK_LIMIT,
    NAME_LIMIT,
    POINTS_PER_SEGMENT,
    TEXT_LIMIT,
    Assembly,
    assemble,
    measurement_id,
)
from chalicelib.model.decode import decode
from chalicelib.model.records import AlertSignal, Event, Fact, Measurement, Media, Record, Rejected
from chalicelib.model.times import DAY, FIRST, HOUR
from chalicelib.model.views import describe, measurement_json
from chalicelib.store.said import _pack_media, _pack_segment
from chalicelib.store.table import pack
from chalicelib.vendors import Item, Outcome

NOON = 1_769_860_800_000
CONNECTION = "con_a"
ITEM_ROOM = 380 * 1024  # of the 400 KB of an item, without its keys


def assembled(
    *records: Record,
    body: Any = None,
    kind: str = "k",
    received_at: int = NOON,
    settings: dict[str, Any] | None = None,
) -> Assembly:
    outcomes = [Outcome(Item(kind, body, "$[0]"), records)]
    return assemble("relayr", CONNECTION, received_at, outcomes, settings)


def measured(value: Any = 21, at: int | None = NOON, **more: Any) -> Measurement:
    return Measurement("d1", more.pop("metric", "temperature"), value, at, **more)


def rejected(assembly: Assembly) -> list[tuple[str, Any, str]]:
    data = [e.data for e in assembly.events if e.type == "measurement.rejected"]
    return [(row["metric"], row["value"], row["reason"]) for row in data]


def test_ids_are_equal_for_1_and_1_0_and_for_any_key_order() -> None:
    records: list[Record] = [
        measured(),
        Event("d1", "e", NOON, {"a": 1}),
        AlertSignal("d1", "k", "raise", NOON),
    ]
    bodies = [decode(text) for text in (b'{"a": 1, "b": 2}', b'{"b": 2.0, "a": 1.0}')]

    one, other = (assembled(*records, body=body) for body in bodies)

    assert one == other


def test_another_item_has_another_name_although_it_says_the_same() -> None:
    one, other = (assembled(measured(), Event("d1", "e", NOON, {}), body=n) for n in (1, 2))

    assert one.segments[0].digest != other.segments[0].digest
    assert one.events[0].id != other.events[0].id


def test_an_items_identity_stands_for_its_body() -> None:
    def named(body: Any) -> Assembly:
        outcomes = [Outcome(Item("k", body, "$", identity="id-7"), (measured(),))]
        return assemble("relayr", CONNECTION, NOON, outcomes)

    assert named({"gateway": 1}) == named({"gateway": 2})


def test_a_measurements_id_does_not_depend_on_what_it_says() -> None:
    (first,) = assembled(measured(21, unit="Cel")).segments[0].points
    (second,) = assembled(measured(-3, quality="bad")).segments[0].points
    (apart,) = assembled(measured(21, attributes={"class": "car"})).segments[0].points

    assert measurement_id("relayr:d1", first) == measurement_id("relayr:d1", second)
    assert measurement_id("relayr:d1", first) != measurement_id("relayr:d1", apart)
    assert measurement_id("relayr:d1", first) != measurement_id("relayr:d2", first)


def test_a_spot_is_occupied_whatever_stands_in_it() -> None:
    (car,) = (
        assembled(measured(True, metric="occupied", attributes={"class": "car"})).segments[0].points
    )

    assert car.discriminator == ()


def test_without_a_time_arrival_counts_and_is_named() -> None:
    (segment,) = assembled(measured(at=None)).segments

    assert segment.points[0].at == NOON
    assert segment.points[0].attributes == {"time_source": "received"}


def test_with_a_time_arrival_changes_nothing() -> None:
    records: list[Record] = [
        measured(),
        Fact("d1", "name", "x", NOON),
        Event("d1", "e", NOON, {}),
        Media("d1", "audio", "r", None, NOON),
        AlertSignal("d1", "k", "clear", NOON),
    ]

    assert assembled(*records, received_at=NOON) == assembled(*records, received_at=NOON + DAY // 2)


def test_a_time_more_than_a_day_ahead_is_suspect() -> None:
    found = assembled(
        measured(at=NOON + DAY),
        measured(at=NOON + DAY + 1),
        measured(at=NOON + 2 * DAY, quality="bad"),
    )

    qualities = [point.quality for segment in found.segments for point in segment.points]
    assert sorted(qualities) == ["bad", "good", "suspect"]


@pytest.mark.parametrize(
    ("metric", "value", "shown", "reason"),
    [
        ("temperature", 1001, 1001, "outside -273.15..1000 Cel"),
        ("temperature", math.nan, "NaN", "not a finite number"),
        ("temperature", -math.inf, "-Infinity", "not a finite number"),
        ("temperature", True, True, "not a number"),
        ("occupied", 1, 1, "not a boolean"),
        ("relayr.rpm", math.inf, "Infinity", "not a finite number"),
    ],
)
def test_an_impossible_value_becomes_an_event_and_spares_its_siblings(
    metric: str, value: Any, shown: Any, reason: str
) -> None:
    found = assembled(
        measured(value, metric=metric, attributes={"cell": 3, "note": "x"}), measured(20)
    )

    assert rejected(found) == [(metric, shown, reason)]
    assert found.events[0].data["cell"] == 3
    assert "note" not in found.events[0].data
    assert [point.value for point in found.segments[0].points] == [20]


def test_two_impossible_values_of_one_item_are_two_events() -> None:
    found = assembled(measured(9999), measured(8888))

    assert len({event.id for event in found.events}) == 2


def test_an_integer_beyond_2_to_the_53_is_stored_as_a_double() -> None:
    (segment,) = assembled(
        measured(2**53 + 1, metric="relayr.n"), measured(2**53, metric="relayr.m")
    ).segments

    assert [(p.value, type(p.value)) for p in segment.points] == [(2.0**53, float), (2**53, int)]


def test_secrets_and_identifiers_are_stored_nowhere() -> None:
    records: list[Record] = [
        measured(1, metric="relayr.door.apiKey"),
        measured(2, metric="relayr.modem.imsi"),
        Fact("d1", "attributes.wifi.password", "hunter2", NOON),
        Fact("d1", "attributes.imei", "490154203237518", NOON),
        Event("d1", "relayr.log", NOON, {"token": "t", "imei": "i", "line": "ok"}),
    ]

    found = assembled(*records)
    allowed = assembled(*records, settings={"allow_identifiers": True})

    assert found.segments == []
    assert found.events[0].data == {"line": "ok"}
    assert [p.metric for p in allowed.segments[0].points] == ["relayr.modem.imsi"]
    assert [f.path for f in allowed.segments[0].facts] == ["attributes.imei"]
    assert allowed.events[0].data == {"imei": "i", "line": "ok"}


def test_what_a_payload_says_of_one_device_kind_and_hour_is_one_segment() -> None:
    records = [measured(n, at=NOON + n * 1000) for n in range(3)]
    records += [measured(9, at=NOON - 1), measured(8, at=NOON + HOUR)]

    found = assembled(*records, Fact("d1", "name", "x", NOON + 5))

    assert [(s.first, len(s.points), len(s.facts)) for s in found.segments] == [
        (NOON, 3, 1),
        (NOON - 1, 1, 0),
        (NOON + HOUR, 1, 0),
    ]


def test_devices_and_kinds_are_kept_apart() -> None:
    outcomes = [
        Outcome(
            Item("a", 1),
            (Measurement("d1", "relayr.x", 1, NOON), Measurement("d2", "relayr.x", 1, NOON)),
        ),
        Outcome(Item("b/ü", 2), (Measurement("d1", "relayr.x", 1, NOON),)),
    ]

    found = assemble("relayr", CONNECTION, NOON, outcomes)

    assert [(s.device_id, s.kind) for s in found.segments] == [
        ("relayr:d1", "a"),
        ("relayr:d2", "a"),
        ("relayr:d1", "b__"),
    ]


@pytest.mark.parametrize("device", [None, ""])
def test_a_record_without_a_device_belongs_to_its_connection(device: str | None) -> None:
    found = assembled(Event(device, "relayr.log", NOON, {}))

    assert found.events[0].device_id == "relayr:connection.con_a"


def test_a_parent_is_named_as_a_device_of_the_same_vendor() -> None:
    (segment,) = assembled(Fact("d1", "parent_id", "p1", NOON)).segments

    assert segment.facts[0].value == "relayr:p1"


def test_a_bad_item_does_not_take_its_siblings_along() -> None:
    outcomes = [
        Outcome(Item("k", 1, "$[0]"), rejected=Rejected("$[0].value", "no number")),
        Outcome(Item("k", 2, "$[1]"), (measured(),)),
    ]

    found = assemble("relayr", CONNECTION, NOON, outcomes)

    assert found.rejected == [Rejected("$[0].value", "no number")]
    assert len(found.segments) == 1


def fits(assembly: Assembly) -> bool:
    sizes = [len(_pack_segment(segment)) for segment in assembly.segments]
    sizes += [len(pack([event.type, event.data])) for event in assembly.events]
    sizes += [len(_pack_media(media)) for media in assembly.media]
    return max(sizes, default=0) < ITEM_ROOM


def noise(length: int, seed: int = 1) -> str:
    """Return text that does not compress."""
    rng = random.Random(seed)  # noqa: S311 - noise, not a secret
    return "".join(chr(rng.randrange(0x10000, 0x30000)) for _ in range(length))


def test_many_points_become_several_segments_that_lose_none() -> None:
    count = 2 * POINTS_PER_SEGMENT + 1
    records = [measured(n / 100, at=NOON + n, metric="relayr.n") for n in range(count)]

    found = assembled(*records, Fact("d1", "name", "x", NOON))

    assert len(found.segments) == 3
    assert [point.value for s in found.segments for point in s.points] == [
        n / 100 for n in range(count)
    ]
    assert [len(s.facts) for s in found.segments] == [1, 0, 0]
    assert len({s.digest for s in found.segments}) == 3


def test_long_names_split_a_segment_before_it_is_too_large_for_the_table() -> None:
    records: list[Record] = [
        measured(n, metric="relayr." + noise(NAME_LIMIT - 10, n)) for n in range(1200)
    ]
    records += [Fact("d1", f"attributes.{n}", noise(5000, n), NOON) for n in range(600)]

    found = assembled(*records)

    assert fits(found)
    assert sum(len(s.points) for s in found.segments) == 1200
    assert sum(len(s.facts) for s in found.segments) == 600
    assert len({(s.first, s.digest, bool(s.points)) for s in found.segments}) == len(found.segments)


def test_facts_alone_split_as_well() -> None:
    records = [Fact("d1", f"attributes.{n}", noise(TEXT_LIMIT, n), NOON) for n in range(300)]

    found = assembled(*records)

    assert fits(found)
    assert len(found.segments) > 1
    assert sum(len(s.facts) for s in found.segments) == 300


def test_a_name_longer_than_its_limit_is_refused_and_its_value_kept_as_an_event() -> None:
    found = assembled(measured(1, metric="relayr." + "x" * NAME_LIMIT))

    assert found.segments == []
    assert rejected(found) == [
        (("relayr." + "x" * NAME_LIMIT)[:NAME_LIMIT], 1, "a name longer than 255 characters")
    ]


def test_a_huge_text_is_cut_where_it_is_an_attribute() -> None:
    (segment,) = assembled(Fact("d1", "attributes.note", "x" * 4_000_000, NOON)).segments

    assert segment.facts[0].value == "x" * TEXT_LIMIT


def test_a_huge_event_is_quarantined_and_a_large_one_fits() -> None:
    huge = assembled(Event("d1", "e", NOON, {"text": "x" * 300_000}), measured())
    large = assembled(Event("d1", "e" * 9000, NOON, {"text": noise(20_000)}))

    assert huge.events == []
    assert huge.rejected == [Rejected("$[0]", "an event of more than 262144 characters")]
    assert len(huge.segments) == 1
    assert len(large.events) == 1
    assert fits(large)


@pytest.mark.parametrize(
    "device", ["x" * (DEVICE_LIMIT + 1), "ü" * (DEVICE_LIMIT // 2 + 1), "\U0001f600" * 226]
)
def test_a_device_id_too_long_for_a_key_is_quarantined(device: str) -> None:
    found = assembled(Measurement(device, "relayr.x", 1, NOON))

    assert found == Assembly(rejected=[Rejected("$[0]", "the device id is too long")])


def test_a_parent_id_too_long_for_a_key_is_left_out() -> None:
    found = assembled(Fact("d1", "parent_id", "x" * (DEVICE_LIMIT + 1), NOON), measured())

    assert [s.facts for s in found.segments] == [()]


def test_a_device_id_at_its_limit_is_taken() -> None:
    assert assembled(Measurement("x" * DEVICE_LIMIT, "relayr.x", 1, NOON)).rejected == []


@pytest.mark.parametrize(
    ("reference", "url"), [("x" * (LINK_LIMIT + 1), None), ("x", "y" * (LINK_LIMIT + 1))]
)
def test_a_huge_media_reference_is_quarantined(reference: str, url: str | None) -> None:
    found = assembled(Media("d1", "image", reference, url, NOON))

    assert found.media == []
    assert [bad.path for bad in found.rejected] == ["$[0]"]


def test_long_texts_of_a_signal_and_of_a_refusal_are_cut() -> None:
    signal = AlertSignal("d1", "k" * 9000, "raise", NOON, "n" * 9000, "major", "m" * 9000)
    outcomes = [
        Outcome(Item("k", 1), rejected=Rejected("p" * 9000, "r" * 9000)),
        Outcome(Item("k", 2), (signal,)),
    ]

    found = assemble("relayr", CONNECTION, NOON, outcomes)

    (kept,) = found.signals
    assert (len(kept.key), len(kept.name or ""), len(kept.message or "")) == (255, 255, 1024)
    assert found.rejected == [Rejected("p" * 1024, "r" * 1024)]


def test_a_window_before_the_first_year_begins_with_it() -> None:
    (segment,) = assembled(measured(at=FIRST + 5, window_ms=60_000)).segments

    window = measurement_json("relayr:d1", segment.points[0])["window"]

    assert window == {"start": "0001-01-01T00:00:00.000Z", "end": "0001-01-01T00:00:00.005Z"}


def test_everything_described_is_json() -> None:
    found = assembled(
        measured(window_ms=5),
        measured(math.nan),
        Fact("d1", "attributes.n", math.inf, NOON),
        Event("d1", "e", NOON, [math.inf]),
        Media("d1", "audio", "r", "u", NOON, 1.5, NOON),
        AlertSignal("d1", "k", "raise", NOON, "n"),
        AlertSignal("d1", "k", "clear", NOON + 1),
    )

    rows = json.loads(json.dumps(describe(found), allow_nan=False))

    assert sorted(row["record"] for row in rows) == [
        "event",
        "event",
        "fact",
        "measurement",
        "media",
        "signal",
        "signal",
    ]
