"""Stalled exports: whose message was lost, or failed as often as a queue tries."""

from __future__ import annotations

from chalicelib import aws, exportation
from chalicelib.store import exports
from chalicelib.store.table import ConflictError, table_of


def sweep(hub: aws.Hub | None = None) -> int:
    """Name the next slice of every stalled export to the queue again; return of how many."""
    table = table_of(hub or aws.hub())
    revived = 0
    for export in exports.stalled(table, table.hub.now()):
        try:
            # Written first: the slice may be done before we could.
            exportation.enqueue(table.hub, exports.save(table, export))
        except ConflictError:
            continue  # it took a step this very moment
        revived += 1
    return revived
