"""Records as outsiders see them: the JSON of the API, of deliveries and of examples."""

from __future__ import annotations

from typing import Any

from chalicelib.model.assembly import (
    Assembly,
    EventRecord,
    MediaRecord,
    Point,
    SignalRecord,
    measurement_id,
)
from chalicelib.model.times import FIRST, to_rfc3339


def measurement_json(device_id: str, point: Point) -> dict[str, Any]:
    """Return a measurement as the API and deliveries show it, without provenance."""
    window = None
    if point.window_ms:
        start = max(point.at - point.window_ms, FIRST)
        window = {"start": to_rfc3339(start), "end": to_rfc3339(point.at)}
    return {
        "id": measurement_id(device_id, point),
        "device_id": device_id,
        "metric": point.metric,
        "value": point.value,
        "unit": point.unit,
        "observed_at": to_rfc3339(point.at),
        "window": window,
        "quality": point.quality,
        "attributes": dict(point.attributes),
    }


def event_json(event: EventRecord) -> dict[str, Any]:
    """Return an event as the API and deliveries show it, without provenance."""
    return {
        "id": event.id,
        "device_id": event.device_id,
        "type": event.type,
        "observed_at": to_rfc3339(event.at),
        "data": event.data,
    }


def media_json(record: MediaRecord) -> dict[str, Any]:
    """Return a media reference as the API and deliveries show it, without provenance."""
    media = record.media
    return {
        "id": record.id,
        "device_id": record.device_id,
        "kind": media.kind,
        "url": media.url,
        "reference": media.reference,
        "started_at": to_rfc3339(record.at),
        "duration_seconds": media.duration_seconds,
        "expires_at": to_rfc3339(media.expires_at) if media.expires_at is not None else None,
    }


def signal_json(signal: SignalRecord) -> dict[str, Any]:
    """Return what a payload said of an alert, as receipts show it."""
    return {
        "device_id": signal.device_id,
        "key": signal.key,
        "action": signal.action,
        "at": to_rfc3339(signal.at),
        "name": signal.name,
        "severity": signal.severity,
        "message": signal.message,
    }


def describe(assembly: Assembly) -> list[dict[str, Any]]:
    """Return everything a payload became, one JSON object a record: the form of the examples.

    Members that only repeat a default (no window, good quality, no attributes) are left out, ids too.
    """
    rows: list[dict[str, Any]] = []
    for segment in assembly.segments:
        for point in segment.points:
            row = {"record": "measurement", **measurement_json(segment.device_id, point)}
            del row["id"]
            for member, default in (("window", None), ("quality", "good"), ("attributes", {})):
                if row[member] == default:
                    del row[member]
            rows.append(row)
        rows.extend(
            {
                "record": "fact",
                "device_id": segment.device_id,
                "path": fact.path,
                "value": fact.value,
                "observed_at": to_rfc3339(fact.at),
            }
            for fact in segment.facts
        )
    rows.extend({"record": "event", **_without_id(event_json(e))} for e in assembly.events)
    rows.extend({"record": "media", **_without_id(media_json(m))} for m in assembly.media)
    for signal in assembly.signals:
        row = {
            "record": "signal",
            "device_id": signal.device_id,
            "key": signal.key,
            "action": signal.action,
            "observed_at": to_rfc3339(signal.at),
        }
        if signal.action == "raise":
            row |= {"name": signal.name, "severity": signal.severity, "message": signal.message}
        rows.append(row)
    rows.extend(
        {"record": "quarantined", "path": r.path, "reason": r.reason} for r in assembly.rejected
    )
    return rows


def _without_id(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "id"}
