"""Envelopes: one payload on its way from a door to normalize, as bytes nobody has looked into yet."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from chalicelib.model.decode import compress, gunzip
from chalicelib.model.receipts import receipt_id

_PLAIN_LIMIT = 512


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload and how it came.

    ``pointer`` names the archive object that holds the body where it is too large for a queue message;
    ``redrive`` is the JSON path of the quarantined item for which the payload goes through again.
    """

    receipt_id: str
    connection_id: str
    received_at: int
    topic: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    pointer: str | None = None
    redrive: str | None = None

    def pointing(self, pointer: str) -> Envelope:
        """Return the envelope without its body, which waits in the archive under ``pointer``."""
        return replace(self, body=b"", pointer=pointer)

    def to_json(self) -> str:
        """Return the envelope as a queue message or a line of the archive."""
        parts: dict[str, Any] = {
            "receipt": self.receipt_id,
            "connection": self.connection_id,
            "received_at": self.received_at,
        }
        for name in ("topic", "pointer", "redrive"):
            if getattr(self, name):
                parts[name] = getattr(self, name)
        if self.query:
            parts["query"] = dict(self.query)
        if self.body:
            small = compress(self.body) if len(self.body) > _PLAIN_LIMIT else self.body
            parts["gzip" if small is not self.body else "body"] = base64.b64encode(small).decode()
        return json.dumps(parts, separators=(",", ":"))


def arrived(
    connection_id: str,
    received_at: int,
    body: bytes,
    topic: str = "",
    query: Mapping[str, str] | None = None,
) -> Envelope:
    """Return the envelope of a payload that has just arrived, with its receipt."""
    parameters = dict(query or {})
    content = body + json.dumps(parameters, sort_keys=True).encode() if parameters else body
    receipt = receipt_id(connection_id, received_at, topic, content)
    return Envelope(receipt, connection_id, received_at, topic, parameters, body)


def from_json(text: str) -> Envelope:
    """Read a queue message: an envelope of ours, or what the IoT rule makes of an MQTT publish.

    Raises ``ValueError`` or ``KeyError`` for anything else: a bug, which the dead-letter queue keeps.
    """
    parts = json.loads(text)
    if "receipt" not in parts:
        return from_mqtt(parts)
    if "gzip" in parts:
        body = gunzip(base64.b64decode(parts["gzip"]))
    else:
        body = base64.b64decode(parts.get("body", ""))
    return Envelope(
        parts["receipt"],
        parts["connection"],
        parts["received_at"],
        parts.get("topic", ""),
        parts.get("query", {}),
        body,
        parts.get("pointer"),
        parts.get("redrive"),
    )


def from_mqtt(parts: Mapping[str, Any]) -> Envelope:
    """Read what the IoT rule ``SELECT encode(*, 'base64') AS body, topic() AS topic, ...`` sends.

    The topic is ``hub/{connection_id}/{vendor topic...}``; ``received_at`` is ``timestamp()``, in ms.
    """
    levels = str(parts["topic"]).split("/", 2)
    if len(levels) < 2 or levels[0] != "hub":
        raise ValueError(f"not a topic of the hub: {parts['topic']!r}")
    body = base64.b64decode(parts["body"])
    topic = levels[2].strip("/") if len(levels) > 2 else ""
    return arrived(levels[1], int(parts["received_at"]), body, topic)


def with_body(envelope: Envelope, body: bytes) -> Envelope:
    """Return the envelope with the body its pointer named."""
    return replace(envelope, body=body, pointer=None)
