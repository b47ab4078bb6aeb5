"""The archive: every payload is found by its receipt and by its time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chalicelib import archive
from chalicelib.aws import Hub
from chalicelib.model.envelope import Envelope, arrived, from_json
from chalicelib.model.receipts import receipt_id
from chalicelib.model.times import HOUR, hour_of
from tests.support.fake_aws import FakeAws
from tests.support.simulation import CONFIG
from tests.support.strategies import START

DAWN = hour_of(START)


def payload(at: int, body: bytes = b"{}", connection: str = "con_a") -> Envelope:
    return arrived(connection, at, body, "topic", {})


def test_a_payload_is_found_by_its_receipt(hub: Hub) -> None:
    batch = [payload(DAWN + n, b"%d" % n) for n in range(5)]
    archive.keep(hub, "ten", batch)
    archive.keep(hub, "ten", [payload(DAWN + 2, b"another batch")])

    assert [archive.find(hub, "ten", each.receipt_id) for each in batch] == batch


def test_a_receipt_of_nothing_finds_nothing(hub: Hub) -> None:
    archive.keep(hub, "ten", [payload(DAWN)])

    assert archive.find(hub, "ten", "nonsense") is None
    assert archive.find(hub, "ten", receipt_id("con_a", DAWN, "", b"other")) is None
    assert archive.find(hub, "other", payload(DAWN).receipt_id) is None


def test_a_retried_batch_overwrites_its_own_object(aws: FakeAws, hub: Hub) -> None:
    batch = [payload(DAWN + n) for n in range(3)]

    archive.keep(hub, "ten", batch)
    archive.keep(hub, "ten", reversed(batch))

    assert len(aws.s3.objects) == 1
    assert len(list(archive.walk(hub, "ten", "con_a", DAWN, DAWN + HOUR))) == 3


def test_a_batch_is_one_object_for_each_connection_and_hour(aws: FakeAws, hub: Hub) -> None:
    archive.keep(
        hub,
        "ten",
        [payload(DAWN), payload(DAWN + 1), payload(DAWN + HOUR), payload(DAWN, connection="con_b")],
    )

    folders = sorted(key.rsplit("/", 1)[0] for key in aws.s3.objects)
    assert len(folders) == len(set(folders)) == 3


@given(
    st.lists(st.integers(0, 5 * HOUR), max_size=20, unique=True),
    st.integers(-HOUR, 6 * HOUR),
    st.integers(-HOUR, 6 * HOUR),
)
def test_a_range_yields_each_payload_of_it_once(moments: list[int], start: int, end: int) -> None:
    aws = FakeAws()
    hub = Hub(CONFIG, aws.client, aws.clock)
    batch = [payload(DAWN + each) for each in moments]
    archive.keep(hub, "ten", batch)
    archive.keep(hub, "ten", batch[:3])  # some of them came again in another batch

    found = list(archive.walk(hub, "ten", "con_a", DAWN + start, DAWN + end))

    assert [each.received_at - DAWN for each in found] == sorted(
        m for m in moments if start <= m < end
    )


@given(st.lists(st.lists(st.integers(0, 3 * HOUR), min_size=1, max_size=4), max_size=8))
def test_a_walk_is_in_order_of_arrival_and_goes_on_behind_any_place(spans: list[list[int]]) -> None:
    aws = FakeAws()
    hub = Hub(CONFIG, aws.client, aws.clock)
    batches = [[payload(DAWN + at, b"%d" % (at % 3)) for at in moments] for moments in spans]
    for batch in batches:
        archive.keep(hub, "ten", batch)
    expected = sorted({each.receipt_id: each for b in batches for each in b}.values(), key=_place)

    found = list(archive.walk(hub, "ten", "con_a", DAWN, DAWN + 4 * HOUR))

    assert found == expected
    for number, each in enumerate(found):
        rest = archive.walk(
            hub, "ten", "con_a", DAWN, DAWN + 4 * HOUR, after=archive.place_of(each)
        )
        assert list(rest) == expected[number + 1 :]


def _place(envelope: Envelope) -> tuple[int, str]:
    return archive.place_of(envelope)


def test_a_large_body_waits_in_the_archive_and_comes_back_whole(hub: Hub) -> None:
    whole = payload(DAWN, b"x" * 3_000_000)
    pointer = archive.park(hub, whole.receipt_id, whole.body)

    travelled = from_json(whole.pointing(pointer).to_json())

    assert len(whole.pointing(pointer).to_json()) < 500
    assert archive.whole(hub, travelled) == whole
    assert archive.whole(hub, whole) is whole


def test_bytes_that_are_no_text_are_kept_as_they_are(hub: Hub) -> None:
    damaged = payload(DAWN, bytes(range(256)) * 10)
    archive.keep(hub, "ten", [damaged])

    found = archive.find(hub, "ten", damaged.receipt_id)

    assert found == damaged
