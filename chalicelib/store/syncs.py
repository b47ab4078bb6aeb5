"""Syncs of connections: one at a time each, and when the next is due.

A sync is a job of its connection; beside it one small row says which, how far history is fetched, and the
next moment of the schedule.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

from chalicelib.model.times import to_rfc3339
from chalicelib.store import jobs, keys
from chalicelib.store.jobs import RUNNING, Job
from chalicelib.store.table import VERSION, ConflictError, Key, Plain, Table, pack, unpack

KIND, FAILED = "sync", "failed"
EVERY = 6 * 3_600_000
"""Milliseconds from one sync of the schedule to the next."""
_DUE = "SYNCS"
"""The partition of ``by_state`` that lists connections by the moment of their next sync."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Where the syncs of a connection stand.  Moments in milliseconds."""

    job: str | None = None
    """The latest sync."""
    fetched_to: int | None = None
    """Until when history was fetched."""
    next_at: int | None = None
    version: int = 0


def schedule(table: Table, tenant: str, connection_id: str) -> Schedule:
    """Return where the syncs of a connection stand."""
    item = table.get(_key(tenant, connection_id))
    return Schedule(**unpack(item["d"]), version=int(item[VERSION])) if item else Schedule()


def latest(table: Table, tenant: str, connection_id: str) -> Job | None:
    """Return the latest sync of a connection, if there ever was one."""
    known = schedule(table, tenant, connection_id).job
    return jobs.find(table, tenant, connection_id, known) if known else None


def begin(table: Table, job: Job, start: int, overlap: int) -> Job | None:
    """Store a new sync of history from ``start`` on, or from shortly before where the last one ended.

    ``None`` if one is under way.
    """
    now = table.hub.now()
    known = schedule(table, job.tenant, job.owner)
    before = jobs.find(table, job.tenant, job.owner, known.job) if known.job else None
    if before is not None and before.state == RUNNING:
        return None
    since = max(start, (known.fetched_to or 0) - overlap)
    try:
        _save(table, job, replace(known, job=job.id, next_at=now + EVERY))
    except ConflictError:
        return None  # somebody else has just begun one
    return jobs.save(table, replace(job, request={"from": since, "to": now}))


def end(table: Table, job: Job) -> None:
    """Remember how far a sync has fetched history."""
    while True:
        known = schedule(table, job.tenant, job.owner)
        reached = max(known.fetched_to or 0, job.request["to"])
        try:
            _save(table, job, replace(known, fetched_to=reached))
        except ConflictError:
            continue
        return


def plan(table: Table, tenant: str, connection_id: str, at: int | None) -> None:
    """Have a connection synced at a moment and regularly from then on, or (``None``) no more."""
    where = Job("", tenant, connection_id, KIND, 0)
    while True:
        try:
            _save(table, where, replace(schedule(table, tenant, connection_id), next_at=at))
        except ConflictError:
            continue
        return


def due(table: Table, now: int) -> Iterator[tuple[str, str]]:
    """Yield tenant and id of every connection whose next sync is due."""
    for item in table.walk(_DUE, "0", f"{to_rfc3339(now)}#~", index="by_state"):
        yield keys.connection_of(item["pk"])


def _save(table: Table, job: Job, known: Schedule) -> None:
    body = {name: value for name, value in asdict(known).items() if name != "version"}
    item: Plain = {"d": pack(body)}
    if known.next_at is not None:
        item |= {"g2pk": _DUE, "g2sk": f"{to_rfc3339(known.next_at)}#{job.owner}"}
    read = {VERSION: known.version} if known.version else None
    table.replace(_key(job.tenant, job.owner), item, read)


def _key(tenant: str, connection_id: str) -> Key:
    return Key(keys.connection_pk(tenant, connection_id), "SYNC")
