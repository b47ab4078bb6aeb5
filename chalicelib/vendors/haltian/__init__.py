"""Haltian Thingsee: messages of Operations Cloud, by MQTT or HTTPS push, as records.

A message is a flat object: a header (``tsmId``, ``tsmEv``, ``tsmTs`` in seconds, ``tsmTuid``) with
the fields of its kind beside it.  MQTT carries one object, HTTPS an array; answers of the REST API
(``{"data": ...}``) are read too.  What each ``tsmId`` becomes is a table in :mod:`.messages`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from chalicelib.model.records import Event, Fact, MalformedPayloadError, Record
from chalicelib.model.times import from_seconds
from chalicelib.vendors import Adapter, Item, Payload
from chalicelib.vendors.haltian.messages import FIELDS, LISTED, READERS, sensor_values
from chalicelib.vendors.haltian.rest_answers import alert_history, thing

CARRIERS = frozenset({"tsmGw", "tsmGwTs", "tsmCloudTs", "tsmAp"})
"""Who forwarded a packet and when: differs between two gateways that heard the same packet."""
_GATEWAY_SILENCE = 6 * 3600
_SENSOR_SILENCE = 2 * 3600


class _Topic(NamedTuple):
    """What a vendor topic says: ``cloudext/json/{env}/{country}/{group}/{tuid}/{tsmId}``."""

    tuid: str | None = None
    tsm_id: int | None = None


def split(payload: Payload) -> Iterable[Item]:
    """List the messages of one MQTT object, of an HTTPS array or of a REST answer's ``data``."""
    body, topic = payload.body, _topic(payload.topic)
    if isinstance(body, dict):
        data = body.get("data")
        if "tsmId" in body or topic.tsm_id is not None or not isinstance(data, list | dict):
            return [_item(body, "$", topic)]
        if isinstance(data, dict):
            return [Item("thing", data, "$.data")]
        return [_item(entry, f"$.data[{index}]", topic) for index, entry in enumerate(data)]
    if isinstance(body, list):
        return [_item(entry, f"$[{index}]", topic) for index, entry in enumerate(body)]
    raise MalformedPayloadError("neither a message nor an array of messages")


def normalize(item: Item, payload: Payload) -> Iterable[Record]:
    """Turn one message into records; the fields of an unlisted ``tsmId`` are an event's data."""
    body = item.body
    if not isinstance(body, dict):
        raise MalformedPayloadError("the message is not an object")
    if item.kind == "thing":
        return thing(body, payload.topic)
    if item.kind == "alerts":
        return alert_history(body)
    topic = _topic(payload.topic)
    tsm_id, device = _message_id(body, topic), _device(body, topic)
    if tsm_id is None:
        raise MalformedPayloadError("tsmId is missing or no integer")
    at = from_seconds(body.get("tsmTs"))
    records = sensor_values(tsm_id, body, device, at)
    if records is None and tsm_id in READERS:
        records = READERS[tsm_id](body, device, at)
    if records is None:
        kept = {key: value for key, value in body.items() if key not in CARRIERS}
        records = [Event(device, f"haltian.{tsm_id}", at, kept)]
    # A status that says "no value" is still a word of the device.
    return records or [Fact(device, "presence", "online", at)]


def silent_after(native_id: str) -> int:
    """Return the seconds of silence the vendor's own app allows: gateways 6 h, sensors 2 h."""
    return _GATEWAY_SILENCE if native_id.startswith("TSGW") else _SENSOR_SILENCE


def _item(body: Any, path: str, topic: _Topic) -> Item:
    if not isinstance(body, dict):
        return Item("message", body, path)
    tsm_id = _message_id(body, topic)
    if tsm_id is None:
        kind = "alerts" if "alert_type" in body and "alerts" in body else "message"
    else:
        kind = str(tsm_id)
    identity = {key: value for key, value in body.items() if key not in CARRIERS}
    return Item(kind, body, path, identity)


def _topic(topic: str) -> _Topic:
    parts = topic.strip("/").split("/")
    if len(parts) != 7 or parts[0] != "cloudext":
        return _Topic()
    number = parts[6]
    known = number.isascii() and number.isdigit() and len(number) < 10
    return _Topic(parts[5] or None, int(number) if known else None)


def _message_id(body: dict[str, Any], topic: _Topic) -> int | None:
    stated = body.get("tsmId")
    if stated is None:
        return topic.tsm_id
    return stated if isinstance(stated, int) and not isinstance(stated, bool) else None


def _device(body: dict[str, Any], topic: _Topic) -> str:
    # The echo of a command may name only its target.
    for stated in (body.get("tsmTuid"), body.get("tsmDstTuid"), topic.tuid):
        if stated is None or stated == "":
            continue
        if not isinstance(stated, str):
            break
        return stated
    raise MalformedPayloadError("tsmTuid is missing or no text")


adapter = Adapter(
    version=1,
    split=split,
    normalize=normalize,
    silent_after=silent_after,
    kinds=frozenset(map(str, {*FIELDS, *READERS, *LISTED})) | {"thing", "alerts"},
)
