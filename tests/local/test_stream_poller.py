"""The stream poller does what Lambda's event source mapping does."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from chalice.app import DynamoDBEvent

from infra.local.checkpoints import Checkpoints
from infra.local.provision import Provisioned
from infra.local.stream_poller import StreamPoller
from infra.local.template import EventSource
from tests.local.waiting import until

Records = list[dict[str, Any]]


class Table:
    """The hub's table, a consumer's position and what its function saw."""

    def __init__(self, aws: Any, provisioned: Provisioned, folder: Path) -> None:
        self.dynamodb = aws.client("dynamodb")
        self.streams = aws.client("dynamodbstreams")
        self.arn = provisioned.stream_arn
        self.name = provisioned.table
        self.path = folder / "consumer.json"
        self.batches: list[list[str]] = []
        self.records: Records = []
        self.reports: list[dict[str, Any]] = []

    def put(self, *names: str, **attributes: Any) -> None:
        for name in names:
            item = {"pk": {"S": "p"}, "sk": {"S": name}, **attributes}
            self.dynamodb.put_item(TableName=self.name, Item=item)

    def seen(self) -> list[str]:
        return [name for batch in self.batches for name in batch]

    @contextmanager
    def fed_to(
        self, decide: Callable[[Records], Any], arn: str | None = None, **source: Any
    ) -> Iterator[StreamPoller]:
        def function(event: dict[str, Any], context: Any) -> Any:
            assert context.get_remaining_time_in_millis() > 0
            self.records += event["Records"]
            self.batches.append([name_of(each) for each in event["Records"]])
            return decide(event["Records"])

        poller = StreamPoller(
            self.streams,
            self.arn,
            function,
            EventSource(**{"batch_size": 100, "partial_failures": True, **source}),
            name="f",
            checkpoints=Checkpoints(self.path, arn or self.arn),
            report=lambda text: self.reports.append(json.loads(text)),
        )
        poller.start()
        try:
            yield poller
        finally:
            poller.stop()


@pytest.fixture
def table(aws: Any, provisioned: Provisioned, tmp_path: Path) -> Table:
    return Table(aws, provisioned, tmp_path)


def name_of(record: dict[str, Any]) -> str:
    return str(record["dynamodb"]["Keys"]["sk"]["S"])


def number_of(record: dict[str, Any]) -> str:
    return str(record["dynamodb"]["SequenceNumber"])


def done(_: Records) -> None:
    return None


def failing_at(name: str) -> Callable[[Records], Any]:
    def decide(records: Records) -> Any:
        failed = [{"itemIdentifier": number_of(r)} for r in records if name_of(r) == name]
        return {"batchItemFailures": failed}

    return decide


def broken_by(name: str) -> Callable[[Records], Any]:
    def decide(records: Records) -> Any:
        if any(name_of(each) == name for each in records):
            raise RuntimeError(name)

    return decide


def test_changes_come_in_their_order(table: Table) -> None:
    names = [f"{each:03}" for each in range(250)]
    table.put(*names)
    with table.fed_to(done):
        until(lambda: len(table.seen()) == 250)

    assert table.seen() == names
    assert [len(batch) for batch in table.batches] == [100, 100, 50]


def test_an_event_has_lambda_s_shape(table: Table) -> None:
    image = {
        "b": {"B": b"\x00\xff"},
        "bs": {"BS": [b"x"]},
        "l": {"L": [{"M": {"b": {"B": b"y"}}}]},
        "n": {"N": "1.5"},
        "t": {"BOOL": True},
        "z": {"NULL": True},
    }
    table.put("a", **image)
    table.put("a")
    with table.fed_to(done):
        until(lambda: len(table.records) == 2)

    first, second = table.records
    assert json.loads(json.dumps(first)) == first
    assert (first["eventName"], second["eventName"]) == ("INSERT", "MODIFY")
    new = first["dynamodb"]["NewImage"]
    assert new["b"] == {"B": base64.b64encode(b"\x00\xff").decode()}
    assert new["bs"] == {"BS": ["eA=="]}
    assert new["l"] == {"L": [{"M": {"b": {"B": "eQ=="}}}]}
    assert (new["n"], new["t"], new["z"]) == ({"N": "1.5"}, {"BOOL": True}, {"NULL": True})
    assert second["dynamodb"]["OldImage"] == new
    assert first["eventSource"] == "aws:dynamodb"
    assert isinstance(first["dynamodb"]["ApproximateCreationDateTime"], int)
    read = list(DynamoDBEvent({"Records": table.records}, None))
    assert read[0].table_name == table.name
    assert read[0].keys == {"pk": {"S": "p"}, "sk": {"S": "a"}}


def test_an_identical_put_is_no_change(table: Table) -> None:
    table.put("a", "a", "b")
    with table.fed_to(done):
        until(lambda: table.seen()[-1:] == ["b"])

    assert table.seen() == ["a", "b"]


def test_a_filter_passes_over_records_and_its_position_moves_on(table: Table) -> None:
    table.put("M#1", "X#1", "M#2", "X#2")
    pattern = {"dynamodb": {"Keys": {"sk": {"S": [{"prefix": "M#"}]}}}}
    with table.fed_to(done, filters=(pattern,)) as poller:
        until(lambda: table.seen() == ["M#1", "M#2"])
        until(lambda: poller.caught_up_since(0))

    table.batches.clear()
    table.put("X#3")
    with table.fed_to(done):
        until(lambda: table.seen() == ["X#3"])


def test_nothing_overtakes_a_batch_that_fails(table: Table) -> None:
    table.put("a", "b", "c")
    mended = threading.Event()

    def decide(records: Records) -> Any:
        if name_of(records[0]) == "a" and not mended.is_set():
            raise RuntimeError("not yet")

    with table.fed_to(decide, batch_size=1):
        until(lambda: len(table.batches) >= 3)
        assert set(table.seen()) == {"a"}
        mended.set()
        until(lambda: table.seen()[-2:] == ["b", "c"])


def test_what_succeeded_before_a_reported_failure_does_not_come_again(table: Table) -> None:
    table.put(*"abcd")
    answers = [failing_at("c"), done]
    with table.fed_to(lambda records: answers.pop(0)(records) if answers else None):
        until(lambda: len(table.batches) == 2)

    assert table.batches == [["a", "b", "c", "d"], ["c", "d"]]


def test_a_split_finds_the_one_that_breaks_and_the_rest_goes_through(table: Table) -> None:
    table.put(*"abcdefgh")
    done_: list[str] = []

    def decide(records: Records) -> Any:
        broken_by("f")(records)
        done_.extend(name_of(each) for each in records)

    with table.fed_to(decide, bisect=True, max_retries=1):
        until(lambda: done_[-1:] == ["h"])

    assert done_ == list("abcdegh")
    (report,) = table.reports
    (number,) = {number_of(each) for each in table.records if name_of(each) == "f"}
    assert report["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert report["DDBStreamBatchInfo"]["startSequenceNumber"] == number
    assert report["DDBStreamBatchInfo"]["endSequenceNumber"] == number
    assert report["DDBStreamBatchInfo"]["batchSize"] == 1
    assert report["DDBStreamBatchInfo"]["streamArn"] == table.arn


def test_a_reported_failure_that_stays_is_split_off_as_well(table: Table) -> None:
    table.put(*"abcd")
    with table.fed_to(failing_at("b"), bisect=True, max_retries=1):
        until(lambda: table.reports and table.seen()[-1:] == ["d"])

    assert table.reports[0]["DDBStreamBatchInfo"]["batchSize"] == 1


def test_without_a_split_the_whole_batch_is_given_up(table: Table) -> None:
    table.put("a", "b")
    with table.fed_to(broken_by("a"), max_retries=2):
        until(lambda: table.reports)
        table.put("c")
        until(lambda: table.seen()[-1:] == ["c"])

    assert table.batches == [["a", "b"]] * 3 + [["c"]]
    assert table.reports[0]["requestContext"]["approximateInvokeCount"] == 3


def test_another_run_goes_on_where_the_last_one_stood(table: Table) -> None:
    table.put("a", "b")
    with table.fed_to(done):
        until(lambda: table.seen() == ["a", "b"])
    table.put("c")
    with table.fed_to(done):
        until(lambda: table.seen() == ["a", "b", "c"])


def test_a_run_killed_in_a_batch_does_it_again(table: Table) -> None:
    table.put("a", "b")
    with table.fed_to(failing_at("b")):
        until(lambda: table.batches[-1:] == [["b"]])

    table.batches.clear()
    with table.fed_to(done):
        until(lambda: table.seen() == ["b"])


def test_a_position_in_another_stream_means_nothing(table: Table) -> None:
    Checkpoints(table.path, "another stream").advance("shard", "1")
    table.put("a")
    with table.fed_to(done):
        until(lambda: table.seen() == ["a"])


def test_a_position_that_is_gone_means_the_oldest_record(table: Table) -> None:
    (shard,) = table.streams.describe_stream(StreamArn=table.arn)["StreamDescription"]["Shards"]
    Checkpoints(table.path, table.arn).advance(shard["ShardId"], "0" * 30)
    table.put("a")
    with table.fed_to(done):
        until(lambda: table.seen() == ["a"])


def test_caught_up_means_that_later_writes_were_read(table: Table) -> None:
    with table.fed_to(done) as poller:
        until(lambda: poller.caught_up_since(0))
        table.put("a")
        assert not poller.caught_up_since(float("inf"))
        until(lambda: table.seen() == ["a"])


class SplitStream:
    """A stream whose one shard was split: a closed parent and its child."""

    exceptions = None
    shards = (
        {"ShardId": "child", "ParentShardId": "parent"},
        {"ShardId": "parent", "ParentShardId": "trimmed"},
    )

    def __init__(self) -> None:
        self.read: list[str] = []

    def describe_stream(self, StreamArn: str, **page: str) -> Any:  # noqa: N803 - boto3's
        assert StreamArn
        first = "ExclusiveStartShardId" not in page
        shard = self.shards[0 if first else 1]
        last = {"LastEvaluatedShardId": "child"} if first else {}
        return {"StreamDescription": {"Shards": [shard], **last}}

    def get_shard_iterator(self, ShardId: str, **_: str) -> Any:  # noqa: N803 - boto3's
        return {"ShardIterator": f"{ShardId} 0"}

    def get_records(self, ShardIterator: str, Limit: int) -> Any:  # noqa: N803 - boto3's
        assert Limit
        shard, position = ShardIterator.split()
        if position == "0":
            self.read.append(shard)
            record = {
                "eventID": shard,
                "eventName": "INSERT",
                "awsRegion": "eu-west-1",
                "dynamodb": {
                    "Keys": {"sk": {"S": shard}},
                    "SequenceNumber": "1",
                    "StreamViewType": "KEYS_ONLY",
                },
            }
            return {"Records": [record], "NextShardIterator": f"{shard} 1"}
        after = {} if shard == "parent" else {"NextShardIterator": f"{shard} 1"}
        return {"Records": [], **after}


def test_a_shard_s_children_are_read_after_it(table: Table) -> None:
    table.streams = SplitStream()
    with table.fed_to(done) as poller:
        until(lambda: table.seen() == ["parent", "child"])
        until(lambda: poller.caught_up_since(0))

    assert table.streams.read == ["parent", "child"]
    table.streams.read.clear()
    with table.fed_to(done):
        until(lambda: table.streams.read)
    assert "parent" not in table.streams.read
