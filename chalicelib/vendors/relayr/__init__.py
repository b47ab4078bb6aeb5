"""relayr Cloud: what its devices publish on MQTT, and the shapes of its import, as records.

Topics ``devices/{deviceId}/measurements``, ``/alerts``, ``/commands`` and so on carry an array of
items or a single item.  Without a topic an item is known by its content: ``state`` makes an alert,
``value`` a measurement.  A ``timestamp`` is Unix milliseconds or ISO 8601; no message states a unit
or a severity.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from chalicelib.model.decode import leaves
from chalicelib.model.naming import named
from chalicelib.model.records import (
    SEVERITIES,
    AlertSignal,
    Event,
    Fact,
    MalformedPayloadError,
    Record,
    Severity,
)
from chalicelib.model.times import from_iso, from_millis
from chalicelib.vendors import Adapter, Item, Payload

VENDOR = "relayr"
_SILENCE = 3600
# The first generation's topics are v1/{id}/data and v1/{id}/cmd.
_KINDS = {"data": "measurements", "readings": "measurements", "cmd": "commands"}
_EVENTS = {
    "commands": "command",
    "commandResponses": "command_response",
    "responses": "command_response",
    "logs": "log",
    "errors": "error",
}
_LISTS = {"measurements": "measurements", "readings": "measurements", "alerts": "alerts"}
_DESCRIBED = {
    "name": "name",
    "modelId": "attributes.model_id",
    "modelVersion": "attributes.model_version",
    "externalId": "attributes.external_id",
}
"""What the REST API says of a device, and the fact that it becomes."""
_ACTIONS: Mapping[Any, Any] = {"set": "raise", "clear": "clear"}


class _Source(NamedTuple):
    """Whose item it is and when the cloud received it; with the item itself, what identifies it."""

    device: str | None
    received: Any
    body: Any


def split(payload: Payload) -> Iterable[Item]:
    """List the items of an array, of a single object, or of envelopes that name their device."""
    body = payload.body
    device, kind = _address(payload.topic)
    if isinstance(body, dict) and device and kind is None and body.get("id") == device:
        return [Item("device", body, "$")]
    if isinstance(body, dict):
        return _items(body, "$", device, kind)
    if isinstance(body, list):
        return [
            item
            for index, entry in enumerate(body)
            for item in _items(entry, f"$[{index}]", device, kind)
        ]
    raise MalformedPayloadError("neither an item nor an array of items")


def normalize(item: Item, payload: Payload) -> Iterable[Record]:
    """Turn one measurement, alert, command, response, log or error into records."""
    body, source = item.body, item.identity
    if item.kind == "device":
        return _description(body)
    if not isinstance(body, dict):
        raise MalformedPayloadError("the item is not an object")
    if item.kind == "message":
        raise MalformedPayloadError("neither a state nor a value, and no topic to say what it is")
    device = source.device
    if device is None:
        device = _text(payload.settings.get("device_id"))
    elif not device:
        raise MalformedPayloadError("deviceId is no text", "deviceId")
    at = _time(body, source.received)
    if item.kind == "measurements":
        return _measurement(body, device, at, payload.settings)
    if item.kind == "alerts":
        return [_alert(body, device, at, payload.settings)]
    return [Event(device, f"{VENDOR}.{_EVENTS.get(item.kind, item.kind)}", at, body)]


def _description(body: dict[str, Any]) -> list[Record]:
    """Read the REST API's description of a device."""
    at = from_iso(body.get("updatedAt")) or from_iso(body.get("createdAt"))
    return [
        Fact(body["id"], path, str(body[member]), at)
        for member, path in _DESCRIBED.items()
        if isinstance(body.get(member), str | int)
    ]


def silent_after(_native_id: str) -> int:
    """Return one hour, the span that the cloud itself calls recent."""
    return _SILENCE


