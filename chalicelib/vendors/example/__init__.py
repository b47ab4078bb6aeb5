"""An invented vendor of weather stations: the folder that a new vendor is copied from.

A webhook carries ``{"messages": [message, …]}``.  MQTT carries one message on the topic
``stations/{station}/{type}``, which then says neither itself.  Times are epoch seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from chalicelib.model.decode import leaves
from chalicelib.model.metrics import METRICS
from chalicelib.model.naming import named
from chalicelib.model.records import (
    AlertSignal,
    Event,
    Fact,
    MalformedPayloadError,
    Measurement,
    Record,
    Severity,
)
from chalicelib.model.times import from_seconds
from chalicelib.model.units import convert
from chalicelib.vendors import Adapter, Item, Payload

VENDOR = "example"
_SILENCE = 30 * 60
Message = dict[str, Any]
Settings = Mapping[str, Any]
Reader = Callable[[Message, str, int | None, Settings], Iterable[Record]]


class Field(NamedTuple):
    """What one field of a report means: a metric, the unit on the wire, the number for no reading."""

    metric: str
    unit: str
    nothing: int | None = None


FIELDS: Mapping[str, Field] = {
    "temp": Field("temperature", "[degF]", nothing=-999),
    "rh": Field("relative_humidity", "%", nothing=255),
    "press": Field("air_pressure", "hPa", nothing=0),
    "light": Field("illuminance", "klx"),
    "batt": Field("battery_level", "1"),
}
_HEADER = frozenset({"station", "type", "time", "attempt"})
_STATES: Mapping[str | None, Literal["raise", "clear"]] = {"on": "raise", "off": "clear"}
_LEVELS: Mapping[str | None, Severity] = {"low": "minor", "high": "critical"}
_FACTS = {"name": "name", "model": "model", "version": "firmware"}


def split(payload: Payload) -> Iterable[Item]:
    """List the messages of a webhook, or the single one of a topic."""
    body = payload.body
    if not isinstance(body, dict):
        raise MalformedPayloadError("the body is not an object")
    messages = body.get("messages")
    if not isinstance(messages, list):
        return [_item(body, "$", payload.topic)]
    return [_item(each, f"$.messages[{n}]", payload.topic) for n, each in enumerate(messages)]


def normalize(item: Item, payload: Payload) -> Iterable[Record]:
    """Turn one message into records; one of an unlisted type is kept whole, as an event."""
    message = item.body
    if not isinstance(message, dict):
        raise MalformedPayloadError("the message is not an object")
    if not item.kind:
        raise MalformedPayloadError("type is missing or no text", "type")
    station = _address(payload.topic)[0] or _text(message.get("station"))
    if station is None:
        raise MalformedPayloadError("station is missing or no text", "station")
    at = from_seconds(message.get("time"))
    reader = READERS.get(item.kind)
    if reader is None:
        return [Event(station, f"{VENDOR}.{item.kind}", at, item.identity)]
    return reader(message, station, at, payload.settings)


def silent_after(_native_id: str) -> int:
    """Return half an hour: a station reports every ten minutes."""
    return _SILENCE


def _item(message: Any, path: str, topic: str) -> Item:
    if not isinstance(message, dict):
        return Item("", message, path)
    kind = _address(topic)[1] or _text(message.get("type")) or ""
    # A message that is sent again counts its attempts: all else says whether it is the same one.
    identity = {name: value for name, value in message.items() if name != "attempt"}
    return Item(kind, message, path, identity)


def _address(topic: str) -> tuple[str | None, str | None]:
    """Return the station and the type that a topic names."""
    match topic.strip("/").split("/"):
        case ["stations", station, kind]:
            return station or None, kind or None
    return None, None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _report(message: Message, station: str, at: int | None, settings: Settings) -> Iterator[Record]:
    """Read a report: listed fields by the table, other numbers by their own path, texts as facts."""
    fields = {name: value for name, value in message.items() if name not in _HEADER}
    for path, value in leaves(fields):
        field = FIELDS.get(path)
        if value is None or isinstance(value, str):
            yield Fact(station, f"attributes.{path}", value, at)
        elif field is None:
            yield named(VENDOR, path, value, device=station, at=at, settings=settings)
        elif isinstance(value, bool) or value != field.nothing:
            yield _measurement(field, value, station, at)


def _measurement(field: Field, value: float, station: str, at: int | None) -> Measurement:
    if not isinstance(value, bool):  # the hub refuses a boolean for a number, and says so
        value = convert(value, field.unit, field.metric)
    return Measurement(station, field.metric, value, at, METRICS[field.metric].unit)


def _alarm(message: Message, station: str, at: int | None, _settings: Settings) -> Iterator[Record]:
    """Read an alarm: its name is the key under which it begins and ends."""
    name, action = _text(message.get("alarm")), _STATES.get(_text(message.get("state")))
    if name is None:
        raise MalformedPayloadError("alarm is missing or no text", "alarm")
    if action is None:
        raise MalformedPayloadError("state is neither on nor off", "state")
    severity = _LEVELS.get(_text(message.get("level")), "warning")
    yield AlertSignal(station, name, action, at, name, severity, _text(message.get("text")))


def _start(message: Message, station: str, at: int | None, _settings: Settings) -> Iterator[Record]:
    """Read what a station says of itself when it starts."""
    for member, path in _FACTS.items():
        if (stated := _text(message.get(member))) is not None:
            yield Fact(station, path, stated, at)
    yield Event(station, f"{VENDOR}.start", at, {"cause": message.get("cause")})


READERS: Mapping[str, Reader] = {"report": _report, "alarm": _alarm, "start": _start}
"""Every listed type of message."""

adapter = Adapter(
    version=1,
    split=split,
    normalize=normalize,
    silent_after=silent_after,
    kinds=frozenset(READERS),
)
