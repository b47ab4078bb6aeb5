"""The end of a delivery that never came through: its row stays, and the dead-letter queue learns why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from chalicelib import queues
from chalicelib.store.deliveries import Delivery

if TYPE_CHECKING:
    from chalicelib.aws import Hub


def bury(hub: Hub, row: Delivery) -> None:
    """Tell the dead-letter queue.  Told twice after a crash, it holds two messages with one id."""
    message = {
        "tenant": row.tenant,
        "integration": row.integration_id,
        "delivery": row.id,
        "event_ids": list(row.event_ids),
        "reason": reason(row),
        "attempts": len(row.attempts),
    }
    queues.send(hub, hub.config.dead_letters_url, [queues.Message(json.dumps(message))])


def reason(row: Delivery) -> str:
    """Say why a delivery was given up."""
    last = row.attempts[-1] if row.attempts else {}
    what = last.get("error") or f"status {last.get('status')}"
    return f"given up after {len(row.attempts)} attempts: {what}"
