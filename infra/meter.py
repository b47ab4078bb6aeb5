"""What a stretch of work costs on AWS: calls by operation, DynamoDB write and read units, SQS requests.

Emulators report units wrongly, so this computes them by AWS's sizing rules: an item's size is the bytes
of its names and values; a write costs its larger image in KB, rounded up, and again for each index it
touches; an eventually consistent read half a unit per 4 KB.  It listens to boto3's own events, so it
counts what the hub really sends, retries included.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

_INDEXES = (("g1pk", "g1sk"), ("g2pk", "g2sk"))


class Meter:
    """Counts what clients send while it is attached to them."""

    def __init__(self, shadow: Any, table: str) -> None:
        """``shadow`` is a DynamoDB client of its own, by which items are looked at unmetered."""
        self.calls: Counter[str] = Counter()
        self.write_units = 0.0
        self.read_units = 0.0
        self.sqs_requests = 0
        self._shadow = shadow
        self._table = table
        self._before: dict[str, Any] = {}

    def attach(self, client: Any) -> None:
        """Count the calls of a client from now on."""
        service = client.meta.service_model.service_name
        client.meta.events.register(f"provide-client-params.{service}.*", self._asked)
        client.meta.events.register(f"after-call.{service}.*", self._answered)

    def reset(self) -> None:
        """Begin anew."""
        self.calls.clear()
        self.write_units = self.read_units = 0.0
        self.sqs_requests = 0

    def summary(self) -> dict[str, float]:
        """Return the figures of what was counted."""
        return {
            "calls": sum(self.calls.values()),
            "write_units": self.write_units,
            "read_units": self.read_units,
            "sqs_requests": self.sqs_requests,
        }

    def _asked(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self.asked(model.name, params)

    def _answered(self, model: Any, parsed: dict[str, Any], **_: Any) -> None:
        self.answered(model.name, parsed)

    def asked(self, operation: str, params: dict[str, Any]) -> None:
        """Hear of a call before it is made."""
        self._before = {"params": params, "old": None}
        if operation in {"PutItem", "UpdateItem", "DeleteItem"}:
            self._before["old"] = self._look(params)

    def answered(self, operation: str, parsed: dict[str, Any]) -> None:
        """Count the call that was heard of last."""
        self.calls[operation] += 1
        params = self._before.get("params", {})
        match operation:
            case "PutItem" | "UpdateItem" | "DeleteItem":
                self._wrote(self._before["old"], self._look(params))
            case "GetItem":
                item = parsed.get("Item")
                self.read_units += _reads(size_of(item) if item else 1, params)
            case "BatchGetItem":
                request = params["RequestItems"][self._table]
                found = parsed.get("Responses", {}).get(self._table, [])
                later = parsed.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])
                missing = len(request["Keys"]) - len(later) - len(found)
                for size in [*map(size_of, found), *[1] * missing]:
                    self.read_units += _reads(size, request)
            case "Query":
                total = sum(size_of(item) for item in parsed.get("Items", []))
                self.read_units += _reads(max(total, 1), params)
            case "SendMessage":
                self._carried([params["MessageBody"]])
            case "SendMessageBatch":
                self._carried([entry["MessageBody"] for entry in params["Entries"]])
            case "ReceiveMessage":
                self._carried([message["Body"] for message in parsed.get("Messages", [])])
            case str(name) if "Message" in name:
                self.sqs_requests += 1
            case _:
                pass

    def _carried(self, bodies: list[str]) -> None:
        """SQS bills a request for every 64 KB that one carries, either way."""
        total = sum(len(body.encode()) for body in bodies)
        self.sqs_requests += max(1, math.ceil(total / 65_536))

    def _look(self, params: dict[str, Any]) -> dict[str, Any] | None:
        whole = params.get("Key") or params["Item"]
        key = {"pk": whole["pk"], "sk": whole["sk"]}
        answer = self._shadow.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        found: dict[str, Any] | None = answer.get("Item")
        return found

    def _wrote(self, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        size = max(size_of(old) if old else 0, size_of(new) if new else 0, 1)
        self.write_units += math.ceil(size / 1024)
        for names in _INDEXES:
            was, now = _entry(old, names), _entry(new, names)
            if was == now and (was is None or old == new):
                continue
            units = math.ceil(size / 1024)
            moved = was is not None and now is not None and was != now
            self.write_units += 2 * units if moved else units


def size_of(item: dict[str, Any] | None) -> int:
    """Return the bytes that DynamoDB counts for an item in typed form."""
    return sum(len(name.encode()) + _size(value) for name, value in (item or {}).items())


def _size(typed: dict[str, Any]) -> int:
    kind, value = next(iter(typed.items()))
    if kind == "S":
        return len(value.encode())
    if kind == "B":
        return len(value)
    if kind == "N":
        digits = value.lstrip("-").replace(".", "").strip("0") or "0"
        return (len(digits) + 1) // 2 + 1 + int(value.startswith("-"))
    return 1


def _entry(item: dict[str, Any] | None, names: tuple[str, str]) -> Any:
    if item is None or names[0] not in item or names[1] not in item:
        return None
    return item[names[0]], item[names[1]]


def _reads(size: int, request: dict[str, Any]) -> float:
    units = math.ceil(size / 4096)
    return units if request.get("ConsistentRead") else units / 2
