"""History put through today's adapter, in order of arrival, slice by slice.

A slice is bounded in payloads and time, and one message at a time asks for the next: what arrives now
waits for a moment at most.  A payload that says today what is stored of it costs reads alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from chalicelib import archive, inbox, vendors
from chalicelib.aws import Hub, hub
from chalicelib.model.assembly import Assembly
from chalicelib.model.envelope import Envelope
from chalicelib.model.times import HOUR, hour_of
from chalicelib.reading import read
from chalicelib.store import connections, corrections, quarantine, renormalizations
from chalicelib.store.connections import Connection
from chalicelib.store.renormalizations import DONE, FAILED, RUNNING, Renormalization
from chalicelib.store.said import Provenance
from chalicelib.store.table import ConflictError, table_of

SLICE = 200
"""Payloads of a slice at most ..."""
_SLICE_MS = 10_000
"""... and milliseconds after which none is begun."""
_AT_ONCE = 50
"""Payloads whose records are read at once."""
_EXAMPLES = 20


def work(the_hub: Hub, asked: Mapping[str, Any]) -> None:
    """Do one slice of a job and ask for the next.  Doing it again changes nothing.

    Raises what AWS raises; the message then comes again.
    """
    table = table_of(the_hub)
    job = renormalizations.find(table, asked["tenant"], asked["connection"], asked["id"])
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
    for job in renormalizations.due(table_of(the_hub), the_hub.now()):
        if job.tries >= renormalizations.TRIES:
            reason = f"slice {job.slices + 1} failed {job.tries} times: see the log"
            _save(the_hub, job.ended(FAILED, the_hub.now(), reason))
            continue
        saved = _save(the_hub, replace(job, tries=job.tries + 1))
        if saved is not None:
            inbox.work_on(the_hub, saved)
            found += 1
    return found


def _save(the_hub: Hub, job: Renormalization) -> Renormalization | None:
    try:
        return renormalizations.save(table_of(the_hub), job, the_hub.now())
    except ConflictError:
        return None  # somebody else did this slice, and asks for the next


def _slice(the_hub: Hub, connection: Connection, job: Renormalization) -> Renormalization:
    counts, examples = Counter(job.counts), list(job.examples)
    begun, number, place = the_hub.now(), 0, job.place
    history = _History(the_hub, connection)
    walk = archive.walk(the_hub, job.tenant, connection.id, job.start, job.end, job.place)
    while some := list(islice(walk, _AT_ONCE)):
        if number >= SLICE or the_hub.now() - begun > _SLICE_MS:
            return replace(job, place=place, counts=counts, examples=tuple(examples))
        for receipt_id, found in history.again(some, write=not job.dry_run):
            counts.update({"payloads": 1, "unchanged": not found})
            for what, shown in found:
                counts[what] += 1
                if len(examples) < _EXAMPLES:
                    examples.append({"change": what, "receipt_id": receipt_id, **shown})
        number, place = number + len(some), archive.place_of(some[-1])
    done = replace(job, place=place, counts=counts, examples=tuple(examples))
    return done.ended(DONE, the_hub.now())


_Change = tuple[str, dict[str, Any]]


class _History:
    """What a connection's payloads said, and what they say today."""

    def __init__(self, the_hub: Hub, connection: Connection) -> None:
        self._hub = the_hub
        self._table = table_of(the_hub)
        self._connection = connection
        self._version = vendors.adapter(connection.vendor).version
        self._stored = corrections.Stored(self._table, connection.tenant)
        self._aside: dict[int, dict[str, dict[str, str]]] = {}
        """What was kept aside: the reason by JSON path, receipt and hour."""

    def again(
        self, envelopes: Sequence[Envelope], *, write: bool
    ) -> Iterator[tuple[str, list[_Change]]]:
        """Put payloads through again; yield each receipt with what changes."""
        read_again = [
            (each, read(self._connection, archive.whole(self._hub, each)).assembly)
            for each in envelopes
        ]
        self._stored.load(assembly for _, assembly in read_again)
        for envelope, assembly in read_again:
            yield envelope.receipt_id, self._one(envelope, assembly, write=write)

    def _one(self, envelope: Envelope, assembly: Assembly, *, write: bool) -> list[_Change]:
        receipt_id, tenant = envelope.receipt_id, self._connection.tenant
        correction = self._stored.compare(assembly, receipt_id)
        refused = {bad.path: bad for bad in assembly.rejected}
        kept = self._kept(envelope)
        quarantined, released = refused.keys() - kept.keys(), kept.keys() - refused.keys()
        if write:
            source = Provenance(self._connection.id, receipt_id, self._version)
            correction.write(self._table, tenant, source)
            for path in quarantined:
                bad = refused[path]
                quarantine.keep(self._table, tenant, self._connection.id, receipt_id, bad)
            for path in released:
                quarantine.release(self._table, tenant, receipt_id, path)
        changes = [
            (what, {"id": identity, "before": before, "after": after})
            for what, identity, before, after in correction.differences()
        ]
        changes += [
            ("quarantined", {"id": path, "before": None, "after": refused[path].reason})
            for path in sorted(quarantined)
        ]
        changes += [
            ("released", {"id": path, "before": kept[path], "after": None})
            for path in sorted(released)
        ]
        return changes

    def _kept(self, envelope: Envelope) -> dict[str, str]:
        hour = hour_of(envelope.received_at)
        if hour not in self._aside:
            self._aside = {
                hour: quarantine.by_receipt(self._table, self._connection.tenant, hour, hour + HOUR)
            }
        return self._aside[hour].pop(envelope.receipt_id, {})
