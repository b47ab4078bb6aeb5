"""The schedule of syncs, and those whose message was lost."""

from __future__ import annotations

from chalicelib import aws, errands
from chalicelib.store import connections, jobs, syncs
from chalicelib.store.table import ConflictError, table_of
from chalicelib.sync.fetching import sync_of

_PATIENCE = 900_000
"""Milliseconds after which a sync that was just named again is looked at again."""


def sweep(hub: aws.Hub | None = None) -> int:
    """Begin every sync that is due and go on with those that stand still; return how many."""
    table = table_of(hub or aws.hub())
    now, found = table.hub.now(), 0
    for tenant, identity in syncs.due(table, now):
        connection = connections.find(table, identity)
        if connection is None or connection.sealed is None or sync_of(connection) is None:
            syncs.plan(table, tenant, identity, None)
        elif errands.begin_sync(table.hub, connection) is None:
            syncs.plan(table, tenant, identity, now + syncs.EVERY)
        else:
            found += 1
    for job in jobs.due(table, now, (syncs.KIND,)):
        try:
            errands.hand_on(table.hub, jobs.save(table, job, wake=_PATIENCE))
        except ConflictError:
            continue  # its slice has just been done
        found += 1
    return found
