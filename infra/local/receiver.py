"""The bundled receiver: what a customer's system would do with deliveries.

It verifies every signature with the reference library of Standard Webhooks and parses every body
with the CloudEvents SDK.  What it cannot verify it refuses and counts.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Any

from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from standardwebhooks import Webhook

from infra.local.gateway import Answer, Request
from infra.local.server import HttpServer

_KEPT = 5000
_VENDOR = re.compile("/vendors/([^/]+)/")
_STRUCTURED = "application/cloudevents+json"
_BATCH = "application/cloudevents-batch+json"


class NotADeliveryError(Exception):
    """A request that no hub with our secret can have sent."""


class Receiver:
    """Counts and keeps the events that it was sent.  ``GET /`` counts, ``GET /events`` lists."""

    def __init__(self, listener: socket.socket) -> None:
        self._server = HttpServer(listener, self.answer, threads=8)
        self._lock = threading.Lock()
        self._webhooks: list[Webhook] = []
        self._seen: set[str] = set()
        self._kept: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._by_type: Counter[str] = Counter()
        self._by_vendor: Counter[str] = Counter()
        self._counts = dict.fromkeys(("requests", "refused", "events", "distinct"), 0)
        self.url = self._server.url

    def start(self) -> None:
        """Begin to serve."""
        self._server.start()

    def stop(self) -> None:
        """Serve no more."""
        self._server.stop()

    def trust(self, secret: str) -> None:
        """Accept what is signed with a secret, beside those told before."""
        self._webhooks.append(Webhook(secret))

    def answer(self, request: Request) -> Answer:
        """Answer a delivery or a question about deliveries."""
        if request.method == "GET":
            return self._told(request.path)
        try:
            events = [_shown(event) for event in self._verified(request)]
        except NotADeliveryError as error:
            with self._lock:
                self._counts["requests"] += 1
                self._counts["refused"] += 1
            return _json(400, {"error": str(error)})
        with self._lock:
            self._counts["requests"] += 1
            for event in events:
                self._count(event)
        return _json(200, {"received": len(events)})

    def counts(self) -> dict[str, Any]:
        """Return how much was received and how much was refused."""
        with self._lock:
            return {
                **self._counts,
                "by_type": dict(self._by_type),
                "by_vendor": dict(self._by_vendor),
            }

    def _told(self, path: str) -> Answer:
        if path == "/events":
            with self._lock:
                return _json(200, {"data": list(self._kept)})
        return _json(200, self.counts()) if path == "/" else _json(404, {"error": "unknown"})

    def _verified(self, request: Request) -> Iterable[CloudEvent]:
        if not any(_signed(webhook, request) for webhook in self._webhooks):
            raise NotADeliveryError("no valid signature")
        kind = request.headers.get("content-type", "").split(";")[0].strip()
        try:
            if kind == _STRUCTURED:
                return [_parsed(request.body)]
            if kind == _BATCH:
                return [_parsed(json.dumps(each).encode()) for each in json.loads(request.body)]
        except Exception as error:
            raise NotADeliveryError(f"not a CloudEvent: {error}") from error
        raise NotADeliveryError(f"not a CloudEvent: {kind}")

    def _count(self, event: dict[str, Any]) -> None:
        self._counts["events"] += 1
        if event["id"] in self._seen:
            return
        self._seen.add(event["id"])
        self._counts["distinct"] += 1
        self._by_type[event["type"]] += 1
        if found := _VENDOR.match(event["source"]):
            self._by_vendor[found[1]] += 1
        self._kept.append(event)


def _signed(webhook: Webhook, request: Request) -> bool:
    try:
        webhook.verify(request.body, dict(request.headers), json_parse=False)
    except Exception:  # noqa: BLE001 - the library raises what damaged base64 or text raises
        return False
    return True


def _parsed(body: bytes) -> CloudEvent:
    event = JSONFormat().read(CloudEvent, body)
    if not isinstance(event, CloudEvent):
        raise TypeError("another version of CloudEvents")
    return event


def _shown(event: CloudEvent) -> dict[str, Any]:
    attributes: Mapping[str, Any] = event.get_attributes()
    time = event.get_time()
    shown = {**attributes, "data": event.get_data()}
    return shown | ({"time": time.isoformat().replace("+00:00", "Z")} if time else {})


def _json(status: int, value: Any) -> Answer:
    body = json.dumps(value, default=str).encode()
    return Answer(status, [("content-type", "application/json")], body)
