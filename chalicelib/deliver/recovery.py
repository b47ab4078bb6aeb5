"""Recovery: what an operator has put through again, done in slices between the deliveries.

A slice is a message of the deliveries queue like any other.  It enqueues about a thousand events, or ends
after ten seconds, and names the next slice behind what it has enqueued: so a job of any size keeps
about a slice ahead of live events.  A slice done twice enqueues the same under the same ids.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from chalicelib import aws, outbox
from chalicelib.deliver import breaker, dead_letters
from chalicelib.model.cloudevents import CloudEvent
from chalicelib.model.times import FIRST, from_rfc3339
from chalicelib.store import deliveries, jobs, standings
from chalicelib.store.deliveries import DEAD, PENDING, Delivery
from chalicelib.store.history import History, Place
from chalicelib.store.integrations import Integration
from chalicelib.store.jobs import CANCELLED, DONE, RUNNING, Job
from chalicelib.store.table import ConflictError, Table, table_of

if TYPE_CHECKING:
    from chalicelib.aws import Hub

_LETTERS = 20_000
"""Letters that a redrive looks at: others' come back after a while, and would be looked at for ever."""
_ASIDE = 30_000
"""Milliseconds after which a job of a disabled integration is looked at again."""
_PATIENCE = 900_000
"""The same for a job that was just named again: the queue may be long, so do not lengthen it."""
_LONGEST_DELAY = 900


@dataclass(frozen=True, slots=True)
class Size:
    """How much one slice does."""

    events: int = 1000
    """Events that are enqueued, about."""
    chunk: int = 100
    """Events that are kept in memory before they are enqueued, about."""
    rows: int = 200
    """Deliveries that are looked at."""
    milliseconds: int = 10_000


SLICE = Size()


