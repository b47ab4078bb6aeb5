"""The in-memory fakes answer as the embedded AWS does, which is what `make run` and its users see."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib import archive, queues
from chalicelib.aws import Hub
from chalicelib.model.envelope import arrived
from chalicelib.store.table import ConflictError, Key, Plain, Table, position, unmarshal
from tests.support.embedded import Embedded
from tests.support.fake_aws import FakeAws
from tests.support.strategies import START

OPERATIONS = 120
PARTITIONS = ("a", "b")
SORT_KEYS = ("A", "B#1", "B#2", "C", "é", "\U0001f600")


class Pair:
    """The same hub twice: on the embedded AWS and on the fakes."""

    def __init__(self, embedded: Embedded) -> None:
        self.real = embedded.hub()
        self.aws = FakeAws()
        self.fake = Hub(self.real.config, self.aws.client, embedded.clock)

    def same(self, ask: Callable[[Hub], Any]) -> Any:
        """Ask both; return what both say."""
        real, fake = _answer(ask, self.real), _answer(ask, self.fake)
        assert fake == real
        return real

    def table(self, ask: Callable[[Table], Any]) -> Any:
        return self.same(lambda hub: ask(Table(hub)))

    def put(self, key: Key, what: Plain) -> None:
        self.table(lambda table: table.put(key, what))


def _answer(ask: Callable[[Hub], Any], hub: Hub) -> Any:
    try:
        return ask(hub)
    except ConflictError as error:
        return ("conflict", str(error))


def item(rng: random.Random, key: Key) -> Plain:
    """An item whose place in an index, if it has one, is its own, as the hub's are."""
    found: Plain = {
        "d": rng.choice((b"", b"\x00\xff", b"x" * 50)),
        "n": rng.choice((0, -7, 10**15, 1.5)),
    }
    found |= {"t": rng.choice(("", "text", "ü")), "b": rng.random() < 0.5}
    for name in ("g1", "g2"):
        if rng.random() < 0.6:
            found |= {
                f"{name}pk": rng.choice("xy"),
                f"{name}sk": f"{rng.randint(0, 4)}#{key.pk}{key.sk}",
            }
    return {
        name: value for name, value in found.items() if rng.random() < 0.8 or name.startswith("g")
    }


class Sequence:
    """Random operations of a hub on its table."""

    def __init__(self, pair: Pair, rng: random.Random) -> None:
        self.pair = pair
        self.rng = rng
        self.read: list[tuple[Key, Plain | None]] = []

    def step(self) -> str:
        steps = (
            self.put,
            self.replace,
            self.remember,
            self.add,
            self.delete,
            self.get,
            self.get_many,
            self.query,
        )
        step = self.rng.choice((*steps, self.query, self.query))
        step()
        return step.__name__

    def key(self) -> Key:
        return Key(self.rng.choice(PARTITIONS), self.rng.choice(SORT_KEYS))

    def put(self) -> None:
        key = self.key()
        what = item(self.rng, key)
        self.pair.put(key, what)

    def replace(self) -> None:
        key = self.key()
        read = self.pair.table(lambda table: table.get(key))
        if self.read and self.rng.random() < 0.5:
            key, read = self.rng.choice(self.read)  # perhaps outdated
        if read is not None and "ver" not in read:
            read = {**read, "ver": 1}
        what = item(self.rng, key)
        self.pair.table(lambda table: table.replace(key, what, read))

    def remember(self) -> None:
        key = self.key()
        always, once = (
            {"d": self.rng.choice((b"1", b"2")), **self.rng.choice(({}, {"l": 1}, {"l": 2}))},
            {"p": self.rng.choice(("first", "second"))},
        )
        self.pair.table(lambda table: table.remember(key, always, once))

    def add(self) -> None:
        key = self.key()
        numbers = {f"n.{name}": self.rng.randint(1, 5) for name in self.rng.sample("abc", 2)}
        latest = {"at": self.rng.randint(1, 2)}
        self.pair.table(lambda table: table.add(key, numbers, latest))

    def delete(self) -> None:
        key = self.key()
        self.pair.table(lambda table: table.delete(key))

    def get(self) -> None:
        key = self.key()
        self.read.append((key, self.pair.table(lambda table: table.get(key))))

    def get_many(self) -> None:
        keys = [self.key() for _ in range(self.rng.randint(1, 8))]
        self.pair.table(lambda table: table.get_many(keys))

    def query(self) -> None:
        index = self.rng.choice((None, None, "by_time", "by_state"))
        partition = self.rng.choice("xy" if index else PARTITIONS)
        ends = (
            ("", "A", "B", "B#1", "B#~", "Z") if index is None else ("", "0", "1", "2#", "3~", "~")
        )
        low, high = self.rng.choice(ends), self.rng.choice(ends)
        options: dict[str, Any] = {"descending": self.rng.random() < 0.5, "index": index}
        options["limit"] = self.rng.choice((None, 1, 2, 3, 50))
        items, _ = self.pair.table(lambda table: table.query(partition, low, high, **options))
        if items and self.rng.random() < 0.7:
            options["after"] = position(self.rng.choice(items), index)
            self.pair.table(lambda table: table.query(partition, low, high, **options))


