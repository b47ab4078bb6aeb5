"""What follows of a device: the same, whatever the order and repetition of what was said."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.model.assembly import FactAt, Point
from chalicelib.model.state import NAMES_LIMIT, Device, Heard, State
from chalicelib.model.times import DAY
from tests.support.strategies import START

SILENT = 600_000


def point(value: Any, second: int, metric: str = "temperature", **attributes: Any) -> Point:
    return Point(metric, START + second * 1000, value, "Cel", None, "good", attributes)


@st.composite
def heard(draw: st.DrawFn) -> Heard:
    """One stored item; what was received at one moment is one item, as a receipt is."""
    arrival = START + draw(st.integers(0, 10)) * 100_000
    rng = random.Random(arrival)  # noqa: S311 - the same arrival says the same
    at = [arrival + rng.choice((0, -1000, -50_000, -SILENT - 1, DAY, DAY + 1)) for _ in range(3)]
    about = rng.random() < 0.3
    points = tuple(
        Point(
            rng.choice(("a", "b")),
            moment,
            rng.choice((1, 2.5, True)),
            rng.choice((None, "1")),
            None,
            "good",
            {},
        )
        for moment in ([] if about else at)
    )
    shown = rng.choice(
        (
            (),
            (("presence", "online"),),
            (("presence", "offline"), ("name", "x")),
            (("name", arrival),),
        )
    )
    facts = () if about else tuple(FactAt(path, value, rng.choice(at)) for path, value in shown)
    moments = (
        at[:1]
        if about
        else [*(p.at for p in points), *(f.at for f in facts if f.value != "offline")]
    )
    return Heard(
        tuple(moments), arrival, "con_a", rng.choice("kl"), points, facts, about, f"rcp_{arrival}"
    )


def state_of(items: list[Heard]) -> State:
    state = State()
    for each in items:
        state.hear(each, SILENT)
    return state


def device_of(items: list[Heard]) -> Device:
    device = Device("relayr:d1", "con_a", START)
    for each in items:
        device.hear(each)
    return device


def with_repetition(items: list[Heard], rng: random.Random) -> list[Heard]:
    again = items + [each for each in items for _ in range(rng.randint(0, 2))]
    rng.shuffle(again)
    return again


@given(st.lists(heard(), max_size=8), st.randoms(use_true_random=False))
def test_any_order_and_repetition_gives_the_same_state(
    items: list[Heard], rng: random.Random
) -> None:
    one, other = state_of(items), state_of(with_repetition(items, rng))

    assert one == other
    assert (one.presence, one.last_seen) == (other.presence, other.last_seen)


@given(st.lists(heard(), max_size=8), st.randoms(use_true_random=False))
def test_any_order_and_repetition_gives_the_same_device(
    items: list[Heard], rng: random.Random
) -> None:
    assert device_of(items) == device_of(with_repetition(items, rng))


def says(second: int, *facts: FactAt, arrival: int | None = None, about: bool = False) -> Heard:
    at = START + second * 1000
    return Heard((at,), at if arrival is None else arrival, "con_a", facts=facts, about=about)


def presence(value: str, second: int) -> Heard:
    at = START + second * 1000
    moments = (at,) if value == "online" else ()
    return Heard(moments, at, "con_a", facts=(FactAt("presence", value, at),))


def test_a_device_nobody_heard_of_is_unknown() -> None:
    assert State().presence == "unknown"
    assert State().last_seen is None


def test_a_record_brings_a_device_online() -> None:
    state = state_of([says(0)])

    assert state.presence == "online"
    assert state.last_seen == START


def test_newer_evidence_of_presence_wins_in_either_order() -> None:
    for items in ([presence("offline", 5), says(9)], [says(9), presence("offline", 5)]):
        assert state_of(items).presence == "online"
    for items in ([says(3), presence("offline", 5)], [presence("offline", 5), says(3)]):
        assert state_of(items).presence == "offline"


def test_at_one_moment_what_is_stated_outranks_what_is_implied() -> None:
    for items in ([says(5), presence("offline", 5)], [presence("offline", 5), says(5)]):
        assert state_of(items).presence == "offline"


def test_a_record_older_than_the_silence_tells_nothing_of_the_presence_now() -> None:
    state = state_of([says(0, arrival=START + SILENT + 1)])

    assert state.presence == "unknown"
    assert state.last_seen == START


def test_a_missed_heartbeat_is_no_sign_of_life_in_either_order() -> None:
    missed = [presence("offline", 5), says(5, about=True)]

    for items in ([says(1), *missed], [*reversed(missed), says(1)]):
        state = state_of(items)
        assert (state.presence, state.last_seen) == ("offline", START + 1000)


def test_any_other_alert_is_a_sign_of_life() -> None:
    state = state_of([says(5, about=True)])

    assert (state.presence, state.last_seen) == ("online", START + 5000)


def test_silence_takes_a_device_offline_and_a_newer_record_brings_it_back() -> None:
    state = state_of([says(5)])

    state.silent()
    silent = state.presence
    state.hear(says(6), SILENT)

    assert (silent, state.presence) == ("offline", "online")


def test_silence_is_undone_by_a_record_that_came_before_it_was_noticed() -> None:
    early, late = state_of([says(5)]), state_of([says(5), says(6)])

    early.silent()
    early.hear(says(6), SILENT)

    assert early.presence == late.presence == "online"


def test_what_was_heard_before_the_silence_does_not_undo_it() -> None:
    state = state_of([says(5)])

    state.silent()
    state.hear(says(5), SILENT)
    state.hear(says(3), SILENT)

    assert state.presence == "offline"


def test_the_latest_value_of_each_metric_and_discriminator_is_kept() -> None:
    items = [
        Heard((), START, "con_a", points=(point(1, 0), point(3, 2), point(2, 1))),
        Heard((), START + 1, "con_a", points=(point(9, 5, "people_count", **{"class": "a"}),)),
        Heard((), START + 2, "con_a", points=(point(8, 5, "people_count", **{"class": "b"}),)),
    ]

    values = {name: row[0].value for name, row in state_of(items).latest.items()}

    assert values == {
        ("temperature",): 3,
        ("people_count", ("class", "a")): 9,
        ("people_count", ("class", "b")): 8,
    }


def test_of_one_moment_the_value_that_arrived_last_counts_in_either_order() -> None:
    early = Heard((), START, "con_a", points=(point(1, 0), point(2, 0)))
    late = Heard((), START + 1, "con_a", points=(point(3, 0), point(4, 0)))

    for items in ([early, late, early], [late, early]):
        assert state_of(items).latest["temperature",][0].value == 4


def test_what_is_more_than_a_day_ahead_enters_neither_values_nor_last_seen_nor_facts() -> None:
    ahead = START + DAY + 1
    far = Heard(
        (ahead,),
        START,
        "con_a",
        points=(point(1, 0)._replace(at=ahead),),
        facts=(FactAt("name", "x", ahead), FactAt("presence", "offline", ahead)),
    )

    state, device = state_of([far]), device_of([far])

    assert (state.latest, state.last_seen, state.presence) == ({}, None, "unknown")
    assert device.facts == {}


def test_a_fact_is_removed_by_null_and_by_nothing_older() -> None:
    def named(value: Any, second: int) -> Heard:
        return Heard((), START, "con_a", facts=(FactAt("attributes.a", value, START + second),))

    for items in ([named("x", 1), named(None, 2)], [named(None, 2), named("x", 1)]):
        assert device_of(items).as_json(None)["attributes"] == {}


def test_an_operators_name_and_place_stand_before_the_vendors() -> None:
    device = device_of(
        [says(0, FactAt("name", "theirs", START), FactAt("location.city", "Oslo", START))]
    )

    device.operator = {"name": "ours", "location": {"city": "Bergen", "room": "1"}, "tags": ["a"]}

    shown = device.as_json(None)
    assert (shown["name"], shown["location"]["city"], shown["location"]["room"]) == (
        "ours",
        "Bergen",
        "1",
    )
    assert shown["tags"] == ["a"]


def test_a_metric_that_once_had_a_unit_keeps_it_and_one_of_two_kinds_is_a_gauge() -> None:
    without = Point("relayr.x", START, True, None, None, "good", {})
    stated = Point("relayr.x", START + 1, 2.5, "bar", None, "good", {})

    for points in ((without, stated), (stated, without)):
        device = device_of([Heard((), START, "con_a", "k", points)])
        assert device.as_json(None)["metrics"] == {"relayr.x": {"unit": "bar", "kind": "gauge"}}


def test_a_payload_with_a_million_names_gives_a_device_no_more_than_its_limit() -> None:
    points = tuple(point(1, 0, f"relayr.{n}") for n in range(NAMES_LIMIT + 10))
    facts = tuple(FactAt(f"attributes.{n}", "x", START) for n in range(NAMES_LIMIT + 10))
    item = Heard((), START, "con_a", "k", points, facts)

    state, device = state_of([item]), device_of([item])

    assert len(state.latest) == NAMES_LIMIT
    assert (len(device.metrics), len(device.facts)) == (NAMES_LIMIT, NAMES_LIMIT)


@given(st.lists(heard(), max_size=8), st.randoms(use_true_random=False))
def test_a_device_settled_after_every_item_knows_what_one_that_heard_all_at_once_knows(
    items: list[Heard], rng: random.Random
) -> None:
    device = Device("relayr:d1", "con_a", START)
    confirmed: dict[str, tuple[int, int]] = {}

    for each in with_repetition(items, rng):
        stored = dict(device.facts)
        device.recall(confirmed)
        device.hear(each)
        confirmed = device.settle(stored)

    device.recall(confirmed)
    assert device == device_of(items)


def test_a_fact_said_again_leaves_the_device_as_it_is_stored() -> None:
    device = device_of([says(0, FactAt("name", "x", START))])
    stored = dict(device.facts)

    device.hear(says(9, FactAt("name", "x", START + 9000)))
    later = device.settle(stored)

    assert device.facts == stored
    assert later == {"name": (START + 9000, START + 9000)}


def test_a_late_fact_does_not_beat_one_that_was_said_again_after_it() -> None:
    device = device_of([says(0, FactAt("name", "x", START))])
    confirmed = {"name": (START + 9000, START + 9000)}

    device.recall(confirmed)
    device.hear(says(5, FactAt("name", "y", START + 5000)))

    assert device.fact("name") == "x"
