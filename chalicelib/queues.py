"""Sending to SQS: batches within its limits, refused entries tried again, never a silent loss."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
