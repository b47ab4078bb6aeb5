"""Viziosense: cameras that count people and vehicles and watch parking spots, as records.

A camera (a "stream") posts ``{"stream_id", "type", "timestamp", "payload" | "alert"}``: its whole
list of markers (spots, barriers, zones), or alerts.  Every ten minutes it also sends a GET without
a body, its keepalive.  Times are epoch seconds, sometimes as a text.  Readers: :mod:`.messages`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from chalicelib.model.records import Fact, MalformedPayloadError, Record
from chalicelib.model.times import from_seconds
from chalicelib.vendors import Adapter, Item, Payload
from chalicelib.vendors.viziosense.messages import APPLICATIONS, Envelope, alert, text, unlisted

_SILENCE = 30 * 60
_LISTED = {
    "name": "name",
    "geo_city": "location.city",
    "geo_country": "location.country",
    "client_identifier": "attributes.client_identifier",
}
"""What the list of devices says of a camera, and the fact that it becomes."""


def split(payload: Payload) -> Iterable[Item]:
    """List the alerts and the markers of an envelope (it may hold both), or the keepalive."""
    body = payload.body
    if not body:
        return [_keepalive(payload)]
    if not isinstance(body, dict):
        raise MalformedPayloadError("the body is not an object")
    if payload.topic.strip("/") == "devices" and isinstance(body.get("data"), list):
        return [Item("device", each, f"$.data[{n}]") for n, each in enumerate(body["data"])]
    return [*_alerts(body), *_markers(body)]


def normalize(item: Item, payload: Payload) -> Iterable[Record]:
    """Turn one marker, alert or keepalive into records; what has an unlisted type is an event."""
    if item.kind == "keepalive":
        return [Fact(item.body, "presence", "online", None)]
    if item.kind == "message":
        raise _complaint(item.body)
    if item.kind == "device":
        return _camera(item.body)
    envelope = _envelope(payload.body)
    if item.kind == "other":
        return [unlisted(item.body, envelope)]
    if not isinstance(item.body, dict):
        raise MalformedPayloadError(f"the {item.kind} entry is not an object")
    if item.kind == "alert":
        return alert(item.body, envelope)
    return APPLICATIONS[item.kind](item.body, envelope)


def _camera(body: Any) -> list[Record]:
    """Read an entry of the REST API's list of devices, as of now."""
    device = text(body.get("uuid")) if isinstance(body, dict) else None
    if device is None:
        raise MalformedPayloadError("uuid is missing or no text", "uuid")
    records: list[Record] = [
        Fact(device, path, body[member], None)
        for member, path in _LISTED.items()
        if isinstance(body.get(member), str)
    ]
    online = body.get("is_online")
    if isinstance(online, int) and online in (0, 1):
        records.append(Fact(device, "presence", "online" if online else "offline", None))
    return records


def silent_after(_native_id: str) -> int:
    """Return half an hour: a camera says every ten minutes that it lives."""
    return _SILENCE


def _keepalive(payload: Payload) -> Item:
    device = text(payload.query.get("id"))
    if device is None:
        raise MalformedPayloadError("no body, and no id in the query", "query.id")
    # Nothing else of the query is kept: it may hold the connection's secret.
    return Item("keepalive", device)


def _alerts(body: dict[str, Any]) -> Iterator[Item]:
    for path, entry in _entries(body, "alert"):
        yield Item("alert", entry, path, _identity(body, entry, "timestamp"))


def _markers(body: dict[str, Any]) -> Iterator[Item]:
    if body.get("payload") is None and body.get("alert") is not None:
        return
    kind = text(body.get("type"))
    listed = kind in APPLICATIONS
    if kind is not None and not listed:
        yield Item("other", body)  # nobody knows what its payload lists: the message is the item
    elif kind is None or body.get("payload") is None or text(body.get("stream_id")) is None:
        yield Item("message", body)
    else:
        for path, entry in _entries(body, "payload"):
            yield Item(kind, entry, path, _identity(body, entry, "event_ts"))


def _entries(body: dict[str, Any], member: str) -> Iterator[tuple[str, Any]]:
    found = body.get(member)
    if isinstance(found, list):
        for index, entry in enumerate(found):
            yield f"$.{member}[{index}]", entry
    elif found is not None:
        yield f"$.{member}", found


def _identity(body: dict[str, Any], entry: Any, own_time: str) -> Any:
    """Return what makes a repeated entry the same: not the envelope, unless it gives the time."""
    stated = entry.get(own_time) if isinstance(entry, dict) else None
    if from_seconds(stated) is not None:
        return [body.get("stream_id"), entry]
    return [body.get("stream_id"), entry, from_seconds(body.get("timestamp"))]


def _complaint(body: dict[str, Any]) -> MalformedPayloadError:
    """Say why the markers of an envelope cannot be read; its alerts may be."""
    for field in ("type", "stream_id"):
        if text(body.get(field)) is None:
            return MalformedPayloadError(f"{field} is missing or no text", field)
    return MalformedPayloadError("neither payload nor alert")


def _envelope(body: dict[str, Any]) -> Envelope:
    stream, application = text(body.get("stream_id")), text(body.get("type"))
    return Envelope(stream, application or "", from_seconds(body.get("timestamp")))


adapter = Adapter(
    version=2,
    split=split,
    normalize=normalize,
    silent_after=silent_after,
    kinds=frozenset({"keepalive", "alert", "device", *APPLICATIONS}),
    described=frozenset({"device"}),
)
