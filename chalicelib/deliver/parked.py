"""Parked deliveries: rows whose time is beyond what the queue can delay, and those it has lost."""

from __future__ import annotations

from chalicelib import aws, outbox
from chalicelib.store import deliveries
from chalicelib.store.table import ConflictError, table_of


def sweep(hub: aws.Hub | None = None) -> int:
    """Hand every delivery whose time is near to the queue; return how many.

    The message goes first: a sweep that dies in between hands over again, and the second message finds
    the attempt made.
    """
    table = table_of(hub or aws.hub())
    found = 0
    for row in deliveries.due(table, table.hub.now()):
        outbox.schedule(table.hub, row)
        try:
            deliveries.save(table, row, handed_over=True)
        except ConflictError:
            continue  # it is being attempted this very moment
        found += 1
    return found
