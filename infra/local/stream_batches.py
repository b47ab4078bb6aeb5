"""What Lambda does with the records of a shard: batches, tries, splits, and giving up."""

from __future__ import annotations

import datetime as dt
import json
import logging
import threading
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from infra.local import events

if TYPE_CHECKING:
    from infra.local.queue_poller import Function
    from infra.local.template import EventSource

Report = Callable[[str], None]
"""Takes the text that tells the on-failure destination of a batch that was given up."""
Records = Sequence[dict[str, Any]]
Advance = Callable[[str], None]

_LOG = logging.getLogger(__name__)
_LONGEST_PAUSE = 5.0


class Batches:
    """Hands a shard's records to a function, in order, until each is done or given up."""

    def __init__(
        self,
        function: Function,
        source: EventSource,
        name: str,
        stream_arn: str,
        stop: threading.Event,
        report: Report | None,
    ) -> None:
        self._function = function
        self._source = source
        self._name = name
        self._stream_arn = stream_arn
        self._stop = stop
        self._report = report
        self.invocations = 0
        self.errors = 0

    def work(self, shard: str, records: Records, advance: Advance) -> bool:
        """Work off records.  False if the run was stopped before all were done."""
        size = self._source.batch_size
        return all(
            self._batch(shard, records[at : at + size], advance)
            for at in range(0, len(records), size)
        )

    def _batch(self, shard: str, batch: Records, advance: Advance) -> bool:
        """Try a batch until it is done, split or given up."""
        tries = 0
        pause = 0.1
        while batch:
            if self._stop.is_set():
                return False
            failed = self._invoke(batch)
            if failed is None:
                advance(_number(batch[-1]))
                return True
            if failed:
                advance(_number(batch[failed - 1]))
                batch = batch[failed:]
            elif self._source.bisect and len(batch) > 1:
                half = len(batch) // 2
                return self._batch(shard, batch[:half], advance) and self._batch(
                    shard, batch[half:], advance
                )
            tries += 1
            if 0 <= self._source.max_retries < tries:
                return self._give_up(shard, batch, tries, advance)
            self._stop.wait(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        return True

    def _invoke(self, batch: Records) -> int | None:
        """Return the index of the first record that failed; None if all are done."""
        self.invocations += 1
        try:
            answer = self._function({"Records": list(batch)}, events.Context(self._name))
        except Exception:  # noqa: BLE001 - a function may raise anything
            self.errors += 1
            _LOG.exception("%s failed; its batch of %d is tried again", self._name, len(batch))
            return 0
        if not self._source.partial_failures:
            return None
        numbers = [_number(record) for record in batch]
        failed = events.failed_ids(answer, numbers)
        return numbers.index(failed[0]) if failed else None

    def _give_up(self, shard: str, batch: Records, tries: int, advance: Advance) -> bool:
        _LOG.error("%s: gave up %d records after %d tries", self._name, len(batch), tries)
        pause = 0.1
        while self._report:
            try:
                self._report(json.dumps(self._failure(shard, batch, tries)))
                break
            except Exception:  # noqa: BLE001 - a function may raise anything
                _LOG.exception("%s: the on-failure queue was not told", self._name)
                if self._stop.wait(pause):
                    return False
                pause = min(pause * 2, _LONGEST_PAUSE)
        advance(_number(batch[-1]))
        return True

    def _failure(self, shard: str, batch: Records, tries: int) -> dict[str, Any]:
        """Return what Lambda tells a destination: where the records were, not the records."""
        return {
            "requestContext": {
                "requestId": str(uuid.uuid4()),
                "functionArn": events.arn_of(self._name),
                "condition": "RetryAttemptsExhausted",
                "approximateInvokeCount": tries,
            },
            "responseContext": {
                "statusCode": 200,
                "executedVersion": "$LATEST",
                "functionError": "Unhandled",
            },
            "version": "1.0",
            "timestamp": _instant(dt.datetime.now(dt.UTC).timestamp()),
            "DDBStreamBatchInfo": {
                "shardId": shard,
                "startSequenceNumber": _number(batch[0]),
                "endSequenceNumber": _number(batch[-1]),
                "approximateArrivalOfFirstRecord": _instant(_created(batch[0])),
                "approximateArrivalOfLastRecord": _instant(_created(batch[-1])),
                "batchSize": len(batch),
                "streamArn": self._stream_arn,
            },
        }


def _number(record: dict[str, Any]) -> str:
    return str(record["dynamodb"]["SequenceNumber"])


def _created(record: dict[str, Any]) -> float:
    return float(record["dynamodb"]["ApproximateCreationDateTime"])


def _instant(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
