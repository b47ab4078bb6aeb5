"""Feeds a function from a queue as Lambda's event source mapping does.

Two things differ, both to be quick.  Messages are taken for a short time that is prolonged while
their function runs, so what a killed hub had in hand comes back after seconds.  What failed is
seen again after two seconds, not after the queue's visibility timeout.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from infra.local import events

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from infra.local.provision import Queue
    from infra.local.template import EventSource

Function = Callable[[dict[str, Any], events.Context], Any]

_LOG = logging.getLogger(__name__)
_IN_HAND = 8
"""Seconds for which a message is ours, before the next prolongation."""
_PROLONG_EVERY = 2
_AGAIN_AFTER = 2
_LONGEST_WINDOW = 0.2
_MOST = 10
"""Messages of one call."""


class QueuePoller:
    """One queue, one function, several invocations at a time."""

    def __init__(
        self,
        sqs: SQSClient,
        queue: Queue,
        function: Function,
        source: EventSource,
        *,
        name: str,
        concurrency: int,
        again_after: int = _AGAIN_AFTER,
    ) -> None:
        self._sqs = sqs
        self._queue = queue
        self._function = function
        self._source = source
        self._name = name
        self._again_after = again_after
        self._slots = threading.BoundedSemaphore(concurrency)
        self._batches: SimpleQueue[list[Any] | None] = SimpleQueue()
        self._stop = threading.Event()
        self._stopped = threading.Event()
        self._in_hand: set[str] = set()
        self._lock = threading.Lock()
        self.invocations = 0
        self.errors = 0
        self._threads = [
            threading.Thread(target=self._receive, name=f"{name}-receive", daemon=True),
            threading.Thread(target=self._prolong, name=f"{name}-prolong", daemon=True),
        ]
        self._workers = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True)
            for number in range(concurrency)
        ]

    def start(self) -> None:
        """Begin to receive."""
        for thread in self._threads + self._workers:
            thread.start()

    def receive_no_more(self) -> None:
        """Let the call under way be the last; returns at once."""
        self._stop.set()

    def stop(self, within: float = 20) -> bool:
        """Receive nothing more and finish what is in hand.  False if that takes too long."""
        self._stop.set()
        self._threads[0].join()
        until = time.monotonic() + within
        for _ in self._workers:
            self._batches.put(None)
        for worker in self._workers:
            worker.join(max(0, until - time.monotonic()))
        self._stopped.set()
        return not any(worker.is_alive() for worker in self._workers)

    def _receive(self) -> None:
        pause = 0.1
        while not self._stop.is_set():
            if not self._slots.acquire(timeout=0.2):
                continue
            try:
                messages = self._batch()
                pause = 0.1
            except Exception:  # noqa: BLE001 - a client may raise anything
                _LOG.exception("%s: receiving failed", self._name)
                messages = []
                self._stop.wait(pause)
                pause = min(pause * 2, 5)
            if messages:
                self._batches.put(messages)
            else:
                self._slots.release()

    def _batch(self) -> list[Any]:
        messages = self._call(self._source.batch_size, wait=1)
        until = time.monotonic() + min(self._source.window_seconds, _LONGEST_WINDOW)
        while messages and len(messages) < self._source.batch_size and time.monotonic() < until:
            try:
                more = self._call(self._source.batch_size - len(messages), wait=0)
            except Exception:  # noqa: BLE001 - a client may raise anything
                _LOG.exception("%s: receiving failed", self._name)
                break
            messages += more
            if not more:
                time.sleep(0.02)
        return messages

    def _call(self, most: int, wait: int) -> list[Any]:
        answer = self._sqs.receive_message(
            QueueUrl=self._queue.url,
            MaxNumberOfMessages=min(most, _MOST),
            WaitTimeSeconds=wait,
            VisibilityTimeout=_IN_HAND,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        messages = list(answer.get("Messages", []))
        with self._lock:
            self._in_hand.update(each["ReceiptHandle"] for each in messages)
        return messages

    def _work(self) -> None:
        while (messages := self._batches.get()) is not None:
            self._settle(messages)

    def _settle(self, messages: list[Any]) -> None:
        """Call the function with a batch and put right what it said of each message."""
        try:
            failed = self._invoke(messages)
            with self._lock:
                self._in_hand.difference_update(each["ReceiptHandle"] for each in messages)
            done = [each["ReceiptHandle"] for each in messages if each["MessageId"] not in failed]
            again = [each["ReceiptHandle"] for each in messages if each["MessageId"] in failed]
            self._delete(done)
            self._change(again, self._again_after)
        except Exception:  # noqa: BLE001 - a client may raise anything
            _LOG.exception("%s: messages were not deleted and come again", self._name)
        finally:
            with self._lock:
                self._in_hand.difference_update(each["ReceiptHandle"] for each in messages)
            self._slots.release()

    def _invoke(self, messages: list[Any]) -> list[str]:
        """Return the ids of the messages that failed."""
        ids = [each["MessageId"] for each in messages]
        self.invocations += 1
        try:
            answer = self._function(
                events.queue_event(messages, self._queue.arn), events.Context(self._name)
            )
        except Exception:  # noqa: BLE001 - a client may raise anything
            self.errors += 1
            _LOG.exception("%s failed; its messages come again", self._name)
            return ids
        return events.failed_ids(answer, ids) if self._source.partial_failures else []

    def _delete(self, handles: list[str]) -> None:
        for some in _slices(handles):
            entries = [{"Id": str(at), "ReceiptHandle": each} for at, each in enumerate(some)]
            answer = self._sqs.delete_message_batch(QueueUrl=self._queue.url, Entries=entries)  # type: ignore[arg-type]
            for failure in answer.get("Failed", []):
                _LOG.warning("%s: not deleted: %s", self._name, failure)

    def _change(self, handles: list[str], seconds: int) -> None:
        for some in _slices(handles):
            self._sqs.change_message_visibility_batch(
                QueueUrl=self._queue.url,
                Entries=[
                    {"Id": str(at), "ReceiptHandle": each, "VisibilityTimeout": seconds}
                    for at, each in enumerate(some)
                ],
            )

    def _prolong(self) -> None:
        while not self._stopped.wait(_PROLONG_EVERY):
            with self._lock:
                handles = list(self._in_hand)
            try:
                self._change(handles, _IN_HAND)
            except Exception:  # noqa: BLE001 - a client may raise anything
                _LOG.exception("%s: messages in hand were not prolonged", self._name)


def _slices(handles: list[str]) -> Iterable[list[str]]:
    return (handles[at : at + _MOST] for at in range(0, len(handles), _MOST))
