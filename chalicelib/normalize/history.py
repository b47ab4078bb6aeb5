"""History read again: one slice of a renormalization, from archived payloads to corrected records.

Payloads go through today's adapter in order of arrival, with the receipt and the time they came with.
Then what was stored of them and is said by none of them any more is removed.  A slice writes under
natural keys and then its progress, so a slice done twice ends as one done once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from chalicelib import archive, renormalization, telemetry
from chalicelib.model.digests import canonical
from chalicelib.model.envelope import Envelope
from chalicelib.reading import fingerprint, read, source_of
from chalicelib.store import connections, corrections, quarantine, renormalizations
from chalicelib.store.connections import Connection
from chalicelib.store.corrections import Change, Correction
from chalicelib.store.renormalizations import DONE, LEFTOVERS, RUNNING, Renormalization
from chalicelib.store.table import ConflictError, Key, Plain, Table, table_of

if TYPE_CHECKING:
    from chalicelib.aws import Hub
    from chalicelib.renormalization import Step

PAYLOADS = 200
"""Payloads of one slice at most, however fast they are."""
EXAMPLES = 20
_EXAMPLE_LIMIT = 4096
"""Characters of an example's JSON: the order's row holds them all."""


def go_on(hub: Hub, step: Step, until: int, *, again: bool) -> None:
    """Do the slice that a message names, until a moment (ms), and name the next one.

    ``again``: the message was received before, so somebody may have died between the two.  Raises
    whatever kept the slice from getting anywhere; the message then comes again.
    """
    table = table_of(hub)
    order = renormalizations.find(table, step.tenant, step.connection_id, step.number)
    if order is None or order.state != RUNNING:
        return
    if order.step != step.step:
        if again and order.step == step.step + 1:
            renormalization.enqueue(hub, order)
        return
    connection = connections.find(table, order.connection_id)
    if connection is None:
        return
    way = fingerprint(connection)
    if order.reading != way:
        order = order.anew(way)
    worked = _Slice(hub, connection, order, until).run()
    try:
        saved = renormalizations.save(table, replace(worked, step=order.step + 1, stalls=0))
    except ConflictError:
        return  # a second message was faster
    telemetry.plain("renormalize.stepped", id=saved.id, state=saved.state, counts=saved.counts)
    if saved.state == RUNNING:
        renormalization.enqueue(hub, saved)


class _Slice:
    """One slice of one order."""

    def __init__(
        self, hub: Hub, connection: Connection, order: Renormalization, until: int
    ) -> None:
        self.hub = hub
        self.table: Table = table_of(hub)
        self.connection = connection
        self.order = order
        self.until = until
        self.said: dict[str, frozenset[Key] | None] = {}
        """What payloads of this slice's leftovers say today; ``None``: the archive has it no more."""

    def run(self) -> Renormalization:
        """Return the order as it is after the slice."""
        if self.order.phase == LEFTOVERS:
            self._leftovers()
        else:
            self._payloads()
        return self.order

    def _payloads(self) -> None:
        order, before = self.order, self.order.arrived
        where = (self.hub, order.tenant, order.connection_id, order.start, order.end)
        payloads = archive.walk(*where, after=before)
        for envelope in islice(payloads, PAYLOADS):
            try:
                self._payload(archive.whole(self.hub, envelope))
            except Exception:
                if self.order.arrived == before:
                    raise
                # What was done so far is not done again; the next slice fails or does better.
                telemetry.logger().exception("renormalize.interrupted")
                return
            if self.hub.now() >= self.until:
                return
        if next(payloads, None) is None:
            self.order = replace(self.order, phase=LEFTOVERS)

    def _payload(self, envelope: Envelope) -> None:
        table, order = self.table, self.order
        source = source_of(self.connection, envelope.receipt_id)
        assembly = read(self.connection, envelope).assembly
        oldest = envelope.received_at if order.oldest is None else order.oldest
        correction = corrections.compare(table, order.tenant, assembly, source, oldest)
        refused = {bad.path: bad for bad in assembly.rejected}
        kept = {
            row["path"]: row["reason"]
            for row in quarantine.of_receipt(table, order.tenant, envelope.receipt_id)
        }
        if not order.dry_run:
            corrections.apply(table, correction)
            for path, bad in refused.items():
                if kept.get(path) != bad.reason:
                    quarantine.keep(
                        table, order.tenant, order.connection_id, envelope.receipt_id, bad
                    )
            for path in kept.keys() - refused.keys():
                quarantine.release(table, order.tenant, envelope.receipt_id, path)
        self.order = replace(
            order.counted(
                payloads=1,
                quarantined=len(refused.keys() - kept.keys()),
                released=len(kept.keys() - refused.keys()),
                **Counter(change.kind for change in correction.changes),
            ),
            arrived=archive.place_of(envelope),
            oldest=oldest,
            kept=order.kept + correction.kept,
            examples=self._examples(correction),
        )

    def _examples(self, correction: Correction) -> tuple[Mapping[str, Any], ...]:
        known = self.order.examples
        if not self.order.dry_run or len(known) >= EXAMPLES:
            return known
        found = [_example(change) for change in correction.changes[: EXAMPLES - len(known)]]
        return (*known, *(each for each in found if len(canonical(each)) <= _EXAMPLE_LIMIT))

    def _leftovers(self) -> None:
        place: Plain | None = dict(self.order.place)
        while place is not None:
            items, place = corrections.said_of_devices(
                self.table, self.order.tenant, self.connection.vendor, place
            )
            for item in items:
                self._leftover(item)
            if place is not None:
                self.order = replace(self.order, place=place)
                if self.hub.now() >= self.until:
                    return
        order = self.order
        if order.dry_run:
            # Of what the payloads had brought, all that they do not bring any more.
            order = order.counted(withdrawn=-order.kept)
        self.order = replace(order, state=DONE, finished_at=self.hub.now())

    def _leftover(self, item: Plain) -> None:
        order = self.order
        if order.oldest is None or not corrections.brought(
            item, order.connection_id, order.oldest, order.end
        ):
            return
        if not order.dry_run:
            if corrections.read_as(item, order.reading) or self._still_said(item):
                return
            corrections.withdraw(self.table, item)
        self.order = order.counted(withdrawn=len(corrections.records_of(item)))

    def _still_said(self, item: Plain) -> bool:
        """Say whether the payload that brought an item says it today, as far as can be known."""
        receipt_id = item["p"]
        if receipt_id not in self.said:
            self.said[receipt_id] = self._keys(receipt_id)
        known = self.said[receipt_id]
        return known is None or Key(item["pk"], item["sk"]) in known

    def _keys(self, receipt_id: str) -> frozenset[Key] | None:
        envelope = archive.find(self.hub, self.order.tenant, receipt_id)
        if envelope is None:
            return None
        assembly = read(self.connection, archive.whole(self.hub, envelope)).assembly
        source = source_of(self.connection, receipt_id)
        draft = corrections.drafted(self.table, self.order.tenant, assembly, source)
        return frozenset(draft.rows)


def _example(change: Change) -> dict[str, Any]:
    return {"id": change.id, "change": change.kind, "before": change.before, "after": change.after}
