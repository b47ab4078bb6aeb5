"""The queue poller does what Lambda's event source mapping does."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from chalice.app import SQSEvent

from infra.local.provision import Queue
from infra.local.queue_poller import QueuePoller
from infra.local.template import EventSource
from tests.local.waiting import until

Messages = list[dict[str, Any]]


class Mailbox:
    """A queue with dead letters, and what a function made of its messages."""

    def __init__(self, sqs: Any, name: str) -> None:
        self.sqs = sqs
        self.dead = self._make(f"{name}-dead", {})
        policy = {"deadLetterTargetArn": self.dead.arn, "maxReceiveCount": 3}
        self.queue = self._make(name, {"RedrivePolicy": json.dumps(policy)})
        self.seen: Messages = []

    def _make(self, name: str, attributes: dict[str, str]) -> Queue:
        url = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        said = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return Queue(url, said["Attributes"]["QueueArn"])

    def send(self, *bodies: str) -> None:
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.queue.url, MessageBody=body)

    def bodies(self) -> list[str]:
        return [each["body"] for each in self.seen]

    def left(self, queue: Queue | None = None) -> int:
        names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ]
        said = self.sqs.get_queue_attributes(
            QueueUrl=(queue or self.queue).url, AttributeNames=names
        )
        return sum(int(said["Attributes"][name]) for name in names)

    @contextmanager
    def fed_to(
        self, decide: Callable[[Messages], Any], concurrency: int = 1, **source: Any
    ) -> Iterator[QueuePoller]:
        def function(event: dict[str, Any], context: Any) -> Any:
            assert context.get_remaining_time_in_millis() > 0
            self.seen += event["Records"]
            return decide(event["Records"])

        poller = QueuePoller(
            self.sqs,
            self.queue,
            function,
            EventSource(**{"partial_failures": True, **source}),
            name="f",
            concurrency=concurrency,
            again_after=0,
        )
        poller.start()
        try:
            yield poller
        finally:
            assert poller.stop()


@pytest.fixture
def mailbox(aws: Any, prefix: str) -> Mailbox:
    return Mailbox(aws.client("sqs"), prefix)


def fail(*bodies: str) -> Callable[[Messages], Any]:
    return lambda records: {
        "batchItemFailures": [
            {"itemIdentifier": each["messageId"]} for each in records if each["body"] in bodies
        ]
    }


def test_messages_that_succeed_are_deleted(mailbox: Mailbox) -> None:
    mailbox.send("a", "b")
    with mailbox.fed_to(lambda _: None):
        until(lambda: sorted(mailbox.bodies()) == ["a", "b"] and mailbox.left() == 0)


def test_the_event_has_lambda_s_shape(mailbox: Mailbox) -> None:
    mailbox.sqs.send_message(
        QueueUrl=mailbox.queue.url,
        MessageBody="ä",
        MessageGroupId="fair",
        MessageAttributes={"n": {"DataType": "String", "StringValue": "v"}},
    )
    with mailbox.fed_to(lambda _: None):
        until(lambda: mailbox.seen)

    (record,) = mailbox.seen
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"] == mailbox.queue.arn
    assert record["awsRegion"] == "eu-west-1"
    assert len(record["md5OfBody"]) == 32
    assert record["messageAttributes"]["n"] == {
        "dataType": "String",
        "stringValue": "v",
        "stringListValues": [],
        "binaryListValues": [],
    }
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["attributes"]["MessageGroupId"] == "fair"
    assert {"SentTimestamp", "ApproximateFirstReceiveTimestamp", "SenderId"} <= set(
        record["attributes"]
    )
    assert json.loads(json.dumps(record)) == record
    (read,) = SQSEvent({"Records": mailbox.seen}, None)
    assert (read.body, read.receipt_handle) == ("ä", record["receiptHandle"])


def test_only_what_failed_comes_again(mailbox: Mailbox) -> None:
    mailbox.send("good", "bad")
    with mailbox.fed_to(fail("bad")):
        until(lambda: mailbox.bodies().count("bad") >= 2)

    assert mailbox.bodies().count("good") == 1


def test_what_keeps_failing_becomes_a_dead_letter(mailbox: Mailbox) -> None:
    mailbox.send("bad")
    with mailbox.fed_to(fail("bad")):
        until(lambda: mailbox.left(mailbox.dead) == 1)

    assert mailbox.bodies() == ["bad"] * 3
    counts = [each["attributes"]["ApproximateReceiveCount"] for each in mailbox.seen]
    assert counts == ["1", "2", "3"]


def test_an_exception_deletes_nothing(mailbox: Mailbox) -> None:
    def broken(_: Messages) -> None:
        raise RuntimeError("broken")

    mailbox.send("a", "b")
    with mailbox.fed_to(broken) as poller:
        until(lambda: mailbox.left(mailbox.dead) == 2)
        assert poller.errors >= 3


@pytest.mark.parametrize(
    "answer",
    [
        {"batchItemFailures": [{"itemIdentifier": "nobody"}]},
        {"batchItemFailures": [{"itemIdentifier": ""}]},
        {"batchItemFailures": [{}]},
        {"batchItemFailures": [None]},
    ],
)
def test_a_report_that_makes_no_sense_fails_the_batch(mailbox: Mailbox, answer: Any) -> None:
    mailbox.send("a")
    with mailbox.fed_to(lambda _: answer):
        until(lambda: mailbox.left(mailbox.dead) == 1)


def test_without_partial_failures_an_answer_means_nothing(mailbox: Mailbox) -> None:
    mailbox.send("bad")
    with mailbox.fed_to(fail("bad"), partial_failures=False):
        until(lambda: mailbox.left() == 0)

    assert mailbox.bodies() == ["bad"]


def test_invocations_run_side_by_side_and_no_more_than_allowed(mailbox: Mailbox) -> None:
    running, most, lock = 0, 0, threading.Lock()
    both = threading.Barrier(2, timeout=10)

    def wait(_: Messages) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        both.wait()
        with lock:
            running -= 1

    mailbox.send(*"abcd")
    with mailbox.fed_to(wait, concurrency=2, batch_size=1):
        until(lambda: mailbox.left() == 0)

    assert most == 2


def test_a_batch_window_gathers_more_than_one_call_gives(mailbox: Mailbox) -> None:
    sizes: list[int] = []
    mailbox.send(*(str(each) for each in range(15)))
    with mailbox.fed_to(lambda batch: sizes.append(len(batch)), batch_size=15, window_seconds=1):
        until(lambda: mailbox.left() == 0)

    assert sizes == [15]


def test_ending_finishes_the_batch_in_hand(mailbox: Mailbox) -> None:
    begun, go = threading.Event(), threading.Event()

    def slow(_: Messages) -> None:
        begun.set()
        go.wait(10)

    mailbox.send("a")
    with mailbox.fed_to(slow):
        assert begun.wait(10)
        threading.Timer(0.05, go.set).start()

    assert mailbox.left() == 0
