"""Renormalizations: history put through today's adapter, off the request, in slices, to be followed.

The row says how far a job is; a queue message names the row and the slice that is to be done.  A slice
that was done moves the row on, so that a message for it means nothing any more; a job whose message was
lost is found by the sweep.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from chalicelib.model.times import to_rfc3339
from chalicelib.store import keys
from chalicelib.store.table import VERSION, Key, Plain, Table, pack, unpack

RUNNING, DONE, FAILED = "running", "done", "failed"
PATIENCE = 300_000
"""Milliseconds after which a slice that was not done is asked for again."""
TRIES = 5
"""Times that a slice is asked for, before its job has failed."""
COUNTED = (
    "payloads",
    "unchanged",
    "added",
    "corrected",
    "withdrawn",
    "quarantined",
    "released",
)
"""Payloads, those that change nothing, and what the others change: records, and bad items."""
_RUNNING = "RENORMALIZING"


@dataclass(frozen=True, slots=True)
class Renormalization:
    """History of a connection put through today's adapter: arrivals from ``start`` until before ``end``."""

    id: str
    tenant: str
    connection_id: str
    start: int
    end: int
    dry_run: bool
    created_at: int
    state: str = RUNNING
    slices: int = 0
    """Slices that were done."""
    tries: int = 1
    """How often the present one was asked for."""
    place: tuple[int, str] | None = None
    """The last payload that was dealt with: its arrival and receipt."""
    counts: Mapping[str, int] = field(default_factory=dict)
    examples: tuple[Mapping[str, Any], ...] = ()
    reason: str | None = None
    finished_at: int | None = None
    version: int = 0

    @property
    def progress(self) -> float:
        """How much of the range has been dealt with, from 0 to 1."""
        if self.state == DONE:
            return 1.0
        if self.place is None or self.end <= self.start:
            return 0.0
        return round((self.place[0] - self.start) / (self.end - self.start), 3)

    def ended(self, state: str, now: int, reason: str | None = None) -> Renormalization:
        """Return the job as it ends."""
        return replace(self, state=state, finished_at=now, reason=reason)


def find(table: Table, tenant: str, connection_id: str, identity: str) -> Renormalization | None:
    """Return a job as it is now, or ``None``."""
    item = table.get(keys.job(tenant, connection_id, identity))
    return _job(item) if item else None


def save(table: Table, job: Renormalization, now: int) -> Renormalization:
    """Write a job and return it as stored.  Raises ``ConflictError`` if it changed since it was read."""
    body: Plain = {
        "start": job.start,
        "end": job.end,
        "dry_run": job.dry_run,
        "created_at": job.created_at,
        "state": job.state,
        "slices": job.slices,
        "tries": job.tries,
        "place": job.place,
        "counts": dict(job.counts),
        "examples": list(job.examples),
        "reason": job.reason,
        "finished_at": job.finished_at,
    }
    item: Plain = {"d": pack(body)}
    if job.state == RUNNING:
        item |= {"g2pk": _RUNNING, "g2sk": f"{to_rfc3339(now + PATIENCE)}#{job.id}"}
    read = {VERSION: job.version} if job.version else None
    table.replace(keys.job(job.tenant, job.connection_id, job.id), item, read)
    return replace(job, version=job.version + 1)


def of_connection(table: Table, tenant: str, connection_id: str) -> list[Renormalization]:
    """Return a connection's jobs, newest first (an operator gives tens, not thousands)."""
    pk = keys.connection_pk(tenant, connection_id)
    found = [_job(item) for item in table.walk(pk, keys.JOB, f"{keys.JOB}~", consistent=True)]
    return sorted(found, key=lambda job: (job.created_at, job.id), reverse=True)


def due(table: Table, now: int) -> Iterator[Renormalization]:
    """Yield every job of which nothing was done for too long."""
    for item in table.walk(_RUNNING, "0", to_rfc3339(now), index="by_state"):
        found = table.get(Key(item["pk"], item["sk"]))
        if found is not None and (job := _job(found)).state == RUNNING:
            yield job


def as_json(job: Renormalization) -> Plain:
    """Return a job as the API shows it."""
    return {
        "id": job.id,
        "connection_id": job.connection_id,
        "state": job.state,
        "dry_run": job.dry_run,
        "from": to_rfc3339(job.start),
        "to": to_rfc3339(job.end),
        "created_at": to_rfc3339(job.created_at),
        "finished_at": to_rfc3339(job.finished_at) if job.finished_at is not None else None,
        "progress": job.progress,
        "counts": dict.fromkeys(COUNTED, 0) | dict(job.counts),
        "examples": [dict(example) for example in job.examples],
        "reason": job.reason,
    }


def _job(item: Mapping[str, Any]) -> Renormalization:
    tenant, connection_id = keys.connection_of(item["pk"])
    body = unpack(item["d"])
    place, examples = body.pop("place"), body.pop("examples")
    return Renormalization(
        id=item["sk"].removeprefix(keys.JOB),
        tenant=tenant,
        connection_id=connection_id,
        place=(place[0], place[1]) if place else None,
        examples=tuple(examples),
        version=int(item[VERSION]),
        **body,
    )
