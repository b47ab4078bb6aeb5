"""Integrations as they are now: read again after half a second, and places for attempts at a time.

Whatever says "not now" to an integration says it here, before every attempt.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from chalicelib.model.times import to_rfc3339
from chalicelib.store import integrations, standings
from chalicelib.store.integrations import Integration
from chalicelib.store.standings import Change, Standing
from chalicelib.store.table import ConflictError, Table

_FRESH = 500
"""Milliseconds for which what was read stands: a second after a deletion nothing is sent any more."""
_MOST = 10_000
_BUSY = 1000
"""Milliseconds after which to ask again where all places are taken."""
_Where = tuple[str, str]


@dataclass(slots=True)
class _Places:
    """Attempts under way in this process, and the moments of the last ones where a rate is limited."""

    taken: int = 0
    begun: deque[int] = field(default_factory=deque)


class Standings:
    """What one process knows of integrations at this moment."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._processes = table.hub.config.deliver_processes
        self._known: dict[_Where, tuple[int, Standing]] = {}
        self._places: dict[_Where, _Places] = defaultdict(_Places)
        self._changing: dict[_Where, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()

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
        wait = self._take(
            where, integration, self.share(integration, limit, alone=alone), alone=alone
        )
        try:
            yield wait
        finally:
            if not wait:
                with self._lock:
                    self._places[where].taken -= 1

    def share(self, integration: Integration, limit: int | None, *, alone: bool = False) -> int:
        """Return how many attempts at a time are this process's."""
        most = min(integration.concurrency, limit or integration.concurrency)
        return most if alone else -(-most // self._processes)

    def _take(self, where: _Where, integration: Integration, most: int, *, alone: bool) -> int:
        now = self._table.hub.now()
        with self._lock:
            places = self._places[where]
            if places.taken >= most:
                return _BUSY
            rate = integration.rate_limit
            if rate is not None:
                period = int(rate["seconds"]) * 1000
                requests = int(rate["requests"])
                while places.begun and places.begun[0] <= now - period:
                    places.begun.popleft()
                if len(places.begun) >= (requests if alone else -(-requests // self._processes)):
                    return max(1, places.begun[0] + period - now)
                places.begun.append(now)
            places.taken += 1
            return 0

    def _remember(self, where: _Where, moment: int, found: Standing) -> None:
        with self._lock:
            if len(self._known) > _MOST:
                self._known.clear()
            self._known[where] = (moment, found)