def take(hub: Hub, message: Mapping[str, Any], *, again: bool, size: Size) -> None:
    """Do the slice that a message names.  Raises whatever AWS raises; the message then comes again."""
    table = table_of(hub)
    job = jobs.find(table, message["tenant"], message["integration"], message["job"])
    if job is None or job.state != RUNNING:
        return
    if job.slice != message["slice"]:
        if again:
            outbox.hand_on(hub, job)  # whoever did the slice may have died before saying so
        return
    standing = standings.standing(table, job.tenant, job.owner)
    wait = breaker.wait(standing.condition, hub.now())
    if standing.integration is None and job.kind != "cancel":
        _save(table, replace(job, state=CANCELLED, finished_at=hub.now()))
    elif job.kind == "replay" and standing.integration and not standing.integration.enabled:
        # Nothing new is enqueued for it; the sweep names the job again until it is enabled.
        _save(table, job, wake=_ASIDE - jobs.GRACE)
    elif job.kind == "replay" and wait > 0:
        delay = min(-(-wait // 1000), _LONGEST_DELAY)
        _save(table, job, wake=delay * 1000)
        outbox.hand_on(hub, job, delay)
    else:
        done = _KINDS[job.kind](hub, job, standing.integration, size)
        if done.place is None:
            done = replace(done, state=DONE, finished_at=hub.now())
        stored = _save(table, replace(done, slice=job.slice + 1))
        if stored is not None and stored.state == RUNNING:
            outbox.hand_on(hub, stored)


def sweep(hub: aws.Hub | None = None) -> int:
    """Name every job again whose message must be lost; return how many."""
    table = table_of(hub or aws.hub())
    found = 0
    for job in jobs.due(table, table.hub.now(), _KINDS):
        # Written first: the slice may be done before we could, and its own writing must not fail over ours.
        stored = _save(table, job, wake=_PATIENCE)
        if stored is not None:
            outbox.hand_on(table.hub, stored)
            found += 1
    return found


def _save(table: Table, job: Job, *, wake: int = 0) -> Job | None:
    """Write a job; ``None`` if somebody else did the slice: theirs counts, and they go on."""
    try:
        return jobs.save(table, job, wake=wake)
    except ConflictError:
        return None


# --- the kinds: each does a slice and returns the job with where it goes on (None: it is through) ------


def _replay(hub: Hub, job: Job, integration: Integration | None, size: Size) -> Job:
    assert integration is not None, "a job without its integration is cancelled"  # noqa: S101
    wanted, begun = job.request, hub.now()
    history = History(table_of(hub), job.tenant, wanted["filter"], wanted["from"], wanted["to"])
    waiting: list[CloudEvent] = []
    count = looked_at = 0
    for step in history.walk(Place.of(job.place)):
        waiting += step.events
        count, looked_at = count + len(step.events), looked_at + step.looked_at
        full = count >= size.events or hub.now() - begun >= size.milliseconds
        if len(waiting) >= size.chunk or full:
            _enqueue(hub, job, integration, waiting)
            waiting = []
        if full:
            return _further(job, looked_at, count, step.place)
    _enqueue(hub, job, integration, waiting)
    return _further(job, looked_at, count, None)


def _enqueue(hub: Hub, job: Job, integration: Integration, events: Sequence[CloudEvent]) -> None:
    again = [event | {"tributaryreplay": True} for event in events]
    outbox.enqueue(hub, job.tenant, integration, again, job.id)


def _retry(hub: Hub, job: Job, _: Integration | None, size: Size) -> Job:
    """Attempt again what failed since a moment and has not been attempted since the job began."""
    since = int(job.request["since"])

    def failed(row: Delivery) -> bool:
        return (
            row.state in {DEAD, PENDING}
            and bool(row.attempts)
            and since <= _failed_at(row) < job.created_at
        )

    return _each(hub, job, size, failed, lambda row: outbox.retry(hub, job.tenant, row.id, failed))


def _redrive(hub: Hub, job: Job, _: Integration | None, size: Size) -> Job:
    """Attempt again what is dead, then take the integration's letters out of the dead-letter queues."""

    def dead(row: Delivery) -> bool:
        return row.state == DEAD and _failed_at(row) < job.created_at

    if not isinstance(job.place, int):
        rows = _each(hub, job, size, dead, lambda row: outbox.retry(hub, job.tenant, row.id, dead))
        return rows if rows.place is not None else replace(rows, place=0)
    drained = dead_letters.drain(hub, job.tenant, job.owner, dead, job.id)
    seen = job.place + drained.looked_at
    place = seen if drained.more and seen < _LETTERS else None
    return _further(job, drained.looked_at, drained.redriven, place)


def _cancel(hub: Hub, job: Job, integration: Integration | None, size: Size) -> Job:
    """Give up what a deleted integration still waits for."""
    if integration is not None:
        return replace(
            job, place=None
        )  # whoever began to delete it died; a second try begins again

    def pending(row: Delivery) -> bool:
        return row.state == PENDING

    return _each(
        hub, job, size, pending, lambda row: deliveries.cancel(table_of(hub), job.tenant, row.id)
    )


def _each(
    hub: Hub,
    job: Job,
    size: Size,
    wanted: Callable[[Delivery], bool],
    act: Callable[[Delivery], bool],
) -> Job:
    """Act on the next deliveries, oldest first, of those that began before the job."""
    page = deliveries.in_order(
        table_of(hub), job.tenant, job.owner, job.created_at + 1, limit=size.rows, after=job.place
    )
    rows = [row for item in page.items if wanted(row := deliveries.delivery_of(item))]
    return _further(job, len(page.items), sum(act(row) for row in rows), page.after)


def _further(job: Job, looked_at: int, count: int, place: Any) -> Job:
    return replace(job, place=place, looked_at=job.looked_at + looked_at, count=job.count + count)


def _failed_at(row: Delivery) -> int:
    """Return when the last attempt ended (ms; before all time: there was none)."""
    if not row.attempts:
        return FIRST
    last = row.attempts[-1]
    return (from_rfc3339(last["at"]) or FIRST) + int(last["latency_ms"])


_KINDS: Mapping[str, Callable[[Hub, Job, Integration | None, Size], Job]] = {
    "replay": _replay,
    "retry": _retry,
    "redrive": _redrive,
    "cancel": _cancel,
}
