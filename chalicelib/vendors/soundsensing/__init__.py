"""Soundsensing: webhooks about sound, vibration, alarms and media of a machine, as records.

A webhook is ``{"event_type": "soundlevel.added", "event_id": ..., "data": [...]}``: one type and a
list of its entries (one entry may stand without the list).  Lists of the REST API have no type: their
topic, ``devices`` or ``alarm``, says it.  What each type becomes is in
:mod:`.messages`.  Times are epoch seconds; ``period`` is microseconds or seconds, by type.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chalicelib.model.records import MalformedPayloadError, Record
from chalicelib.vendors import Adapter, Item, Payload
from chalicelib.vendors.soundsensing.messages import READERS, unlisted
from chalicelib.vendors.soundsensing.recordings import MEDIA

_SILENCE = 2 * 3600
_LISTS = {"devices": "device", "alarm": "alarm"}
"""What the REST API lists, by the path that is the topic then."""


def split(payload: Payload) -> Iterable[Item]:
    """List the entries of ``data``, an array or a single object; the type is the same for all."""
    body = payload.body
    if not isinstance(body, dict):
        raise MalformedPayloadError("the body is not an object")
    kind = _kind(body.get("event_type"), payload.topic)
    data = body.get("data")
    if data is None:
        if kind in READERS:
            raise MalformedPayloadError("data is missing", "data")
        return [Item(kind, body)]
    if isinstance(data, list):
        return [_item(kind, entry, f"$.data[{index}]") for index, entry in enumerate(data)]
    return [_item(kind, data, "$.data")]


def normalize(item: Item, payload: Payload) -> Iterable[Record]:
    """Turn one entry into records; an entry of an unlisted type is an event's data."""
    reader = READERS.get(item.kind)
    if reader is None:
        return [unlisted(item.kind, item.body)]
    if not isinstance(item.body, dict):
        raise MalformedPayloadError(f"the {item.kind} is not an object")
    return reader(item.body, payload.settings)


def silent_after(_native_id: str) -> int:
    """Return two hours: devices report every minute to every hour; no interval is documented."""
    return _SILENCE


def _kind(event_type: Any, topic: str) -> str:
    # Prose asks for capitals, the enumeration is lower case; subscriptions lack the ".added".
    stated = event_type if isinstance(event_type, str) else ""
    kind = stated.strip().lower().removesuffix(".added")
    if event_type is None:
        kind = _LISTS.get(topic.strip("/"), "")
    if not kind:
        raise MalformedPayloadError("event_type is missing or no text", "event_type")
    return kind


def _item(kind: str, body: Any, path: str) -> Item:
    # A clip sent again with a freshly signed link, or now uploaded, is the same clip.  Values are
    # compared whole: a corrected one under the same id must be able to replace the first one.
    identity = None
    if kind in MEDIA and isinstance(body, dict):
        name = body.get("id") or [body.get("device_id"), body.get("filename")]
        identity = [kind, name, body.get(MEDIA[kind])]
    return Item(kind, body, path, identity)


adapter = Adapter(
    version=3,
    split=split,
    normalize=normalize,
    silent_after=silent_after,
    kinds=frozenset(READERS),
)
