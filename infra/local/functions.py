"""The hub's functions, fed as Lambda feeds them: queues, the table's stream, the schedule."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from infra.local import daemon
from infra.local.checkpoints import Checkpoints
from infra.local.queue_poller import Function, QueuePoller
from infra.local.stream_poller import StreamPoller
from infra.local.template import EventSource, Template
from infra.local.ticker import Ticker

if TYPE_CHECKING:
    import boto3

    from infra.local.provision import Provisioned

    Count = Literal[
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesDelayed",
    ]

_COUNTS: Sequence[Count] = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)
_QUEUES = {
    "normalize": ("normalize", "InboundQueue", 4),
    "deliver": ("deliver", "DeliveriesQueue", 64),
    "ordered": ("deliver", "OrderedQueue", 64),
    "sync": ("sync", "SyncQueue", 4),
    "export": ("export", "ExportsQueue", 2),
}
"""Which function each queue feeds, and with how many invocations at a time."""
_STREAMS = ("project", "dispatch")
_SWEEP_EVERY = 1
_IDLE_EVERY = 1


class Functions:
    """All pollers of one hub."""

    def __init__(
        self,
        session: boto3.Session,
        provisioned: Provisioned,
        template: Template,
        functions: Mapping[str, Function],
        checkpoints: Path,
    ) -> None:
        self._sqs = session.client("sqs", config=_client_settings())
        streams = session.client("dynamodbstreams", config=_client_settings())
        self._watched = [provisioned.queues[queue].url for _, queue, _ in _QUEUES.values()]
        self.queues = {
            name: QueuePoller(
                self._sqs,
                provisioned.queues[queue],
                functions[function],
                template.event_source(function.capitalize(), EventSource(batch_size=10), queue),
                name=name,
                concurrency=concurrency,
            )
            for name, (function, queue, concurrency) in _QUEUES.items()
        }
        self.streams = {}
        for name in _STREAMS:
            source = template.event_source(name.capitalize(), EventSource(batch_size=100))
            self.streams[name] = StreamPoller(
                streams,
                provisioned.stream_arn,
                functions[name],
                source,
                name=name,
                checkpoints=Checkpoints(checkpoints / f"{name}.json", provisioned.stream_arn),
                report=self._report(provisioned, source),
            )
        self._sweep = Ticker(functions["sweep"], name="sweep", every=_SWEEP_EVERY)
        # Lambda freezes what a process has counted until its next batch; here an empty one comes soon.
        self._idle = Ticker(_idle(functions["normalize"]), name="idle", every=_IDLE_EVERY)

    def start(self) -> None:
        """Begin to feed them."""
        for stream in self.streams.values():
            stream.start()
        for queue in self.queues.values():
            queue.start()
        self._sweep.start()
        self._idle.start()

    def stop(self, *, read_to_end: bool) -> None:
        """Finish what is in hand.

        ``read_to_end``: also read the stream to its end, because it does not outlive its AWS.
        """
        for queue in ("normalize",) if read_to_end else self.queues:
            self.queues[queue].receive_no_more()
        self._sweep.stop()
        self._idle.stop()
        self.queues["normalize"].stop()
        if read_to_end:
            self.caught_up(within=20)
        self.queues["deliver"].stop()
        self.queues["ordered"].stop()
        self.queues["sync"].stop()
        self.queues["export"].stop()
        if read_to_end:
            self.caught_up(within=5)
        for poller in self.streams.values():
            poller.stop()

    def caught_up(self, within: float) -> bool:
        """Wait until the stream is read to its end.  False if that takes too long."""
        began = time.monotonic()
        return daemon.wait_until(
            lambda: all(each.caught_up_since(began) for each in self.streams.values()), within
        )

    def drained(self, within: float) -> bool:
        """Wait until nothing is on its way any more.  False if that takes too long."""
        until = time.monotonic() + within
        while time.monotonic() < until:
            left = until - time.monotonic()
            if self._empty() and self.caught_up(left) and self._empty():
                return True
            time.sleep(0.05)
        return False

    def _empty(self) -> bool:
        for url in self._watched:
            answer = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=_COUNTS)
            if any(int(answer["Attributes"].get(each, 0)) for each in _COUNTS):
                return False
        return True

    def _report(
        self, provisioned: Provisioned, source: EventSource
    ) -> Callable[[str], None] | None:
        if source.on_failure is None:
            return None
        url = provisioned.queues[source.on_failure].url
        return partial(_send, self._sqs, url)


def _idle(function: Function) -> Function:
    return lambda _, context: function({"Records": []}, context)


def _send(sqs: Any, url: str, text: str) -> None:
    sqs.send_message(QueueUrl=url, MessageBody=text)


def _client_settings() -> Any:
    from botocore.config import Config  # noqa: PLC0415 - slow to import

    return Config(
        connect_timeout=3,
        read_timeout=15,
        max_pool_connections=32,
        # As the hub's own clients, and for the same reasons: all of them share this process.
        parameter_validation=False,
        user_agent="Tributary/1",
        retries={"mode": "standard", "max_attempts": 3},
    )
