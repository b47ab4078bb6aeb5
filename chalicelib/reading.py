"""One payload to records: the pure function that normalize stores and a receipt shows."""

from __future__ import annotations

from typing import Any, NamedTuple

from chalicelib import vendors
from chalicelib.model.assembly import Assembly, assemble
from chalicelib.model.decode import TooLargeError, decode, gunzip, is_gzip
from chalicelib.model.digests import digest
from chalicelib.model.envelope import Envelope
from chalicelib.model.records import MalformedPayloadError, Rejected
from chalicelib.store.connections import Connection
from chalicelib.store.said import Provenance
from chalicelib.vendors import Item, Outcome, Payload


class Reading(NamedTuple):
    """What a payload says: its JSON value (where ``decoded``), and the records it becomes."""

    assembly: Assembly
    body: Any = None
    decoded: bool = True
    outcomes: tuple[Outcome, ...] = ()


def read(connection: Connection, envelope: Envelope) -> Reading:
    """Read a payload by its vendor's adapter.  Depends on nothing but the connection and the envelope."""
    where = (connection.vendor, connection.id, envelope.received_at)
    try:
        data = gunzip(envelope.body) if is_gzip(envelope.body) else envelope.body
        body = decode(data, any_depth=True) if data.strip() else None
    except (MalformedPayloadError, TooLargeError) as error:
        refused = [Outcome(Item("payload", None), rejected=Rejected("$", str(error)))]
        assembly = assemble(*where, refused, connection.settings)
        return Reading(assembly, decoded=False, outcomes=tuple(refused))
    payload = Payload(body, envelope.topic, envelope.query, connection.settings)
    outcomes = tuple(vendors.normalize(connection.vendor, payload))
    return Reading(assemble(*where, outcomes, connection.settings), body, outcomes=outcomes)


def source_of(connection: Connection, receipt_id: str) -> Provenance:
    """Return where the records come from that :func:`read` makes of a payload now."""
    version = vendors.adapter(connection.vendor).version
    return Provenance(connection.id, receipt_id, version, fingerprint(connection))


def fingerprint(connection: Connection) -> str:
    """Return a short text for the way in which a connection's payloads are read now."""
    version = vendors.adapter(connection.vendor).version
    return digest(connection.vendor, version, dict(connection.settings), length=5)
