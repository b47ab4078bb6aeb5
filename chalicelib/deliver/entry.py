"""A batch of the deliveries queue: its messages side by side, each by itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

from chalicelib import aws, telemetry
from chalicelib.deliver.courier import Courier, real_hands
from chalicelib.deliver.tally import Tally


def run(event: dict[str, Any], hub: aws.Hub | None = None) -> dict[str, Any]:
    """Process a queue event.  Returns the messages that must come again."""
    records = event["Records"]
    return deliver(records, courier_of(hub or aws.hub()), threads=min(len(records), 10))


def deliver(records: list[dict[str, Any]], courier: Courier, *, threads: int = 1) -> dict[str, Any]:
    """Have a courier take every message of a batch."""
    tally = Tally()

    def take(record: Mapping[str, Any]) -> bool:
        try:
            received = int(record["attributes"]["ApproximateReceiveCount"])
            courier.take(json.loads(record["body"]), tally, again=received > 1)
        except Exception:  # noqa: BLE001 - siblings must not come again because of this one
            telemetry.logger().exception("deliver.failed", extra={"queued": record["messageId"]})
            return False
        return True

    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            done = list(pool.map(take, records))
    else:
        done = [take(record) for record in records]
    tally.publish()
    failed = [record["messageId"] for record, well in zip(records, done, strict=True) if not well]
    return {"batchItemFailures": [{"itemIdentifier": identity} for identity in failed]}


@lru_cache(maxsize=8)
def courier_of(hub: aws.Hub) -> Courier:
    """Return the courier of this process: it keeps connections and what it knows of integrations."""
    return Courier(hub, real_hands(hub))
