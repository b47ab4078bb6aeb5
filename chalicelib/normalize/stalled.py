"""Stalled renormalizations: whose message was lost, or failed as often as a queue tries."""

from __future__ import annotations

from dataclasses import replace

from chalicelib import aws, renormalization
from chalicelib.store import renormalizations
from chalicelib.store.renormalizations import FAILED
from chalicelib.store.table import ConflictError, table_of

_REVIVALS = 5


def sweep(hub: aws.Hub | None = None) -> int:
    """Name the next step of every stalled order to the queue again; return of how many.

    One that was revived five times and took no step fails: the inbound dead letters tell why.
    """
    table = table_of(hub or aws.hub())
    now = table.hub.now()
    revived = 0
    for order in renormalizations.stalled(table, now):
        try:
            if order.stalls == _REVIVALS:
                reason = "A step failed again and again: see renormalize.failed in the log."
                failed = replace(order, state=FAILED, reason=reason, finished_at=now)
                renormalizations.save(table, failed)
                continue
            renormalization.enqueue(table.hub, order)
            renormalizations.save(table, replace(order, stalls=order.stalls + 1))
        except ConflictError:
            continue  # it took a step this very moment
        revived += 1
    return revived
