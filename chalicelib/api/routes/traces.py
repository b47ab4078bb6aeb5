"""Traces: what became of a payload, and what could not be read of it."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

from chalicelib import archive, inbound
from chalicelib.api.calls import Call
from chalicelib.api.problems import ProblemError, not_found
from chalicelib.model.assembly import Assembly
from chalicelib.model.decode import redacted
from chalicelib.model.envelope import Envelope
from chalicelib.model.receipts import Receipt, parse
from chalicelib.model.times import to_rfc3339
from chalicelib.model.views import event_json, measurement_json, media_json, signal_json
from chalicelib.reading import read, source_of
from chalicelib.store import connections, deliveries, quarantine
from chalicelib.store.connections import Connection
from chalicelib.store.said import Provenance
from chalicelib.store.table import Plain

_QUEUED_MS = 15 * 60 * 1000
"""A payload that is not archived after this long never came (or waits in a dead-letter queue)."""
_SKEW_MS = 60_000
_SHOWN_BYTES = 64 * 1024
_SHOWN_RECORDS = 1000


def receipt(call: Call) -> Any:
    """Read a payload, the records it became and their deliveries."""
    identity = call.path["receipt_id"]
    parts = parse(identity)
    connection = connections.find(call.table, parts.connection_id) if parts else None
    if parts is None or connection is None or connection.tenant != call.tenant:
        raise not_found("receipt")
    envelope = archive.find(call.hub, call.tenant, identity)
    if envelope is None:
        age = call.hub.now() - parts.received_at
        if not -_SKEW_MS <= age <= _QUEUED_MS:
            raise not_found("receipt")
        return _row(identity, "queued", connection, parts)
    source = source_of(connection, identity)
    shown, records = _read(connection, archive.whole(call.hub, envelope), source)
    refused = quarantine.of_receipt(call.table, call.tenant, identity)
    sent = deliveries.of_receipt(call.table, call.tenant, identity)
    return {
        **_row(identity, "processed", connection, parts),
        "topic": envelope.topic,
        **shown,
        "records": records,
        "quarantine": refused[:_SHOWN_RECORDS],
        "deliveries": [row.as_json() for row in sent],
    }


def list_quarantine(call: Call) -> Any:
    """List quarantined items, newest first."""
    if call.nothing:
        return call.page([], None)
    query, start, end = call.query, call.query["from"], call.query["to"]
    if query["receipt"] is not None:
        # What is quarantined of a payload is listed at its arrival, which the receipt carries.
        receipt = parse(query["receipt"])
        if receipt is None:
            return call.page([], None)
        at = receipt.received_at
        start = at if start is None else max(start, at)
        end = at + 1 if end is None else min(end, at + 1)
    page = quarantine.quarantined(
        call.table,
        call.tenant,
        start=start,
        end=end,
        limit=call.limit,
        after=call.after,
        matches=lambda row: (
            query["receipt"] in {None, row["receipt_id"]}
            and query["connection"] in {None, row["connection_id"]}
        ),
    )
    return call.page([quarantine.as_json(item) for item in page.items], page.after)


def quarantined(call: Call) -> Any:
    """Read one quarantined item."""
    row = quarantine.find(call.table, call.tenant, call.path["quarantine_id"])
    if row is None:
        raise not_found("quarantined item")
    return row


def redrive(call: Call) -> Any:
    """Put the payload of a quarantined item through again."""
    row: Plain = quarantined(call)
    envelope = archive.find(call.hub, call.tenant, row["receipt_id"])
    if envelope is None:
        raise ProblemError("conflict", "The payload is not in the archive: not yet or no more.")
    inbound.put(call.hub, replace(envelope, redrive=row["path"]))
    return {"id": row["id"]}


def _row(identity: str, state: str, connection: Connection, parts: Receipt) -> dict[str, Any]:
    return {
        "id": identity,
        "state": state,
        "connection_id": connection.id,
        "vendor": connection.vendor,
        "received_at": to_rfc3339(parts.received_at),
    }


def _read(
    connection: Connection, envelope: Envelope, source: Provenance
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the payload as it may be shown, and the records that the adapter makes of it now."""
    reading = read(connection, envelope)
    if not reading.decoded:
        cut = envelope.body[:_SHOWN_BYTES]
        shown = {"body_base64": base64.b64encode(cut).decode()}
        return shown, _records(reading.assembly, source)
    identifiers = bool(connection.settings.get("allow_identifiers"))
    shown = {"payload": redacted(reading.body, identifiers=identifiers)}
    return shown, _records(reading.assembly, source)


def _records(assembly: Assembly, source: Provenance) -> dict[str, Any]:
    provenance = {"provenance": source.as_json()}
    points = [(each.device_id, point) for each in assembly.segments for point in each.points]
    devices = {
        each.device_id
        for rows in (assembly.segments, assembly.events, assembly.media, assembly.signals)
        for each in rows
    }
    kinds: dict[str, list[Any]] = {
        "measurements": [measurement_json(*pair) | provenance for pair in points[:_SHOWN_RECORDS]],
        "events": [event_json(each) | provenance for each in assembly.events[:_SHOWN_RECORDS]],
        "media": [media_json(each) | provenance for each in assembly.media[:_SHOWN_RECORDS]],
        "alerts": [signal_json(each) for each in assembly.signals[:_SHOWN_RECORDS]],
        "devices": sorted(devices)[:_SHOWN_RECORDS],
    }
    counts = (points, assembly.events, assembly.media, assembly.signals, devices)
    return {**kinds, "truncated": any(len(each) > _SHOWN_RECORDS for each in counts)}
