"""History put through today's adapter, in order of arrival, slice by slice.

A slice is bounded in payloads and time, and one message at a time asks for the next: what arrives now
waits for a moment at most.  A payload that says today what is stored of it costs reads alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from chalicelib import archive, inbox, telemetry, vendors
from chalicelib.aws import Hub, hub
from chalicelib.model.envelope import Envelope
from chalicelib.reading import read
from chalicelib.store import connections, corrections, jobs, quarantine
from chalicelib.store.connections import Connection
from chalicelib.store.jobs import DONE, FAILED, RUNNING, Job
from chalicelib.store.said import Provenance
from chalicelib.store.table import ConflictError, table_of

SLICE = 200
"""Payloads of a slice at most ..."""
_SLICE_MS = 10_000
"""... and milliseconds after which none is begun."""
_EXAMPLES = 20


def work(the_hub: Hub, asked: Mapping[str, Any]) -> None:
    """Do one slice of a job and ask for the next.  Doing it again changes nothing.

    Raises what AWS raises; the message then comes again.
    """
    table = table_of(the_hub)
    job = jobs.find(table, asked["tenant"], asked["connection"], asked["id"])
    if job is None or job.state != RUNNING or job.slices != asked["slices"]:
        return
    connection = connections.find(table, job.connection_id)
    if connection is None or connection.deleted_at is not None:
        _save(the_hub, job.ended(FAILED, the_hub.now(), "the connection was deleted"))
        return
    done = _slice(the_hub, connection, job)
    if done.state == RUNNING:
        done = replace(done, slices=job.slices + 1, tries=1)
    saved = _save(the_hub, done)
    if saved is not None and saved.state == RUNNING:
        inbox.work_on(the_hub, saved)


def sweep(the_hub: Hub | None = None) -> int:
    """Ask again for slices whose messages were lost; return how many jobs that were.

    A slice that fails again and again ends its job: somebody has to look into the log.
    """
    the_hub = the_hub or hub()
    found = 0
    for job in jobs.due(table_of(the_hub), the_hub.now()):
        if job.tries >= jobs.TRIES:
            reason = f"slice {job.slices + 1} failed {job.tries} times: see the log"
            _save(the_hub, job.ended(FAILED, the_hub.now(), reason))
            continue
        saved = _save(the_hub, replace(job, tries=job.tries + 1))
        if saved is not None:
            inbox.work_on(the_hub, saved)
            found += 1
    return found


def _save(the_hub: Hub, job: Job) -> Job | None:
    try:
        return jobs.save(table_of(the_hub), job, the_hub.now())
    except ConflictError:
        return None  # somebody else did this slice, and asks for the next


def _slice(the_hub: Hub, connection: Connection, job: Job) -> Job:
    counts, examples = Counter(job.counts), list(job.examples)
    begun, number, place = the_hub.now(), 0, job.place
    walk = archive.walk(the_hub, job.tenant, connection.id, job.start, job.end, job.place)
    for envelope in walk:
        if number >= SLICE or the_hub.now() - begun > _SLICE_MS:
            return replace(job, place=place, counts=counts, examples=tuple(examples))
        found = _again(the_hub, connection, archive.whole(the_hub, envelope), write=not job.dry_run)
        counts.update({"payloads": 1, "unchanged": not found})
        for what, shown in found:
            counts[what] += 1
            if len(examples) < _EXAMPLES:
                examples.append({"change": what, "receipt_id": envelope.receipt_id, **shown})
        number, place = number + 1, archive.place_of(envelope)
    done = replace(job, place=place, counts=counts, examples=tuple(examples))
    return done.ended(DONE, the_hub.now())


def _again(
    the_hub: Hub, connection: Connection, envelope: Envelope, *, write: bool
) -> list[tuple[str, dict[str, Any]]]:
    """Put one payload through again; return what that changes."""
    table, tenant = table_of(the_hub), connection.tenant
    assembly = read(connection, envelope).assembly
    correction = corrections.of_payload(table, tenant, assembly, envelope.receipt_id)
    refused = {bad.path: bad for bad in assembly.rejected}
    kept = quarantine.of_receipt(table, tenant, envelope.receipt_id)
    if write:
        version = vendors.adapter(connection.vendor).version
        source = Provenance(connection.id, envelope.receipt_id, version)
        correction.write(table, tenant, source)
        for path in refused.keys() - kept.keys():
            quarantine.keep(table, tenant, connection.id, envelope.receipt_id, refused[path])
        for path in kept.keys() - refused.keys():
            quarantine.release(table, tenant, envelope.receipt_id, path)
        if correction.changed or correction.withdrawn:
            telemetry.count(dimensions={"vendor": connection.vendor}, renormalized=1)
    found = [
        (what, {"id": identity, "before": before, "after": after})
        for what, identity, before, after in correction.differences()
    ]
    found += [
        ("quarantined", _bad(path, None, refused[path].reason))
        for path in sorted(refused.keys() - kept.keys())
    ]
    found += [
        ("released", _bad(path, kept[path], None)) for path in sorted(kept.keys() - refused.keys())
    ]
    return found


def _bad(path: str, before: str | None, after: str | None) -> dict[str, Any]:
    return {"id": path, "before": before, "after": after}
