"""Order: each device's deliveries one at a time, as they were committed; devices side by side.

A queue that keeps order hands out one message of a device at a time.  What cannot be delivered at once
stands in the device's line in the table, and so does everything that comes for the device after it: the
first in line is attempted on the schedule, and when it is delivered or given up, the next one leads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from chalicelib import outbox
from chalicelib.deliver import breaker
from chalicelib.deliver.standing import Standings
from chalicelib.model.cloudevents import CloudEvent
from chalicelib.store import deliveries
from chalicelib.store.deliveries import PENDING, Delivery
from chalicelib.store.integrations import Integration
from chalicelib.store.standings import Standing
from chalicelib.store.table import ConflictError, Table

Attempt = Callable[[Integration, Delivery, Sequence[CloudEvent]], bool]
"""Attempts a delivery that nobody has attempted, and stores it if that fails; True if delivered."""
Rows = Callable[[Integration], Iterable[tuple[Delivery, Sequence[CloudEvent]]]]
"""Makes the deliveries of a message, each as it is stored where it is."""


class InOrder:
    """The lines of devices, as one process sees them."""

    def __init__(self, table: Table, standings: Standings) -> None:
        self._table = table
        self._standings = standings

    def take(
        self,
        where: tuple[str, str],
        device: str,
        rows: Rows,
        attempt: Attempt,
    ) -> None:
        """Deal with a message of one device: deliver what it carries, or let it stand in line."""
        integration = self._standings.now(*where).integration
        if integration is None:
            return
        ahead = deliveries.first_in_line(self._table, *where, device)
        for made, events in rows(integration):
            row = made
            standing = self._standings.now(*where)
            if standing.integration is None:
                return
            if row.version:
                # This message was received before: whoever stored it may have died before it stood in line.
                if row.state == PENDING:
                    self._stand(standing.integration, row, device)
                    ahead = row
                continue
            if ahead is None and self._free(standing):
                with self._standings.place(standing.integration, standing.condition.limit) as wait:
                    if not wait and attempt(standing.integration, row, events):
                        continue
                if not wait:
                    stored = deliveries.find(self._table, row.tenant, row.id)
                    if stored is not None and stored.state == PENDING:
                        deliveries.stand_in_line(self._table, stored)
                        ahead = stored
                    continue
            row = deliveries.save(self._table, replace(row, behind=True))
            self._stand(standing.integration, row, device)
            ahead = row

    def next(self, row: Delivery) -> None:
        """Let the next one lead after a delivery has ended.  Doing it again does no harm."""
        deliveries.leave_line(self._table, row)
        integration = self._standings.now(row.tenant, row.integration_id).integration
        if integration is None:
            return
        device = deliveries.events_of(self._table, row)[0]["subject"]
        first = deliveries.first_in_line(self._table, row.tenant, row.integration_id, device)
        if first is not None:
            self._lead(integration, first)

    def _free(self, standing: Standing) -> bool:
        """Say whether a device without a line may be sent to at once."""
        integration = standing.integration
        now = self._table.hub.now()
        return (
            integration is not None
            and integration.enabled
            and not standing.condition.waits
            and breaker.wait(standing.condition, now) == 0
        )

    def _stand(self, integration: Integration, row: Delivery, device: str) -> None:
        deliveries.stand_in_line(self._table, row)
        first = deliveries.first_in_line(self._table, row.tenant, row.integration_id, device)
        if first is not None and first.id == row.id:
            self._lead(integration, first)  # nobody else will

    def _lead(self, integration: Integration, row: Delivery) -> None:
        """Have a delivery attempted that nobody stands before."""
        if not row.behind:
            return  # it leads already
        now = self._table.hub.now()
        condition = self._standings.now(row.tenant, row.integration_id).condition
        due = now + breaker.wait(condition, now) if integration.enabled else None
        try:
            row = deliveries.save(self._table, replace(row, behind=False, next_attempt_at=due))
        except ConflictError:
            return  # somebody else lets it lead
        outbox.schedule(self._table.hub, row)
