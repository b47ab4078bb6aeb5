"""Parked deliveries: rows whose time is beyond what the queue can delay, those it has lost, and lanes."""

from __future__ import annotations

from chalicelib import aws, outbox, telemetry
from chalicelib.security import new_id
from chalicelib.store import deliveries, standings
from chalicelib.store.standings import Lane
from chalicelib.store.table import ConflictError, Table, table_of


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
    return found + sum(_kick(table, lane) for lane in standings.lanes_due(table, table.hub.now()))


def tell_ages(hub: aws.Hub | None = None) -> int:
    """Publish how long the oldest delivery of every lane has waited; return how many lanes there are.

    Latencies alone would hide them: what is held back is not attempted.
    """
    table = table_of(hub or aws.hub())
    found = 0
    for lane in standings.lanes(table):
        first = next(deliveries.waiting(table, lane.tenant, lane.integration_id), None)
        age = table.hub.now() - first.created_at if first is not None else 0
        dimensions = {"integration": lane.integration_id}
        telemetry.count("Milliseconds", dimensions=dimensions, undelivered=age)
        found += 1
    return found


def _kick(table: Table, lane: Lane) -> bool:
    """Have somebody drain a lane whose token was lost."""
    token, now = new_id("run"), table.hub.now()
    where = (lane.tenant, lane.integration_id)
    taken = standings.claimed(token, "", now, now + standings.KICKED)
    if standings.change(table, *where, taken).condition.lane != token:
        return False
    outbox.drain(table.hub, *where, token)
    return True
