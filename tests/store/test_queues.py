"""Sending: within SQS's limits, refused entries again, never a silent loss."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import queues
from chalicelib.aws import Hub
from chalicelib.queues import MESSAGE_LIMIT, Message, QueueError, send
from tests.support.fake_aws import FakeAws, Faults
from tests.support.simulation import CONFIG


class Watched:
    """An SQS client that notes what each call carries."""

    def __init__(self, aws: FakeAws) -> None:
        self.aws = aws
        self.batches: list[list[dict[str, Any]]] = []

    def send_message_batch(self, **request: Any) -> dict[str, Any]:
        self.batches.append(request["Entries"])
        return self.aws.sqs.send_message_batch(**request)


class Refusing(Faults):
    """SQS that refuses the first so many entries."""

    def __init__(self, count: int) -> None:
        self.left = count

    def refuses(self, _operation: str) -> bool:
        self.left -= 1
        return self.left >= 0


def sender(faults: Faults | None = None) -> tuple[Hub, Watched]:
    aws = FakeAws(faults or Faults())
    watched = Watched(aws)
    return Hub(CONFIG, {"sqs": watched}.__getitem__, aws.clock), watched


def waiting(watched: Watched) -> list[str]:
    return [message.body for message in watched.aws.sqs.queues.get("inbound", {}).values()]


@given(
    st.lists(st.integers(1, MESSAGE_LIMIT), max_size=12) | st.lists(st.integers(1, 20), max_size=40)
)
def test_every_message_arrives_in_batches_within_the_limits(sizes: list[int]) -> None:
    hub, watched = sender()

    send(hub, "inbound", [Message("x" * size) for size in sizes])

    assert [len(body) for body in waiting(watched)] == sizes
    for batch in watched.batches:
        assert len(batch) <= 10
        assert sum(len(entry["MessageBody"]) for entry in batch) <= MESSAGE_LIMIT
        assert len({entry["Id"] for entry in batch}) == len(batch)


def test_the_size_of_a_message_is_its_bytes() -> None:
    hub, watched = sender()

    send(hub, "inbound", [Message("ü" * (MESSAGE_LIMIT // 4))] * 3)

    assert [len(batch) for batch in watched.batches] == [2, 1]


def test_small_messages_share_a_call() -> None:
    hub, watched = sender()

    send(hub, "inbound", [Message("x")] * 25)

    assert [len(batch) for batch in watched.batches] == [10, 10, 5]


def test_nothing_to_send_is_no_call() -> None:
    hub, watched = sender()

    send(hub, "inbound", [])

    assert watched.batches == []


def test_group_and_delay_are_passed_on() -> None:
    hub, watched = sender()

    send(hub, "inbound", [Message("a", "int_1", 7), Message("b")])

    assert watched.batches == [
        [
            {"Id": "0", "MessageBody": "a", "MessageGroupId": "int_1", "DelaySeconds": 7},
            {"Id": "1", "MessageBody": "b"},
        ]
    ]


@pytest.mark.parametrize("refused", [1, 3, 7])
def test_refused_entries_are_sent_again_and_only_those(refused: int) -> None:
    hub, watched = sender(Refusing(refused))

    send(hub, "inbound", [Message(f"{n}") for n in range(10)])

    assert sorted(waiting(watched)) == sorted(f"{n}" for n in range(10))
    assert [len(batch) for batch in watched.batches] == [10, refused]


def test_what_is_refused_for_ever_is_an_error_and_not_a_loss() -> None:
    hub, _ = sender(Refusing(10_000))

    with pytest.raises(QueueError, match="2 messages refused"):
        send(hub, "inbound", [Message("a"), Message("b")])


def test_the_limit_is_that_of_sqs() -> None:
    assert queues.MESSAGE_LIMIT == 1_048_576