def told(records: list[Any]) -> list[tuple[str, Plain, Plain, Plain]]:
    return [
        (
            record["eventName"],
            unmarshal(record["dynamodb"]["Keys"]),
            unmarshal(record["dynamodb"].get("OldImage", {})),
            unmarshal(record["dynamodb"].get("NewImage", {})),
        )
        for record in records
    ]


@pytest.mark.parametrize("seed", range(3))
def test_any_sequence_of_operations_gives_the_same_answers_and_the_same_stream(
    embedded: Embedded, seed: int
) -> None:
    pair = Pair(embedded)
    sequence = Sequence(pair, random.Random(seed))  # noqa: S311 - a schedule, not a secret

    done = {sequence.step() for _ in range(OPERATIONS)}

    assert len(done) == 8
    real = told(embedded.stream(pair.real.config.table))
    assert told(pair.aws.dynamodb.stream) == real
    assert {name for name, *_ in real} == {"INSERT", "MODIFY", "REMOVE"}


def test_a_write_that_changes_nothing_leaves_no_stream_record(embedded: Embedded) -> None:
    pair = Pair(embedded)

    for _ in range(3):
        pair.table(lambda table: table.put(Key("a", "A"), {"d": b"1", "n": 1}))
        pair.table(lambda table: table.remember(Key("a", "B"), {"d": b"1"}, {"p": "x"}))
        pair.table(lambda table: table.delete(Key("a", "C")))

    assert [name for name, *_ in told(pair.aws.dynamodb.stream)] == ["INSERT", "INSERT"]
    assert told(embedded.stream(pair.real.config.table)) == told(pair.aws.dynamodb.stream)


def test_a_range_larger_than_a_page_comes_whole_from_both(embedded: Embedded) -> None:
    pair = Pair(embedded)
    for n in range(5):
        pair.put(Key("a", f"{n}"), {"d": b"x" * 300_000})

    walked = pair.table(lambda table: [row["sk"] for row in table.walk("a")])

    assert walked == ["0", "1", "2", "3", "4"]


def test_pages_of_an_index_survive_writes_between_them(embedded: Embedded) -> None:
    pair = Pair(embedded)
    for n in range(6):
        pair.put(Key("a", f"{n}"), {"g1pk": "x", "g1sk": f"{n}"})
    first, after = pair.table(
        lambda table: table.query("x", index="by_time", limit=2, descending=True)
    )

    pair.table(lambda table: table.delete(Key("a", "4")))  # the very item the page ended with
    pair.table(lambda table: table.put(Key("a", "9"), {"g1pk": "x", "g1sk": "9"}))
    rest, _ = pair.table(
        lambda table: table.query("x", index="by_time", after=after, descending=True)
    )

    assert [row["g1sk"] for row in first + rest] == ["5", "4", "3", "2", "1", "0"]


def test_payloads_are_archived_and_found_alike(embedded: Embedded) -> None:
    pair = Pair(embedded)
    batch = [arrived("con_a", START + n, b"%d" % n * 900) for n in range(4)]

    pair.same(lambda hub: archive.keep(hub, "ten", batch))
    pointer = pair.same(lambda hub: archive.park(hub, batch[0].receipt_id, batch[0].body))

    assert pair.same(lambda hub: archive.find(hub, "ten", batch[3].receipt_id)) == batch[3]
    assert (
        pair.same(lambda hub: list(archive.walk(hub, "ten", "con_a", START, START + 3)))
        == batch[:3]
    )
    travelling = replace(batch[0], body=b"", pointer=pointer)
    assert pair.same(lambda hub: archive.whole(hub, travelling)) == batch[0]


