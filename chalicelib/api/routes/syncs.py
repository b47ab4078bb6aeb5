"""Syncs: an operator has a vendor's inventory and what was missed fetched now, and follows it."""

from __future__ import annotations

from typing import Any

from chalicelib import errands
from chalicelib import vendors as known_vendors
from chalicelib.api.calls import Call
from chalicelib.api.problems import ProblemError, not_found
from chalicelib.api.routes.connections import check_account, existing
from chalicelib.model.times import to_rfc3339
from chalicelib.store import jobs, syncs
from chalicelib.store.jobs import Job


def begin(call: Call) -> Any:
    """Begin a sync of a connection."""
    connection = existing(call)
    client = known_vendors.client(connection.vendor)
    if client is None or client.sync is None:
        detail = f"The hub knows no API of {connection.vendor} that it could ask."
        raise ProblemError("conflict", detail)
    check_account(client, connection)
    job = errands.begin_sync(call.hub, connection)
    if job is None:
        raise ProblemError("conflict", "Another sync of this connection is under way.")
    return {"id": job.id}


def list_syncs(call: Call) -> Any:
    """List a connection's syncs, newest first."""
    connection = existing(call)
    page = jobs.jobs(call.table, call.tenant, connection.id, limit=call.limit, after=call.after)
    return call.page([as_json(jobs.job_of(item)) for item in page.items], page.after)


def read(call: Call) -> Any:
    """Read how far a sync is."""
    connection = existing(call)
    job = jobs.find(call.table, call.tenant, connection.id, call.path["sync_id"])
    if job is None or job.kind != syncs.KIND:
        raise not_found("sync")
    return as_json(job)


def as_json(job: Job) -> dict[str, Any]:
    """Return a sync as the API shows it."""
    place = job.place or {}
    return {
        "id": job.id,
        "connection_id": job.owner,
        "state": job.state,
        "from": to_rfc3339(job.request["from"]),
        "to": to_rfc3339(job.request["to"]),
        "requests": job.looked_at,
        "payloads": job.count,
        "skipped": place.get("skipped", 0),
        "reason": place.get("reason"),
        "requested_at": to_rfc3339(job.created_at),
        "finished_at": to_rfc3339(job.finished_at) if job.finished_at is not None else None,
    }
