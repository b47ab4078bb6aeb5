"""Gathering: messages for one integration that takes batches, brought together into one delivery.

Whoever comes first waits for the others, sends for all, and tells them how it went: a message is done
only when the batch that holds its events is sent or stored.  A process brings together what it has in
hand; what may lie longer lies in the queue until its time has come.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chalicelib.model.cloudevents import CloudEvent

Where = tuple[str, str]
Linger = Callable[[threading.Event, float], object]
"""Waits for an event, or for so many seconds."""
_MOST = 100
"""Messages of one batch: each holds a thread."""


class GatheredError(Exception):
    """The batch that held a message's events was not dealt with: the message comes again."""


@dataclass(slots=True)
class _Batch:
    events: list[CloudEvent] = field(default_factory=list)
    size: int = 0
    messages: int = 0
    full: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)
    well: bool = False


class Gathering:
    """What one process has gathered and not yet sent."""

    def __init__(self, linger: Linger) -> None:
        self._linger = linger
        self._open: dict[Where, _Batch] = {}
        self._lock = threading.Lock()

    def together(
        self,
        where: Where,
        events: Sequence[CloudEvent],
        size: int,
        *,
        full_at: tuple[int, int],
        seconds: float,
        send: Callable[[list[CloudEvent]], None],
    ) -> None:
        """Deal with events together with what else comes within so many seconds, or until it is full.

        ``full_at`` are records and bytes.  Raises what ``send`` raises, or ``GatheredError`` to those
        whose events another one sent.
        """
        with self._lock:
            batch = self._open.get(where)
            if batch is not None and batch.size + size > full_at[1]:
                del self._open[where]
                batch.full.set()
                batch = None
            first = batch is None
            if batch is None:
                batch = self._open[where] = _Batch()
            batch.events += events
            batch.size += size
            batch.messages += 1
            if len(batch.events) >= full_at[0] or batch.messages >= _MOST:
                del self._open[where]
                batch.full.set()
        if first:
            self._send(where, batch, seconds, send)
        else:
            batch.done.wait()
            if not batch.well:
                raise GatheredError(where[1])

    def _send(
        self,
        where: Where,
        batch: _Batch,
        seconds: float,
        send: Callable[[list[CloudEvent]], None],
    ) -> None:
        self._linger(batch.full, seconds)
        with self._lock:
            if self._open.get(where) is batch:
                del self._open[where]
        try:
            send(batch.events)
            batch.well = True
        finally:
            batch.done.set()
