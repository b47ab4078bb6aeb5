"""Schedules: a function called again and again."""

from __future__ import annotations

import logging
import threading

from infra.local import events
from infra.local.queue_poller import Function

_LOG = logging.getLogger(__name__)


class Ticker:
    """Calls a scheduled function every so many seconds, one call at a time."""

    def __init__(self, function: Function, *, name: str, every: float) -> None:
        self._function = function
        self._name = name
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to call."""
        self._thread.start()

    def stop(self) -> None:
        """Call no more; a call under way is finished."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            try:
                self._function(events.schedule_event(self._name), events.Context(self._name))
            except Exception:  # noqa: BLE001 - a function may raise anything
                _LOG.exception("%s failed", self._name)
