"""One payload through its adapter into the table."""

from __future__ import annotations

from collections import Counter

from chalicelib import telemetry, vendors
from chalicelib.model.assembly import Assembly
from chalicelib.model.envelope import Envelope
from chalicelib.model.shapes import Source
from chalicelib.normalize.watch import name_of, watch
from chalicelib.reading import Reading, read
from chalicelib.store import quarantine, said, tallies
from chalicelib.store.connections import Connection
from chalicelib.store.said import Provenance
from chalicelib.store.table import Table
from chalicelib.store.tallies import Counted, bucket
from chalicelib.vendors import Adapter


def put_through(table: Table, connection: Connection, envelope: Envelope) -> Assembly:
    """Store what a payload says and quarantine what cannot be read of it.  Twice is as good as once."""
    reading = read(connection, envelope)
    assembly = reading.assembly
    version = vendors.adapter(connection.vendor).version
    source = Provenance(connection.id, envelope.receipt_id, version)
    stood = said.write(table, connection.tenant, assembly, source)
    for bad in assembly.rejected:
        quarantine.keep(table, connection.tenant, connection.id, envelope.receipt_id, bad)
    if envelope.redrive and all(bad.path != envelope.redrive for bad in assembly.rejected):
        quarantine.release(table, connection.tenant, envelope.receipt_id, envelope.redrive)
    _notice(table, connection, envelope, reading, stood)
    telemetry.count(
        dimensions={"vendor": connection.vendor},
        payloads=1,
        segments=len(assembly.segments),
        quarantined=len(assembly.rejected),
    )
    return assembly


def _notice(
    table: Table, connection: Connection, envelope: Envelope, reading: Reading, stood: set[int]
) -> None:
    """Learn how the vendor's items look, and count what became of them."""
    adapter = vendors.adapter(connection.vendor)
    if reading.decoded and not envelope.redrive:  # a redriven payload was looked at when it came
        items = (
            (number, outcome.item)
            for number, outcome in enumerate(reading.outcomes)
            if isinstance(outcome.item.body, dict) and adapter.models(outcome.item.kind)
        )
        source = Source(envelope.received_at, envelope.receipt_id, 0, adapter.version)
        watch(table, connection, items, source)
    counted = _counted(reading, adapter, envelope.received_at, stood)
    tallies.count(table, connection.tenant, connection.id, envelope.received_at, counted)


def _counted(
    reading: Reading, adapter: Adapter, received_at: int, stood: set[int]
) -> Counter[Counted]:
    refused = reading.assembly.refused
    found: Counter[Counted] = Counter()
    for number, outcome in enumerate(reading.outcomes):
        kind = outcome.item.kind
        known = adapter.models(kind)
        if number in refused:
            became = "quarantined"
        elif number in stood:
            became = "duplicate"
        else:
            became = "accepted" if known else "unknown"
        at: int | None = None
        for record in outcome.records:
            if record.at is not None and (at is None or record.at > at):
                at = record.at
        late, early = (
            (None, 0) if at is None else (bucket(received_at - at), bucket(at - received_at))
        )
        found[Counted(name_of(kind) if known else tallies.OTHER, became, late, early)] += 1
    return found
