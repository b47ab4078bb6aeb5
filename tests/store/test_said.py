"""What vendors said: stored once, read back as it was said, corrected in place."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.aws import Hub
from chalicelib.model.assembly import (
    Assembly,
    EventRecord,
    FactAt,
    MediaRecord,
    Point,
    Segment,
    SignalRecord,
)
from chalicelib.model.receipts import receipt_id
from chalicelib.model.records import Media
from chalicelib.model.times import DAY
from chalicelib.store import keys, said
from chalicelib.store.said import Provenance
from chalicelib.store.table import Table
from tests.support.fake_aws import FakeAws
from tests.support.simulation import CONFIG
from tests.support.strategies import DEVICE, START, json_values, moments, segments, signals, texts

FIRST = Provenance("con_a", receipt_id("con_a", START, "", b"first"), 1)
AGAIN = Provenance("con_a", receipt_id("con_a", START + 5000, "", b"first"), 2)
FIXED = Provenance("con_a", receipt_id("con_a", START + DAY, "", b"first"), 3)


def fresh_table() -> Table:
    aws = FakeAws()
    return Table(Hub(CONFIG, aws.client, aws.clock))


def stored(table: Table, prefix: str) -> list[dict[str, object]]:
    return list(table.walk(keys.device_pk("ten", DEVICE), prefix, f"{prefix}~"))


def everything() -> Assembly:
    point = Point("temperature", START, 21, "Cel", None, "good", {})
    return Assembly(
        segments=[
            Segment(DEVICE, "k", START, "a", (point,)),
            Segment(DEVICE, "k", START, "b", facts=(FactAt("name", "x", START),)),
        ],
        events=[EventRecord("e1", DEVICE, "relayr.log", START, {"a": 1})],
        media=[MediaRecord("m1", DEVICE, Media(None, "audio", "r", None, START), START)],
        signals=[SignalRecord(DEVICE, "hot", "raise", START, "s1", "hot", "major", None)],
    )


@given(segments())
def test_a_segment_is_read_as_it_was_written(segment: Segment) -> None:
    table = fresh_table()

    said.write(table, "ten", Assembly(segments=[segment]), FIRST)

    (item,) = stored(table, "M#" if segment.points else "F#")
    read = said.segment_of(item)
    assert sorted(read.points, key=repr) == sorted(segment.points, key=repr)
    assert replace(read, points=()) == replace(segment, points=())
    assert said.provenance_of(item) == FIRST


@given(segments())
def test_readings_of_one_series_keep_their_order(segment: Segment) -> None:
    table = fresh_table()
    series = tuple(
        p._replace(metric="relayr.n", unit=None, window_ms=None, quality="good", attributes={})
        for p in segment.points
    )

    said.write(table, "ten", Assembly(segments=[replace(segment, points=series)]), FIRST)

    (item,) = stored(table, "M#" if series else "F#")
    assert said.segment_of(item).points == series


@given(st.tuples(texts, moments, json_values))
def test_an_event_is_read_as_it_was_written(parts: tuple[str, int, object]) -> None:
    kind, at, data = parts
    table, event = fresh_table(), EventRecord("id", DEVICE, kind, at, data)

    said.write(table, "ten", Assembly(events=[event]), FIRST)

    (item,) = stored(table, "E#")
    assert said.event_of(item) == event


@given(signals())
def test_a_signal_is_read_as_it_was_written(signal: SignalRecord) -> None:
    table = fresh_table()

    said.write(table, "ten", Assembly(signals=[signal]), FIRST)

    (item,) = stored(table, "S#")
    assert said.signal_of(item) == signal


@given(texts, texts, moments)
def test_a_media_reference_is_read_as_it_was_written(reference: str, url: str, at: int) -> None:
    table, media = fresh_table(), Media(None, "image", reference, url, at, 2.5, at)

    said.write(table, "ten", Assembly(media=[MediaRecord("id", DEVICE, media, at)]), FIRST)

    (item,) = stored(table, "E!#")
    assert said.media_of(item) == MediaRecord("id", DEVICE, media, at)


def test_writing_twice_leaves_no_second_stream_record_and_the_first_provenance(
    aws: FakeAws, table: Table
) -> None:
    said.write(table, "ten", everything(), FIRST)
    before = len(aws.dynamodb.stream)

    said.write(table, "ten", everything(), replace(AGAIN, adapter_version=1))

    (media,) = aws.dynamodb.stream[before:]  # keeps when it was said last, and says the same
    assert media["dynamodb"]["Keys"]["sk"]["S"].startswith("E!#")
    assert media["dynamodb"]["OldImage"]["d"] == media["dynamodb"]["NewImage"]["d"]
    assert {said.provenance_of(item) for item in stored(table, "E")} == {FIRST}


def test_an_older_link_of_a_clip_does_not_replace_a_later_one(table: Table) -> None:
    def clip(url: str) -> Assembly:
        media = Media(None, "audio", "clip", url, START)
        return Assembly(media=[MediaRecord("id", DEVICE, media, START)])

    for url, source in (("1", FIRST), ("2", AGAIN), ("1", FIRST)):
        said.write(table, "ten", clip(url), source)

    (item,) = stored(table, "E!#")
    assert said.media_of(item).media.url == "2"
    assert said.provenance_of(item).receipt_id == FIRST.receipt_id


def test_a_newer_adapter_that_says_the_same_changes_no_data(aws: FakeAws, table: Table) -> None:
    said.write(table, "ten", everything(), FIRST)
    before = len(aws.dynamodb.stream)

    said.write(table, "ten", everything(), AGAIN)

    later = [record["dynamodb"] for record in aws.dynamodb.stream[before:]]
    assert later
    assert all(image["OldImage"]["d"] == image["NewImage"]["d"] for image in later)


def test_history_is_corrected_under_its_key_and_keeps_where_it_came_from(
    aws: FakeAws, table: Table
) -> None:
    wrong = everything()
    right = everything()
    right.segments[0] = replace(
        wrong.segments[0], points=(wrong.segments[0].points[0]._replace(value=70),)
    )
    said.write(table, "ten", wrong, FIRST)

    said.write(table, "ten", right, FIXED)

    (item,) = stored(table, "M#")
    assert said.segment_of(item).points[0].value == 70
    assert said.provenance_of(item) == replace(FIRST, adapter_version=3)
    changed = [r["dynamodb"] for r in aws.dynamodb.stream if "OldImage" in r["dynamodb"]]
    different = [c for c in changed if c["OldImage"]["d"] != c["NewImage"]["d"]]
    assert [c["Keys"]["sk"]["S"][:2] for c in different] == ["M#"]


def test_items_expire_400_days_after_their_first_arrival(table: Table) -> None:
    said.write(table, "ten", everything(), FIRST)
    said.write(table, "ten", everything(), AGAIN)

    moments_of_end = {item["expires_at"] for item in stored(table, "E") + stored(table, "M#")}

    assert moments_of_end == {(START + 400 * DAY) // 1000}
    assert all("expires_at" not in item for item in stored(table, "S#"))


def test_tenants_share_no_item(table: Table) -> None:
    said.write(table, "ten", everything(), FIRST)

    assert list(table.walk(keys.device_pk("other", DEVICE))) == []
