"""Any one leaf of any example replaced by anything: never an error, never an impossible value stored."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any

import pytest

from chalicelib import vendors
from chalicelib.model.assembly import Assembly, assemble
from chalicelib.model.metrics import METRICS, refusal
from chalicelib.model.records import SEVERITIES
from chalicelib.model.state import Device, Heard, State
from chalicelib.model.views import measurement_json
from chalicelib.project.fold import silent_after
from chalicelib.store import devices, keys, said
from chalicelib.store.table import Key, pack
from chalicelib.vendors import Payload
from tests.support.examples import Example, examples
from tests.support.mutations import Path, anything, leaves_of, replaced

CONNECTION = "con_example"
ITEM_ROOM = 380 * 1024
"""Bytes of an item's packed data: the table takes 400 KB with its keys."""
PARTITION_KEY, SORT_KEY = 2048, 1024


@dataclass
class Subject:
    """An example, taken apart once."""

    example: Example
    payload: Payload
    places: list[tuple[str, Path]]

    def mutated(self, rng: random.Random) -> Payload:
        part, path = rng.choice(self.places)
        new = anything(rng)
        if part == "body":
            return Payload(
                replaced(self.payload.body, path, new),
                self.payload.topic,
                self.payload.query,
                self.payload.settings,
            )
        if part == "topic":
            levels = self.payload.topic.split("/")
            levels[int(path[0])] = str(new)[:300]
            return Payload(
                self.payload.body, "/".join(levels), self.payload.query, self.payload.settings
            )
        if part == "query":
            query = {**self.payload.query, str(path[0]): str(new)[:300]}
            return Payload(self.payload.body, self.payload.topic, query, self.payload.settings)
        settings = replaced(self.payload.settings, path, new)
        return Payload(self.payload.body, self.payload.topic, self.payload.query, settings)


def subjects() -> list[Subject]:
    found: list[Subject] = []
    for each in examples():
        payload = each.payload()
        if payload is None or len(each.body) > 20_000:
            continue
        places: list[tuple[str, Path]] = [("body", path) for path in leaves_of(payload.body)]
        places += [("topic", (n,)) for n in range(len(payload.topic.split("/")))]
        places += [("query", (name,)) for name in payload.query]
        if payload.settings:
            places += [("settings", path) for path in leaves_of(payload.settings)]
        found.append(Subject(each, payload, places))
    return found


def normalized(example: Example, payload: Payload) -> Assembly:
    outcomes = list(vendors.normalize(example.vendor, payload))
    for outcome in outcomes:
        assert outcome.rejected is None or "the adapter failed" not in outcome.rejected.reason
    return assemble(example.vendor, CONNECTION, example.received_at, outcomes, payload.settings)


def check_values(assembly: Assembly) -> None:
    for segment in assembly.segments:
        for point in segment.points:
            assert isinstance(point.value, bool | int | float)
            assert math.isfinite(point.value)
            assert refusal(point.metric, point.value) is None
            if point.metric in METRICS:
                assert point.unit == METRICS[point.metric].unit
            else:
                assert point.metric.startswith(f"{segment.device_id.split(':', 1)[0]}.")
            assert measurement_json(segment.device_id, point)
    for event in assembly.events:
        whose, _, what = event.type.partition(".")
        assert what
        assert whose == event.device_id.split(":", 1)[0] or event.type == "measurement.rejected"
    for signal in assembly.signals:
        assert signal.action != "raise" or signal.severity in SEVERITIES


def check_items(assembly: Assembly) -> None:
    for segment in assembly.segments:
        packed = said._pack_segment(segment)
        where = keys.segment(
            "ten", segment.device_id, segment.kind, segment.first, segment.digest, points=True
        )
        _fits(where, packed)
    for event in assembly.events:
        packed = pack([event.type, event.data])
        _fits(keys.event("ten", event.device_id, event.at, event.id), packed)
    for media in assembly.media:
        _fits(keys.media("ten", media.device_id, media.at, media.id), said._pack_media(media))
    for signal in assembly.signals:
        where = keys.signal("ten", signal.device_id, signal.key, signal.at, signal.digest)
        _fits(where, said._pack_signal(signal))
    for bad in assembly.rejected:
        _fits(Key("q", "q"), pack([bad.reason, bad.path]))


def _fits(where: Key, packed: bytes) -> None:
    assert len(packed) < ITEM_ROOM
    assert len(where.pk.encode()) < PARTITION_KEY - 64  # a tenant's name is longer than ours here
    assert len(where.sk.encode()) < SORT_KEY


def check_folds(example: Example, assembly: Assembly) -> None:
    """What follows of a device can be written as well."""
    for segment in assembly.segments:
        heard = Heard(
            tuple(p.at for p in segment.points),
            example.received_at,
            CONNECTION,
            segment.kind,
            segment.points,
            segment.facts,
        )
        state, device = State(), Device(segment.device_id, CONNECTION, example.received_at)
        device.hear(heard)
        state.hear(heard, silent_after(device))
        assert len(devices._pack_state(state)) < ITEM_ROOM
        assert len(devices._pack_device(device)) < ITEM_ROOM
        assert device.as_json(None)["id"] == segment.device_id


def test_any_leaf_replaced_by_anything_does_no_harm(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    rng = random.Random("mutations")  # noqa: S311 - the same run every time
    known = subjects()
    stored = 0

    for number in range(request.config.getoption("--mutations")):
        subject = known[number % len(known)]
        payload = subject.mutated(rng)
        try:
            assembly = normalized(subject.example, payload)
            check_values(assembly)
            check_items(assembly)
            assert normalized(subject.example, payload) == assembly
            if number % 10 == 0:
                check_folds(subject.example, assembly)
        except BaseException as error:
            error.add_note(
                f"{number}: {subject.example.vendor} {subject.example.name}: {payload!r}"[:3000]
            )
            raise
        stored += bool(assembly.segments or assembly.events or assembly.signals or assembly.media)

    assert stored > request.config.getoption("--mutations") // 2
    assert [each for each in caplog.records if each.levelname == "ERROR"] == []


@pytest.mark.parametrize("vendor", vendors.names(example=True))
def test_any_body_at_all_does_no_harm(vendor: str) -> None:
    rng = random.Random(vendor)  # noqa: S311 - the same run every time
    example = next(each for each in examples() if each.vendor == vendor)

    for _ in range(500):
        body: Any = anything(rng)
        assembly = normalized(example, Payload(body, "", {}, {}))
        check_values(assembly)
        check_items(assembly)
        assert normalized(example, Payload(body, "", {}, {})) == assembly
