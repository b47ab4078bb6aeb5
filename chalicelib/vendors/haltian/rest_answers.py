"""Answers of the Thingsee REST API, which reach the hub as payloads like any other.

``GET /things/{tuid}/alerts`` lists intervals in ISO 8601 without a zone (they are UTC).
``GET /things/{tuid}`` describes a device whose id stands only in the path, so it comes on the topic
``things/{tuid}``; ``timestamp`` is in seconds, ``lat`` and ``lon`` are degrees, texts or numbers.
"""

from __future__ import annotations

from typing import Any

from chalicelib.model.records import AlertSignal, Fact, MalformedPayloadError, Measurement, Record
from chalicelib.model.times import from_iso, from_seconds
from chalicelib.vendors.haltian.messages import is_value, place


def alert_history(body: dict[str, Any]) -> list[Record]:
    """Return the signals of one device's alerts of one type.

    The key is the type in one word, so ``heartbeat missed`` is the alert that heartbeats report.
    """
    device, name, intervals = body.get("tuid"), body.get("alert_type"), body.get("alerts")
    if not isinstance(device, str) or not device:
        raise MalformedPayloadError("tuid is missing or no text")
    if not isinstance(name, str) or not name.strip() or not isinstance(intervals, list):
        raise MalformedPayloadError("alert_type is no text or alerts no array")
    key = "_".join(name.lower().split())
    records: list[Record] = []
    for interval in intervals:
        if not isinstance(interval, dict):
            continue
        # 1970-01-01T00:00:00 stands for an unknown start.
        start, end = from_iso(interval.get("from")) or None, from_iso(interval.get("to")) or None
        if start is not None or end is None:
            records.append(AlertSignal(device, key, "raise", start, name))
        if end is not None:
            records.append(AlertSignal(device, key, "clear", end, name))
    return records


def thing(body: dict[str, Any], topic: str) -> list[Record]:
    """Return what the inventory says of one device: battery, position, firmware."""
    place_, _, device = topic.strip("/").partition("/")
    if place_ != "things" or not device or "/" in device:
        raise MalformedPayloadError("data without a topic things/{tuid} to say whose it is")
    at = from_seconds(body.get("timestamp"))
    records: list[Record] = []
    level, version, where = (body.get(name) for name in ("battery_level", "version", "location"))
    if is_value(level):
        records.append(Measurement(device, "battery_level", level, at, "%"))
    if isinstance(where, dict):
        records += place(_degrees(where.get("lat")), _degrees(where.get("lon")), device, at)
    if isinstance(version, str) and version:
        records.append(Fact(device, "firmware", version, at))
    return records


def _degrees(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return None
