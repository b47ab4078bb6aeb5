"""One payload through its adapter into the table."""

from __future__ import annotations

from chalicelib import telemetry
from chalicelib.model.assembly import Assembly
from chalicelib.model.envelope import Envelope
from chalicelib.reading import read, source_of
from chalicelib.store import quarantine, said
from chalicelib.store.connections import Connection
from chalicelib.store.table import Table


def put_through(table: Table, connection: Connection, envelope: Envelope) -> Assembly:
    """Store what a payload says and quarantine what cannot be read of it.  Twice is as good as once."""
    assembly = read(connection, envelope).assembly
    source = source_of(connection, envelope.receipt_id)
    said.write(table, connection.tenant, assembly, source)
    for bad in assembly.rejected:
        quarantine.keep(table, connection.tenant, connection.id, envelope.receipt_id, bad)
    if envelope.redrive and all(bad.path != envelope.redrive for bad in assembly.rejected):
        quarantine.release(table, connection.tenant, envelope.receipt_id, envelope.redrive)
    telemetry.count(
        dimensions={"vendor": connection.vendor},
        payloads=1,
        segments=len(assembly.segments),
        quarantined=len(assembly.rejected),
    )
    return assembly
