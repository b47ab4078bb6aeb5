"""One payload through its adapter into the table."""

from __future__ import annotations

from chalicelib import telemetry, vendors
from chalicelib.model.assembly import Assembly, assemble
from chalicelib.model.decode import TooLargeError, decode, gunzip, is_gzip
from chalicelib.model.envelope import Envelope
from chalicelib.model.records import MalformedPayloadError, Rejected
from chalicelib.store import quarantine, said
from chalicelib.store.connections import Connection
from chalicelib.store.said import Provenance
from chalicelib.store.table import Table
from chalicelib.vendors import Item, Outcome, Payload


def put_through(table: Table, connection: Connection, envelope: Envelope) -> Assembly:
    """Store what a payload says and quarantine what cannot be read of it.  Twice is as good as once."""
    assembly = records_of(connection, envelope)
    version = vendors.adapter(connection.vendor).version
    source = Provenance(connection.id, envelope.receipt_id, version)
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


def records_of(connection: Connection, envelope: Envelope) -> Assembly:
    """Return what a payload becomes: a pure function of connection settings and envelope."""
    try:
        data = gunzip(envelope.body) if is_gzip(envelope.body) else envelope.body
        body = decode(data) if data.strip() else None
    except (MalformedPayloadError, TooLargeError) as error:
        rejected = Rejected("$", str(error))
        outcomes = iter([Outcome(Item("payload", None), rejected=rejected)])
    else:
        payload = Payload(body, envelope.topic, envelope.query, connection.settings)
        outcomes = vendors.normalize(connection.vendor, payload)
    return assemble(
        connection.vendor, connection.id, envelope.received_at, outcomes, connection.settings
    )
