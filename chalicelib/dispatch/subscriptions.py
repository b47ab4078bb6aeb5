"""Who wants what: a tenant's enabled integrations with their filters, remembered for two seconds."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from chalicelib import aws
from chalicelib.model.cloudevents import CloudEvent
from chalicelib.model.matching import Filter, facts_of
from chalicelib.store import devices, integrations
from chalicelib.store.integrations import Integration
from chalicelib.store.table import Table, table_of

_FRESH = 2000
"""Milliseconds for which what was read stands: the API promises that changes act within 3 s."""
_MOST = 10_000
"""Devices whose labels are remembered at a time."""
_Labels = tuple[Sequence[str], Sequence[str]]


class Subscription(NamedTuple):
    """An enabled integration and its filter, ready to be asked."""

    integration: Integration
    filter: Filter


class Subscriptions:
    """What one process remembers of integrations, and of the labels their filters ask for."""

    def __init__(self, hub: aws.Hub) -> None:
        self._hub = hub
        self._table: Table = table_of(hub)
        self._tenants: dict[str, tuple[int, list[Subscription]]] = {}
        self._labels: dict[tuple[str, str], tuple[int, _Labels]] = {}
        self._lock = threading.Lock()

    def of(self, tenant: str) -> list[Subscription]:
        """Return a tenant's enabled subscriptions, read at most two seconds ago."""
        now = self._hub.now()
        known = self._tenants.get(tenant)
        if known is not None and 0 <= now - known[0] < _FRESH:
            return known[1]
        found = [
            Subscription(each, Filter.of(each.filter))
            for each in integrations.integrations(self._table, tenant)
            if each.enabled
        ]
        self._tenants[tenant] = (now, found)
        return found

    def matching(
        self, tenant: str, events: Sequence[CloudEvent]
    ) -> Iterator[tuple[Integration, list[CloudEvent]]]:
        """Yield each integration that wants some of the events, with those, in their order."""
        subscriptions = self.of(tenant)
        if not subscriptions or not events:
            return
        labels: dict[str, _Labels] = {}
        if any(each.filter.labels for each in subscriptions):
            labels = self._labels_of(tenant, {event["subject"] for event in events})
        facts = [facts_of(event, *labels.get(event["subject"], ((), ()))) for event in events]
        for integration, wanted in subscriptions:
            found = [
                event for event, known in zip(events, facts, strict=True) if wanted.matches(known)
            ]
            if found:
                yield integration, found

    def _labels_of(self, tenant: str, device_ids: Iterable[str]) -> dict[str, _Labels]:
        now = self._hub.now()
        found: dict[str, _Labels] = {}
        missing: list[str] = []
        with self._lock:
            for device_id in device_ids:
                known = self._labels.get((tenant, device_id))
                if known is not None and 0 <= now - known[0] < _FRESH:
                    found[device_id] = known[1]
                else:
                    missing.append(device_id)
        read = devices.labels(self._table, tenant, missing) if missing else {}
        with self._lock:
            if len(self._labels) > _MOST:
                self._labels.clear()
            for device_id in missing:
                found[device_id] = read.get(device_id, ((), ()))
                self._labels[tenant, device_id] = (now, found[device_id])
        return found


@lru_cache(maxsize=8)
def subscriptions_of(hub: aws.Hub) -> Subscriptions:
    """Return what this process remembers for a hub."""
    return Subscriptions(hub)
