"""The vendors' example files, as payloads that a test can send."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from chalicelib import vendors
from chalicelib.model.decode import decode, gunzip, is_gzip
from chalicelib.model.records import MalformedPayloadError
from chalicelib.model.times import from_rfc3339
from chalicelib.vendors import Payload

ARRIVAL = "2026-01-31T12:00:00.000Z"


@dataclass(frozen=True)
class Example:
    """One example: a payload with the settings of its connection."""

    vendor: str
    name: str
    body: bytes
    topic: str
    query: Mapping[str, str]
    settings: Mapping[str, Any]
    received_at: int

    def payload(self) -> Payload | None:
        """Return what adapters see of it, or None where it is no JSON."""
        data = gunzip(self.body) if is_gzip(self.body) else self.body
        try:
            return Payload(decode(data) if data else None, self.topic, self.query, self.settings)
        except MalformedPayloadError:
            return None


@cache
def examples() -> tuple[Example, ...]:
    """Return all examples of all vendors, in a stable order."""
    folders = Path(vendors.__file__).parent
    return tuple(_read(path) for path in sorted(folders.glob("*/examples/*.json")))


def example(vendor: str, name: str) -> Example:
    """Return one example."""
    return next(each for each in examples() if (each.vendor, each.name) == (vendor, name))


def _read(path: Path) -> Example:
    text = json.loads(path.read_text("utf-8"))
    received_at = from_rfc3339(text.get("received_at", ARRIVAL))
    assert received_at is not None
    return Example(
        path.parent.parent.name,
        path.stem,
        _body(text),
        text.get("topic", ""),
        text.get("query", {}),
        text.get("settings", {}),
        received_at,
    )


def _body(text: dict[str, Any]) -> bytes:
    if "body_base64" in text:
        return base64.b64decode(text["body_base64"])
    if "body" in text:
        return str(text["body"]).encode()
    return b"" if text.get("payload") is None else json.dumps(text["payload"]).encode()
