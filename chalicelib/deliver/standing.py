"""Integrations as they are now: read again after half a second, and places for attempts at a time.

Whatever says "not now" to an integration says it here, before every attempt.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from chalicelib.deliver import breaker
from chalicelib.model.times import to_rfc3339
from chalicelib.store import integrations, standings
from chalicelib.store.integrations import Integration
from chalicelib.store.standings import Change, Condition, Standing
from chalicelib.store.table import ConflictError, Table

_FRESH = 500
"""Milliseconds for which what was read stands: a second after a deletion nothing is sent any more."""
_MOST = 10_000
_BUSY = 1000
"""Milliseconds after which to ask again where all places are taken."""
_COUNT_EVERY = 1000
"""Milliseconds between two writes that only count failures."""
_QUICK = 500
"""Milliseconds of an attempt for whose end others may wait here ..."""
_PATIENCE = 2.0
"""... and for how many seconds: an endpoint that answers at once has a place soon."""
_SLOW = 1000
"""Milliseconds of an attempt whose end is not worth coming back for."""
_Where = tuple[str, str]


@dataclass(slots=True)
class _Places:
    """Attempts under way in this process, and what it has not written down of them."""

    under_way: list[int] = field(default_factory=list)
    """Moments at which they began."""
    pace: int | None = None
    """Milliseconds that the last one took."""
    begun: deque[int] = field(default_factory=deque)
    """Moments of the last ones, where their rate is limited."""
    failures: int = 0
    """Failures that are not yet counted in the table, and when some last were."""
    counted_at: int = 0


class Standings:
    """What one process knows of integrations at this moment."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._processes = table.hub.config.deliver_processes
        self._known: dict[_Where, tuple[int, Standing]] = {}
        self._places: dict[_Where, _Places] = defaultdict(_Places)
        self._changing: dict[_Where, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()
        self._left = threading.Condition(self._lock)

    def now(self, tenant: str, integration_id: str) -> Standing:
        """Return an integration and its condition as they are now."""
        moment = self._table.hub.now()
        known = self._known.get((tenant, integration_id))
        if known is not None and 0 <= moment - known[0] < _FRESH:
            return known[1]
        found = standings.standing(self._table, tenant, integration_id)
        self._remember((tenant, integration_id), moment, found)
        return found

    def change(self, tenant: str, integration_id: str, change: Change) -> Standing:
        """Change a condition, for this process and all others; return how the integration stands then."""
        where = (tenant, integration_id)
        with self._lock:
            one_at_a_time = self._changing[where]
        with one_at_a_time:  # this process does not compete with itself
            known = self.now(tenant, integration_id)
            found = standings.change(self._table, tenant, integration_id, change, known)
            if found is not known:
                self._remember(where, self._table.hub.now(), found)
        return found

    def failed(
        self, tenant: str, integration_id: str, change: Callable[[Condition, int], Condition]
    ) -> Condition:
        """Change a condition after a failure.  ``change`` learns how many were not yet counted.

        What only counts is written once a second; a process that ends before has counted too few.
        """
        where, now = (tenant, integration_id), self._table.hub.now()
        condition = self.now(tenant, integration_id).condition
        with self._lock:
            places = self._places[where]
            places.failures += 1
            times = places.failures
            known = change(condition, times)
            if now - places.counted_at < _COUNT_EVERY and not breaker.urgent(condition, known):
                return known
            places.failures, places.counted_at = 0, now
        return self.change(tenant, integration_id, lambda found: change(found, times)).condition

    def succeeded(self, integration: Integration) -> None:
        """Remember that an endpoint works, if it did not."""
        where, now = (integration.tenant, integration.id), self._table.hub.now()
        with self._lock:
            self._places[where].failures = 0
        self.change(*where, lambda found: breaker.succeeded(found, now, integration.concurrency))

    def disable(self, tenant: str, integration_id: str, reason: str) -> None:
        """Disable an integration in the hub's name; what is pending waits."""
        while True:
            found = integrations.find(self._table, tenant, integration_id)
            if found is None or not found.enabled:
                break
            disabled = {"at": to_rfc3339(self._table.hub.now()), "reason": reason}
            try:
                integrations.save(self._table, replace(found, enabled=False, disabled=disabled))
            except ConflictError:
                continue
            break
        with self._lock:
            self._known.pop((tenant, integration_id), None)

    # --- places ---------------------------------------------------------------------------------------

    @contextmanager
    def place(
        self, integration: Integration, limit: int | None, *, alone: bool = False
    ) -> Iterator[int]:
        """Take a place for one attempt; yield 0, or the milliseconds after which to ask again.

        ``alone``: no other process sends to it, so that no share has to be left.
        """
        where = (integration.tenant, integration.id)
        most = self.share(integration, limit, alone=alone)
        with self._left:
            places = self._places[where]
            if len(places.under_way) >= most and places.pace is not None and places.pace < _QUICK:
                self._left.wait_for(lambda: len(places.under_way) < most, _PATIENCE)
            begun = self._table.hub.now()
            wait = self._take(places, integration, most, begun, alone=alone)
        if wait:
            yield wait
            return
        try:
            yield 0
        finally:
            with self._left:
                places.under_way.remove(begun)
                places.pace = self._table.hub.now() - begun
                self._left.notify_all()

    def slow(self, integration: Integration) -> bool:
        """Say whether attempts take so long that there will be no place soon."""
        with self._lock:
            places = self._places[integration.tenant, integration.id]
            now = self._table.hub.now()
            longest = now - min(places.under_way, default=now)
        return max(longest, places.pace or 0) >= _SLOW

    def share(self, integration: Integration, limit: int | None, *, alone: bool = False) -> int:
        """Return how many attempts at a time are this process's."""
        most = min(integration.concurrency, limit or integration.concurrency)
        return most if alone else -(-most // self._processes)

    def _take(
        self, places: _Places, integration: Integration, most: int, now: int, *, alone: bool
    ) -> int:
        if len(places.under_way) >= most:
            return _BUSY
        rate = integration.rate_limit
        if rate is not None:
            period, requests = int(rate["seconds"]) * 1000, int(rate["requests"])
            while places.begun and places.begun[0] <= now - period:
                places.begun.popleft()
            if len(places.begun) >= (requests if alone else -(-requests // self._processes)):
                return max(1, places.begun[0] + period - now)
            places.begun.append(now)
        places.under_way.append(now)
        return 0

    def _remember(self, where: _Where, moment: int, found: Standing) -> None:
        with self._lock:
            if len(self._known) > _MOST:
                self._known.clear()
            self._known[where] = (moment, found)
