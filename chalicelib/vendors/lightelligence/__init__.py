"""OSRAM Lightelligence: updates of its stream and what devices report to its ingest, as records.

Stream: ``{"type": "attributeUpdate", "payload": {"deviceId", "time", "value", "type"?}}``.
Ingest: ``{"type": "attributes", "value", "time"?, "deviceId"?, "alias"?}`` on topic
``data-ingest`` and ``{"type": "<event>", "value"?, "createdAt"?}`` on ``event-ingest``.  Times are
RFC 3339 with up to nine fraction digits; no message states a unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from chalicelib.model.decode import leaves, readable, redacted
from chalicelib.model.naming import named
from chalicelib.model.records import Event, Fact, MalformedPayloadError, Record
from chalicelib.model.times import from_iso
from chalicelib.vendors import Adapter, Item, Payload

VENDOR = "lightelligence"
_SILENCE = 2 * 3600
_STREAM = {
    "attributeUpdate": "attributes",
    "configurationUpdate": "configuration",
    "eventUpdate": "",
}
_INGEST = frozenset({"attributes", "configuration"})
_STATE = ("attributes", "configuration", "status")
_INFO = {
    "name": "name",
    "location": "location.address",
    "description": "attributes.description",
    "deviceTypeId": "attributes.device_type_id",
    "connectedBy": "attributes.connected_by",
}
"""What the list of devices says of one, and the fact that it becomes."""
_PRESENCE = {"ONLINE": "online", "OFFLINE": "offline"}  # "NOT MONITORED" says neither


class _Form(NamedTuple):
    """How to read a message: its kind, the event's or message's type, and where its members are."""

    kind: str  # attributes, configuration, events, keyed_events, state, other
    name: str
    holder: dict[str, Any]


def split(payload: Payload) -> Iterable[Item]:
    """List the messages of a payload: one object, or an array of objects."""
    body = payload.body
    if isinstance(body, dict):
        if payload.topic.strip("/") == "devices" and isinstance(body.get("data"), list):
            return [Item("device", each, f"$.data[{n}]") for n, each in enumerate(body["data"])]
        return [_item(body, "$", payload)]
    if isinstance(body, list):
        return [_item(entry, f"$[{index}]", payload) for index, entry in enumerate(body)]
    raise MalformedPayloadError("neither a message nor an array of messages")


def normalize(item: Item, payload: Payload) -> Iterable[Record]:
    """Turn one message into records.  Its ``value`` is a partial, nested object: leaves count."""
    if item.kind == "device":
        return _description(item.body)
    form = _form(item.body, payload.topic)
    return _records(form, item.body, payload)


def _records(form: _Form, body: Any, payload: Payload) -> Iterable[Record]:
    device, at = _device(form.holder, payload), _time(form.holder)
    value = form.holder.get("value")
    match form.kind:
        case "events":
            return [Event(device, f"{VENDOR}.{form.name}", at, {} if value is None else value)]
        case "keyed_events":
            return _keyed_events(value, device, at, payload.settings)
        case "attributes":
            return _attributes(value, device, at, payload.settings)
        case "configuration":
            return _configuration(value, device, at)
        case "state":
            return _state(form.holder, device, payload.settings)
    return [Event(device, f"{VENDOR}.{form.name}", at, body)]


def silent_after(_native_id: str) -> int:
    """Return two hours: a device's own interval is known to its vendor's monitoring only."""
    return _SILENCE


def _item(body: Any, path: str, payload: Payload) -> Item:
    try:
        form = _form(body, payload.topic)
    except MalformedPayloadError:
        return Item("message", body, path)
    kind = {"keyed_events": "events", "other": form.name}.get(form.kind, form.kind)
    if form.kind in {"state", "other"}:
        return Item(kind, body, path)
    # The stream cuts a time to milliseconds that the ingest wrote with nine digits.
    return Item(kind, body, path, [kind, form.name, _time(form.holder), form.holder.get("value")])


def _form(body: Any, topic: str) -> _Form:
    if not isinstance(body, dict):
        raise MalformedPayloadError("the message is not an object")
    stated, inner = _text(body.get("type")), body.get("payload")
    if isinstance(inner, dict):
        return _stream_form(body, stated, inner)
    if stated in _STREAM:
        raise MalformedPayloadError("payload is missing or not an object")
    if stated is None:
        if any(member in body for member in _STATE):
            return _Form("state", "", body)
        raise MalformedPayloadError("type is missing or no text")
    place = topic.strip("/").rpartition("/")[2]
    if stated in _INGEST and place != "event-ingest":
        return _Form(stated, stated, body)
    if stated == "event":
        return _Form("keyed_events", stated, body)
    return _Form("other" if place == "data-ingest" else "events", stated, body)


def _stream_form(body: dict[str, Any], stated: str | None, inner: dict[str, Any]) -> _Form:
    event = _text(inner.get("type"))
    if event is not None and (stated is None or stated in _STREAM):
        # The platform's own example labels an event as attributeUpdate.
        return _Form("events", event, inner)
    if stated is None:
        raise MalformedPayloadError("type is missing or no text")
    kind = _STREAM.get(stated)
    return _Form(kind, stated, inner) if kind else _Form("other", stated, {**body, **inner})


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _device(holder: Mapping[str, Any], payload: Payload) -> str:
    stated = (holder.get("deviceId"), holder.get("alias"), payload.settings.get("device_id"))
    for candidate in stated:
        if candidate is None or candidate == "":
            continue
        if not isinstance(candidate, str):
            break
        return candidate
    raise MalformedPayloadError("neither deviceId nor alias, and no device_id in the settings")


def _time(holder: Mapping[str, Any]) -> int | None:
    # Data says time, events say createdAt; 1970-01-01T00:00:00Z is an unset clock.
    return from_iso(holder.get("time")) or from_iso(holder.get("createdAt")) or None


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedPayloadError("value is missing or not an object")
    return value


def _attributes(
    value: Any, device: str, at: int | None, settings: Mapping[str, Any]
) -> list[Record]:
    records: list[Record] = []
    kind = _member(settings, "device_types", device)
    for path, leaf in leaves(_object(value)):
        if leaf is None or isinstance(leaf, str):
            records.append(Fact(device, f"attributes.{path}", leaf, at))
            continue
        rule = _member(settings, "metric_map", f"{kind}:{path}") if kind is not None else None
        rules = {"metric_map": {path: rule}} if rule is not None else settings
        records.append(named(VENDOR, path, leaf, device=device, at=at, settings=rules))
    return records


def _member(settings: Mapping[str, Any], name: str, key: str) -> Any:
    members = settings.get(name)
    return members.get(key) if isinstance(members, dict) else None


def _configuration(value: Any, device: str, at: int | None) -> list[Record]:
    return [
        Fact(device, f"attributes.configuration.{path}", readable(leaf), at)
        for path, leaf in leaves(_object(value))
    ]


def _keyed_events(
    value: Any, device: str, at: int | None, settings: Mapping[str, Any]
) -> list[Record]:
    """Read the guide's ``{"type": "event", "value": {name: data}}``: one event a key."""
    if not isinstance(value, dict) or not value:
        return [Event(device, f"{VENDOR}.event", at, {} if value is None else value)]
    # The name of a secret is no longer beside its value once the event is split off: redact first.
    safe = redacted(value, identifiers=bool(settings.get("allow_identifiers")))
    return [Event(device, f"{VENDOR}.{name or 'event'}", at, safe.get(name)) for name in value]


