"""Puts MQTT messages on the inbound queue, wrapped as the IoT topic rule wraps them.

Whoever hands a message over is called back only when the queue has it: then, and not before, its
publisher may be told that it was received.
"""

from __future__ import annotations

import base64
import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

ROOT = "hub/"
PAYLOAD_LIMIT = 128 * 1024
"""Bytes of a payload, as AWS IoT Core limits them."""

Send = Callable[[Sequence[str]], None]
Done = Callable[[], None]

_LOG = logging.getLogger(__name__)
_MOST = 10
_MOST_BYTES = 900_000
_LONGEST_PAUSE = 2.0


def wrap(topic: str, payload: bytes, received_at_ms: int) -> str:
    """Return the text that the IoT rule of ``infra/resources.json`` would put on the queue."""
    return json.dumps(
        {
            "body": base64.b64encode(payload).decode(),
            "topic": topic,
            "received_at": received_at_ms,
        },
        ensure_ascii=False,
    )


@dataclass(frozen=True, slots=True)
class _Waiting:
    text: str
    done: Done


class Sink:
    """One thread that sends, in order, what any number of publishers hand over."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._held: _Waiting | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mqtt-sink", daemon=True)
        self.sent = 0
        self.oversize = 0

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Send what is waiting, unless sending fails, and end."""
        self._stop.set()
        self._waiting.put(None)
        self._thread.join()

    def put(self, topic: str, payload: bytes, done: Done) -> None:
        """Take a message.  ``done`` is called by another thread once the queue has it."""
        if len(payload) > PAYLOAD_LIMIT:
            self.oversize += 1
            _LOG.warning("dropped %d bytes on %s: over %d", len(payload), topic, PAYLOAD_LIMIT)
            done()
            return
        self._waiting.put(_Waiting(wrap(topic, payload, time.time_ns() // 1_000_000), done))

    def _run(self) -> None:
        while True:
            batch = self._batch()
            if batch and not self._deliver(batch):
                return
            if not batch and self._stop.is_set():
                return

    def _batch(self) -> list[_Waiting]:
        """Return what waits, as much as one call takes; wait for the first."""
        first = self._held or self._waiting.get()
        self._held = None
        batch: list[_Waiting] = []
        size = 0
        while first:
            if batch and size + len(first.text) > _MOST_BYTES:
                self._held = first
                break
            batch.append(first)
            size += len(first.text)
            if len(batch) == _MOST:
                break
            try:
                first = self._waiting.get_nowait()
            except queue.Empty:
                break
        return batch

    def _deliver(self, batch: list[_Waiting]) -> bool:
        """Send until it succeeds.  False if the run ended first."""
        pause = 0.1
        while True:
            try:
                self._send([each.text for each in batch])
            except Exception:  # noqa: BLE001 - a sender may raise anything
                _LOG.exception("the inbound queue did not take MQTT messages; trying again")
                if self._stop.wait(pause):
                    return False
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                break
        self.sent += len(batch)
        for each in batch:
            try:
                each.done()
            except Exception:  # noqa: BLE001 - a sender may raise anything
                _LOG.exception("an MQTT message was not acknowledged: it comes again")
        return True
