"""A batch of the deliveries queue: its messages side by side, each by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

from chalicelib import aws, telemetry
from chalicelib.deliver.courier import Courier, real_hands
from chalicelib.deliver.tally import Tally

Record = Mapping[str, Any]


def run(event: dict[str, Any], hub: aws.Hub | None = None) -> dict[str, Any]:
    """Process a queue event.  Returns the messages that must come again."""
    records = event["Records"]
    return deliver(records, courier_of(hub or aws.hub()), threads=min(len(records), 10))


def deliver(records: list[dict[str, Any]], courier: Courier, *, threads: int = 1) -> dict[str, Any]:
    """Have a courier take every message of a batch."""
    tally = Tally()

    def take(record: Record) -> bool:
        return _tried(
            record["messageId"],
            lambda: courier.take(_message(record), tally, again=_received(record) > 1),
        )

    aside: set[str] = set()
    _tried("the batch", lambda: aside.update(courier.set_aside(_new(records))))
    left = [record for record in records if record["messageId"] not in aside]
    if threads > 1 and len(left) > 1:
        with ThreadPoolExecutor(min(threads, len(left))) as pool:
            done = list(pool.map(take, left))
    else:
        done = [take(record) for record in left]
    tally.publish()
    failed = [record["messageId"] for record, well in zip(left, done, strict=True) if not well]
    return {"batchItemFailures": [{"itemIdentifier": identity} for identity in failed]}


def _message(record: Record) -> dict[str, Any]:
    """Return what a message says, with its number where its queue keeps order."""
    number = record["attributes"].get("SequenceNumber", "0")
    return {**json.loads(record["body"]), "number": number}


def _new(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the messages that were never received before, as far as they can be read."""
    found: dict[str, Any] = {}
    for record in records:
        if _received(record) == 1:
            try:
                found[record["messageId"]] = json.loads(record["body"])
            except ValueError:
                continue  # whoever takes it says so
    return found


def _tried(what: str, work: Callable[[], Any]) -> bool:
    try:
        work()
    except Exception:  # noqa: BLE001 - siblings must not come again because of this one
        telemetry.logger().exception("deliver.failed", extra={"queued": what})
        return False
    return True


def _received(record: Record) -> int:
    return int(record["attributes"]["ApproximateReceiveCount"])


@lru_cache(maxsize=8)
def courier_of(hub: aws.Hub) -> Courier:
    """Return the courier of this process: it keeps connections and what it knows of integrations."""
    return Courier(hub, real_hands(hub))
