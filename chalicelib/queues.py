"""SQS: batches within its limits, refused entries tried again, never a silent loss."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from chalicelib.aws import Hub

MESSAGE_LIMIT = 1024 * 1024
"""Bytes of a message, and of all messages of one batch."""
_BATCH = 10
_ROUNDS = 5


class Message(NamedTuple):
    """One message: its text, its group, and seconds until it may be received (0..900).

    A queue that keeps order needs a group, and knows messages of one ``same`` for five minutes.
    """

    body: str
    group: str | None = None
    delay: int = 0
    same: str | None = None


class QueueError(Exception):
    """SQS kept refusing entries: whoever called tries the whole again."""


def send(hub: Hub, url: str, messages: Iterable[Message]) -> None:
    """Put messages on a queue.  Raises :class:`QueueError` if some cannot be put there."""
    for batch in _batches(messages):
        pending = batch
        for _ in range(_ROUNDS):
            answer = hub.sqs.send_message_batch(QueueUrl=url, Entries=pending)  # type: ignore[arg-type]
            failed = {entry["Id"] for entry in answer.get("Failed", [])}
            pending = [entry for entry in pending if entry["Id"] in failed]
            if not pending:
                break
        else:
            raise QueueError(f"{len(pending)} messages refused")


def send_in_order(hub: Hub, url: str, messages: Iterable[Message]) -> None:
    """Put messages on a queue that keeps the order of each group.

    Of a group one message goes at a time: an entry that is refused must not be overtaken.
    """
    left = list(messages)
    while left:
        first: dict[str | None, Message] = {}
        later: list[Message] = []
        for message in left:
            if message.group in first:
                later.append(message)
            else:
                first[message.group] = message
        send(hub, url, first.values())
        left = later


class Received(NamedTuple):
    """A message that was taken off a queue for a while, and the handle by which it is put aside or back."""

    body: str
    handle: str


def receive(hub: Hub, url: str, seconds: int) -> list[Received]:
    """Take up to ten messages off a queue, hidden from others for so long.  Empty: there is none now."""
    answer = hub.sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=_BATCH, VisibilityTimeout=seconds, WaitTimeSeconds=1
    )
    messages = answer.get("Messages", [])
    return [Received(each["Body"], each["ReceiptHandle"]) for each in messages]


def delete(hub: Hub, url: str, handles: Sequence[str]) -> None:
    """Remove messages that were received.  One that stays is received again."""
    for entries in _entries(handles):
        hub.sqs.delete_message_batch(QueueUrl=url, Entries=entries)  # type: ignore[arg-type]


def release(hub: Hub, url: str, handles: Sequence[str]) -> None:
    """Let others receive messages now that were received and not deleted."""
    for entries in _entries(handles):
        now = [entry | {"VisibilityTimeout": 0} for entry in entries]
        hub.sqs.change_message_visibility_batch(QueueUrl=url, Entries=now)  # type: ignore[arg-type]


def _entries(handles: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(handles), _BATCH):
        some = handles[start : start + _BATCH]
        yield [{"Id": str(place), "ReceiptHandle": each} for place, each in enumerate(some)]


def _batches(messages: Iterable[Message]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    size = 0
    for message in messages:
        length = len(message.body.encode())
        if batch and (len(batch) == _BATCH or size + length > MESSAGE_LIMIT):
            yield batch
            batch, size = [], 0
        entry: dict[str, Any] = {"Id": str(len(batch)), "MessageBody": message.body}
        if message.group:
            entry["MessageGroupId"] = message.group
        if message.delay:
            entry["DelaySeconds"] = message.delay
        if message.same:
            entry["MessageDeduplicationId"] = message.same
        batch.append(entry)
        size += length
    if batch:
        yield batch
