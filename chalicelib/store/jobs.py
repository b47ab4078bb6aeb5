"""Jobs: work that an operator asked for and that is done in slices, off the request.

A job's row says how far it is.  A queue message names the job and its next slice; the slice is done, the row
written, and only then the next slice named.  So a process may die anywhere: at worst a slice is done twice.
A job whose message was lost is found in the ``JOBS`` index a little later.

Renormalizations are rows of their own (``store/renormalizations.py``): of those only one of a connection
may be under way, which their numbered keys ensure, while an integration has any number of jobs; they count
otherwise, can fail, and go through the inbound queue.  What is left in common is a dozen lines.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from chalicelib.model.times import DAY, to_rfc3339
from chalicelib.store import keys
from chalicelib.store.listing import Page, within
from chalicelib.store.table import VERSION, Key, Plain, Table, pack, unpack

RUNNING, DONE, CANCELLED = "running", "done", "cancelled"
RETENTION = 30 * DAY
GRACE = 120_000
"""Milliseconds after which a running job's message must be lost."""
_JOBS = "JOBS"
"""The partition of ``by_state`` that lists running jobs by the moment at which they are looked at."""


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work, for its ``owner`` (an integration or a connection).  Moments in milliseconds."""

    id: str
    tenant: str
    owner: str
    kind: str
    created_at: int
    request: Mapping[str, Any] = field(default_factory=dict)
    """What was asked for, as JSON."""
    state: str = RUNNING
    slice: int = 0
    """How many slices are done: a message that names another one is outdated."""
    place: Any = None
    """Where the next slice begins, as JSON (``None``: at the beginning)."""
    looked_at: int = 0
    count: int = 0
    """How many things were looked at, and how many of them were put through again."""
    finished_at: int | None = None
    version: int = 0


def find(table: Table, tenant: str, owner: str, identity: str) -> Job | None:
    """Return a job as it is now, or ``None``."""
    item = table.get(_key(tenant, owner, identity))
    return job_of(item) if item else None


def save(table: Table, job: Job, *, wake: int = 0) -> Job:
    """Write a job and return it as stored.  Raises ``ConflictError`` if it changed since it was read.

    ``wake`` is how long (ms) its next message may take; a little later it is taken for lost.
    """
    read = {VERSION: job.version} if job.version else None
    table.replace(_key(job.tenant, job.owner, job.id), _item(table, job, wake), read)
    return replace(job, version=job.version + 1)


def jobs(table: Table, tenant: str, owner: str, *, limit: int, after: Plain | None) -> Page:
    """Return a page of an owner's jobs, newest first."""
    partition = _listing(tenant, owner)
    return within(
        table, partition, "", "", limit=limit, after=after, index="by_time", descending=True
    )


def due(table: Table, now: int, kinds: Collection[str]) -> Iterator[Job]:
    """Yield every running job of some kinds whose message must be lost."""
    for item in table.walk(_JOBS, "0", to_rfc3339(now), index="by_state"):
        found = table.get(Key(item["pk"], item["sk"]))
        job = job_of(found) if found else None
        if job is not None and job.state == RUNNING and job.kind in kinds:
            yield job


def job_of(item: Mapping[str, Any]) -> Job:
    """Return the job that a stored item holds."""
    _, tenant, _, owner = item["pk"].split("#", 3)
    body: Plain = unpack(item["d"])
    return Job(id=item["sk"], tenant=tenant, owner=owner, version=int(item[VERSION]), **body)


def _item(table: Table, job: Job, wake: int) -> Plain:
    body = {
        "kind": job.kind,
        "created_at": job.created_at,
        "request": dict(job.request),
        "state": job.state,
        "slice": job.slice,
        "place": job.place,
        "looked_at": job.looked_at,
        "count": job.count,
        "finished_at": job.finished_at,
    }
    item: Plain = {
        "d": pack(body),
        "g1pk": _listing(job.tenant, job.owner),
        "g1sk": f"{to_rfc3339(job.created_at)}#{job.id}",
    }
    if job.state == RUNNING:
        moment = table.hub.now() + wake + GRACE
        item |= {"g2pk": _JOBS, "g2sk": f"{to_rfc3339(moment)}#{job.id}"}
    elif not table.hub.config.keep_all:
        item["expires_at"] = (job.created_at + RETENTION) // 1000
    return item


def _key(tenant: str, owner: str, identity: str) -> Key:
    return Key(f"T#{tenant}#J#{owner}", identity)


def _listing(tenant: str, owner: str) -> str:
    return keys.listing(tenant, f"JOB#{owner}")
