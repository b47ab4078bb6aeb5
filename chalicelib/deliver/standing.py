"""Integrations as they are now: read again after half a second, paused where they asked for it.

Here the circuit breaker of a failing endpoint will live: whatever says "not now" to an integration
says it through :meth:`Standings.now`, before every attempt.
"""

from __future__ import annotations

import threading
from dataclasses import replace

from chalicelib.model.times import to_rfc3339
from chalicelib.store import deliveries, integrations
from chalicelib.store.deliveries import Standing
from chalicelib.store.table import ConflictError, Table

_FRESH = 500
"""Milliseconds for which what was read stands: a second after a deletion nothing is sent any more."""
_MOST = 10_000


class Standings:
    """What one process knows of integrations at this moment."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._known: dict[tuple[str, str], tuple[int, Standing]] = {}
        self._lock = threading.Lock()

    def now(self, tenant: str, integration_id: str) -> Standing:
        """Return an integration and its pause as they are now."""
        moment = self._table.hub.now()
        known = self._known.get((tenant, integration_id))
        if known is not None and 0 <= moment - known[0] < _FRESH:
            return known[1]
        found = deliveries.standing(self._table, tenant, integration_id)
        self._remember(tenant, integration_id, moment, found)
        return found

    def pause(self, tenant: str, integration_id: str, until: int) -> None:
        """Let nothing new go to an integration before a moment, in this process and in all others."""
        known = self.now(tenant, integration_id)
        if until <= known.paused_until:
            return
        deliveries.pause(self._table, tenant, integration_id, until)
        found = replace(known, paused_until=until)
        self._remember(tenant, integration_id, self._table.hub.now(), found)

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

    def _remember(self, tenant: str, integration_id: str, moment: int, found: Standing) -> None:
        with self._lock:
            if len(self._known) > _MOST:
                self._known.clear()
            self._known[tenant, integration_id] = (moment, found)