def _address(topic: str) -> tuple[str | None, str | None]:
    """Return the device and the kind of item that a topic names."""
    parts = topic.strip("/").split("/")
    if parts[0] in {"devices", "v1", "device-groups"}:
        kind = parts[2] if len(parts) > 2 and parts[2] else None
        device = parts[1] if len(parts) > 1 and parts[0] != "device-groups" else None
    else:
        kind, device = parts[-1] if len(parts) == 1 else None, None
        kind = kind if kind in _LISTS or kind in _EVENTS else None
    return device or None, _KINDS.get(kind, kind) if kind else None


def _items(body: Any, path: str, device: str | None, kind: str | None) -> Iterator[Item]:
    if not isinstance(body, dict):
        yield Item(kind or "message", body, path, _Source(device, None, body))
        return
    if kind is None or kind in _LISTS:
        lists = [name for name in _LISTS if isinstance(body.get(name), list)]
        if lists:
            # An envelope says itself whose items it holds, whichever topic it came on.
            owner = _owner(body, device)
            for name in lists:
                for index, entry in enumerate(body[name]):
                    source = _Source(owner, body.get("received"), entry)
                    yield Item(_LISTS[name], entry, f"{path}.{name}[{index}]", source)
            return
    owner = device or _owner(body, None)
    yield Item(kind or _kind_by_content(body), body, path, _Source(owner, None, body))


def _owner(body: dict[str, Any], otherwise: str | None) -> str | None:
    stated = body.get("deviceId", "")
    if stated is None or stated == "":
        return otherwise
    return stated if isinstance(stated, str) else ""  # unreadable: nobody else's either


def _kind_by_content(body: dict[str, Any]) -> str:
    if "state" in body and ("value" not in body or body["state"] in ("set", "clear")):
        return "alerts"
    return "measurements" if "value" in body else "message"


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _time(body: dict[str, Any], received: Any) -> int | None:
    # A client of 2017 wrote "recorded"; 0 (also as a date of 1970) is an unset clock.
    for stated in (body.get("timestamp"), body.get("recorded"), received):
        at = from_millis(stated) or from_iso(stated)
        if at:
            return at
    return None


def _name(body: dict[str, Any]) -> str:
    """Return an item's ``name``, or the first generation's ``meaning`` below its ``path``."""
    name = _text(body.get("name"))
    if name is None:
        meaning, path = _text(body.get("meaning")), _text(body.get("path"))
        if meaning is None:
            raise MalformedPayloadError("name is missing or no text")
        name = ".".join([*(part for part in (path or "").split("/") if part), meaning])
    return name


def _measurement(
    body: dict[str, Any], device: str | None, at: int | None, settings: Mapping[str, Any]
) -> list[Record]:
    name = _name(body)
    if "value" not in body:
        raise MalformedPayloadError("value is missing")
    records: list[Record] = []
    for path, leaf in leaves(body["value"], name):
        if leaf is None or isinstance(leaf, str):
            records.append(Fact(device, f"attributes.{path}", leaf, at))
        else:
            records.append(named(VENDOR, path, leaf, device=device, at=at, settings=settings))
    return records


def _alert(
    body: dict[str, Any], device: str | None, at: int | None, settings: Mapping[str, Any]
) -> AlertSignal:
    name, state = _text(body.get("name")), body.get("state")
    if name is None:
        raise MalformedPayloadError("name is missing or no text")
    action = _ACTIONS.get(state) if isinstance(state, str) else None
    if action is None:
        raise MalformedPayloadError("state is neither set nor clear")
    message = _text(body.get("message"))
    return AlertSignal(device, name, action, at, name, _severity(settings, name), message)


def _severity(settings: Mapping[str, Any], name: str) -> Severity:
    severities = settings.get("severity_map")
    stated = severities.get(name) if isinstance(severities, dict) else None
    return next((known for known in SEVERITIES if known == stated), "warning")


adapter = Adapter(
    version=3,
    split=split,
    normalize=normalize,
    silent_after=silent_after,
    kinds=frozenset({"measurements", "alerts", "device", *_EVENTS}),
    described=frozenset({"device"}),
)