def _description(body: Any) -> list[Record]:
    """Read an entry of the REST API's list of devices: what a device is, not how it does."""
    device = _text(body.get("id")) if isinstance(body, dict) else None
    if device is None:
        raise MalformedPayloadError("id is missing or no text", "id")
    info = body["info"] if isinstance(body.get("info"), dict) else {}
    return [
        Fact(device, path, info[member], None)
        for member, path in _INFO.items()
        if isinstance(info.get(member), str)
    ]


def _state(body: dict[str, Any], device: str, settings: Mapping[str, Any]) -> list[Record]:
    """Read the device state of the REST API: values are as of ``lastSeen``, silence as of now."""
    at, records = from_iso(body.get("lastSeen")) or None, list[Record]()
    status = body.get("status")
    presence = _PRESENCE.get(status) if isinstance(status, str) else None
    if presence is not None:
        records.append(Fact(device, "presence", presence, at if presence == "online" else None))
    if isinstance(body.get("attributes"), dict):
        records += _attributes(body["attributes"], device, at, settings)
    if isinstance(body.get("configuration"), dict):
        records += _configuration(body["configuration"], device, at)
    return records


adapter = Adapter(
    version=2,
    split=split,
    normalize=normalize,
    silent_after=silent_after,
    kinds=frozenset({"attributes", "configuration", "events", "state", "device"}),
    described=frozenset({"device"}),
)
