"""History put through today's adapter: commanded, and followed."""

from __future__ import annotations

from typing import Any

from chalicelib import inbox
from chalicelib.api.calls import Call
from chalicelib.api.problems import ProblemError, not_found
from chalicelib.api.routes.connections import existing
from chalicelib.model.times import from_rfc3339
from chalicelib.security import new_id
from chalicelib.store import renormalizations
from chalicelib.store.renormalizations import DONE, RUNNING, Renormalization


def begin(call: Call) -> Any:
    """Have archived payloads of a connection put through again."""
    connection = existing(call)
    start, end = from_rfc3339(call.body.start) or 0, from_rfc3339(call.body.end) or 0
    if start > end:
        raise ProblemError("reversed-range", "`from` is later than `to`.")
    running = [
        job
        for job in renormalizations.of_connection(call.table, call.tenant, connection.id)
        if job.state == RUNNING
    ]
    if running:
        detail = f"{running[0].id} is running on this connection: wait for its end."
        raise ProblemError("conflict", detail)
    now = call.hub.now()
    job = Renormalization(
        new_id("ren"), call.tenant, connection.id, start, end, call.body.dry_run, created_at=now
    )
    job = renormalizations.save(call.table, job if start < end else job.ended(DONE, now), now)
    if job.state == RUNNING:
        inbox.work_on(call.hub, job)
    return {"id": job.id}


def read(call: Call) -> Any:
    """Read how far it is and what it changed."""
    connection = existing(call)
    job = renormalizations.find(call.table, call.tenant, connection.id, call.path["job_id"])
    if job is None:
        raise not_found("job")
    return renormalizations.as_json(job)


def list_jobs(call: Call) -> Any:
    """List a connection's, newest first."""
    connection = existing(call)
    found = renormalizations.of_connection(call.table, call.tenant, connection.id)
    if call.after is not None:
        behind = tuple(call.after)
        found = [each for each in found if _place(each) < behind]
    page = found[: call.limit]
    after = _place(page[-1]) if len(found) > call.limit else None
    return call.page([renormalizations.as_json(each) for each in page], after)


def _place(job: Renormalization) -> tuple[int, str]:
    return job.created_at, job.id