def test_messages_arrive_alike_and_delayed_ones_later(embedded: Embedded) -> None:
    pair = Pair(embedded)
    url = pair.real.config.inbound_url
    messages = [queues.Message(f"m{n}", "group") for n in range(12)]
    messages.append(queues.Message("late", None, 60))

    pair.same(lambda hub: queues.send(hub, url, messages))

    received: list[str] = []
    while page := pair.real.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get(
        "Messages"
    ):
        received += [message["Body"] for message in page]
    waiting = [message.body for message in pair.aws.sqs.visible(url)]
    assert sorted(received) == sorted(waiting) == sorted(f"m{n}" for n in range(12))
    pair.aws.clock.forward(60_000)
    assert len(pair.aws.sqs.visible(url)) == 13


def test_messages_are_received_put_back_and_deleted_alike(embedded: Embedded) -> None:
    pair = Pair(embedded)
    url = pair.real.config.dead_letters_url
    pair.same(lambda hub: queues.send(hub, url, [queues.Message(f"m{n}") for n in range(12)]))

    def drained(hub: Hub) -> tuple[list[str], list[str]]:
        taken: list[queues.Received] = []
        while page := queues.receive(hub, url, 30):
            taken += page
        queues.delete(hub, url, [each.handle for each in taken if each.body != "m7"])
        queues.release(hub, url, [each.handle for each in taken if each.body == "m7"])
        left = queues.receive(hub, url, 30)
        return sorted(each.body for each in taken), [each.body for each in left]

    assert pair.same(drained) == (sorted(f"m{n}" for n in range(12)), ["m7"])


def test_a_data_key_is_only_opened_in_its_context(embedded: Embedded) -> None:
    pair, context = Pair(embedded), {"purpose": "a"}

    def ask(hub: Hub) -> Any:
        made = hub.kms.generate_data_key(
            KeyId=hub.config.secrets_key, KeySpec="AES_256", EncryptionContext=context
        )
        wrapped, plain = made["CiphertextBlob"], made["Plaintext"]
        with pytest.raises(ClientError) as refused:
            hub.kms.decrypt(CiphertextBlob=wrapped, EncryptionContext={"purpose": "b"})
        opened = hub.kms.decrypt(CiphertextBlob=wrapped, EncryptionContext=context)["Plaintext"]
        return len(plain), opened == plain, refused.value.response["Error"]["Code"]

    assert pair.same(ask) == (32, True, "InvalidCiphertextException")


def test_parts_are_composed_and_uploads_given_up_alike(embedded: Embedded) -> None:
    pair = Pair(embedded)

    def parts(hub: Hub) -> list[Any]:
        where = {"Bucket": hub.config.bucket, "Key": "exports/a"}

        def begun() -> dict[str, Any]:
            return {**where, "UploadId": hub.s3.create_multipart_upload(**where)["UploadId"]}  # type: ignore[arg-type]

        def code(call: Callable[..., Any], **request: Any) -> Any:
            try:
                call(**request)
            except ClientError as error:
                return error.response["Error"]["Code"]
            return None

        upload, dropped = begun(), begun()
        tags = {
            number: hub.s3.upload_part(**upload, PartNumber=number, Body=body)["ETag"]
            for number, body in ((2, b"a" * 5 * 1024 * 1024), (5, b"never"), (9, b""))
        }
        named: Any = [{"PartNumber": number, "ETag": tags[number]} for number in (2, 9)]
        before = code(hub.s3.head_object, **where)
        hub.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": named})
        hub.s3.abort_multipart_upload(**dropped)
        return [
            tags,
            before,
            code(hub.s3.upload_part, **dropped, PartNumber=1, Body=b""),
            code(hub.s3.abort_multipart_upload, **dropped),
            code(hub.s3.abort_multipart_upload, **upload),
            hub.s3.get_object(**where)["Body"].read(),  # type: ignore[arg-type]
            code(hub.s3.delete_object, **where),
            code(hub.s3.delete_object, **where),
            code(hub.s3.head_object, **where),
        ]

    assert pair.same(parts)[1:5] == ["404", "NoSuchUpload", "NoSuchUpload", "NoSuchUpload"]
