"""Feeds a function from a table's stream as Lambda's event source mapping does.

Each shard is read in order by one thread, a child only after its parents.  A batch that fails is
tried again, split where that is configured, and nothing behind it is read before it is done or
given up; what is given up is told to the on-failure queue.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from infra.local import events, filters
from infra.local.stream_batches import Batches, Report

if TYPE_CHECKING:
    from mypy_boto3_dynamodbstreams import DynamoDBStreamsClient
    from mypy_boto3_dynamodbstreams.type_defs import ShardTypeDef

    from infra.local.checkpoints import Checkpoints
    from infra.local.queue_poller import Function
    from infra.local.template import EventSource

_LOG = logging.getLogger(__name__)
_PAGE = 1000
_SHARDS_EVERY = 10
_BUSY_FOR = 5
_POLL_BUSY = 0.05
_POLL_IDLE = 0.2


class StreamPoller:
    """One stream, one function."""

    def __init__(
        self,
        streams: DynamoDBStreamsClient,
        stream_arn: str,
        function: Function,
        source: EventSource,
        *,
        name: str,
        checkpoints: Checkpoints,
        report: Report | None = None,
    ) -> None:
        self._streams = streams
        self._stream_arn = stream_arn
        self._name = name
        self._checkpoints = checkpoints
        self._wanted = filters.compiled(source.filters)
        self._stop = threading.Event()
        self._look = threading.Event()
        """Set when a shard has ended: its children may be read now."""
        self.batches = Batches(function, source, name, stream_arn, self._stop, report)
        self._readers: dict[str, _Reader] = {}
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Read nothing more; finish the batch in hand, but not one that keeps failing."""
        self._stop.set()
        self._look.set()
        self._thread.join()
        for reader in self._readers.values():
            reader.thread.join()

    def caught_up_since(self, moment: float) -> bool:
        """Tell whether every shard was found read to its end after a ``time.monotonic()``."""
        with self._lock:
            readers = list(self._readers.values())
        return bool(readers) and all(reader.empty_at > moment for reader in readers)

    def _run(self) -> None:
        pause = 0.1
        while not self._stop.is_set():
            try:
                self._adopt_shards()
                pause = 0.1
                wait: float = _SHARDS_EVERY
            except Exception:  # noqa: BLE001 - a client may raise anything
                _LOG.exception("%s: the stream's shards are not known", self._name)
                wait = pause
                pause = min(pause * 2, 5)
            self._look.wait(wait)
            self._look.clear()

    def _adopt_shards(self) -> None:
        shards = {shard["ShardId"]: shard for shard in self._shards()}
        for shard_id, shard in shards.items():
            parent = shard.get("ParentShardId")
            waits = parent in shards and not self._checkpoints.ended(str(parent))
            if shard_id in self._readers or self._checkpoints.ended(shard_id) or waits:
                continue
            reader = _Reader(shard_id, self._read, f"{self._name}-{shard_id[-8:]}")
            with self._lock:
                self._readers[shard_id] = reader
            reader.thread.start()

    def _shards(self) -> list[ShardTypeDef]:
        found: list[ShardTypeDef] = []
        start: dict[str, Any] = {}
        while True:
            answer = self._streams.describe_stream(StreamArn=self._stream_arn, **start)
            found += answer["StreamDescription"]["Shards"]
            last = answer["StreamDescription"].get("LastEvaluatedShardId")
            if not last:
                return found
            start = {"ExclusiveStartShardId": last}

    def _read(self, reader: _Reader) -> None:
        """Read one shard to its end."""
        iterator: str | None = None
        busy_until = 0.0
        pause = 0.1
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                iterator = iterator or self._iterator(reader.shard)
                page = self._streams.get_records(ShardIterator=iterator, Limit=_PAGE)
                pause = 0.1
            except Exception as error:  # noqa: BLE001 - a client may raise anything
                if not _iterator_is_old(error):
                    _LOG.exception("%s: reading the stream failed", self._name)
                iterator = None
                self._stop.wait(pause)
                pause = min(pause * 2, 5)
                continue
            if page["Records"]:
                reader.empty_at = 0
                busy_until = time.monotonic() + _BUSY_FOR
                if not self._take(reader.shard, page["Records"]):
                    return
            else:
                reader.empty_at = began
            iterator = page.get("NextShardIterator")
            if not iterator:
                self._checkpoints.end(reader.shard)
                reader.empty_at = float("inf")
                self._look.set()
                return
            if not page["Records"]:
                busy = time.monotonic() < busy_until
                self._stop.wait(_POLL_BUSY if busy else _POLL_IDLE)

    def _take(self, shard: str, records: list[Any]) -> bool:
        """Hand a page to the function.  False if the run ended before all of it was done."""

        def advance(sequence_number: str) -> None:
            self._checkpoints.advance(shard, sequence_number)

        wanted = []
        for record in records:
            event = events.stream_record(record, self._stream_arn)
            if self._wanted(event):
                wanted.append(event)
        if not self.batches.work(shard, wanted, advance):
            return False
        advance(records[-1]["dynamodb"]["SequenceNumber"])
        return True

    def _iterator(self, shard: str) -> str:
        position = self._checkpoints.position(shard)
        if position:
            try:
                return self._streams.get_shard_iterator(
                    StreamArn=self._stream_arn,
                    ShardId=shard,
                    ShardIteratorType="AFTER_SEQUENCE_NUMBER",
                    SequenceNumber=position,
                )["ShardIterator"]
            except self._streams.exceptions.TrimmedDataAccessException:
                _LOG.warning("%s: position gone, reading from the oldest record", self._name)
        return self._streams.get_shard_iterator(
            StreamArn=self._stream_arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]


class _Reader:
    """One shard's thread, and when it last found nothing new."""

    def __init__(self, shard: str, read: Callable[[_Reader], None], name: str) -> None:
        self.shard = shard
        self.empty_at = 0.0
        self.thread = threading.Thread(target=read, args=(self,), name=name, daemon=True)


def _iterator_is_old(error: Exception) -> bool:
    code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
    return code in {"ExpiredIteratorException", "TrimmedDataAccessException"}
