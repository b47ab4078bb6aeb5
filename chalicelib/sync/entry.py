"""The sync queue: each message is one thing to be done at one vendor."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from chalicelib import aws, telemetry
from chalicelib.model.decode import BODY_LIMIT
from chalicelib.outbound.http import Limits, Sender
from chalicelib.sync import commands, fetching
from chalicelib.sync.accounts import Accounts


def run(event: dict[str, Any], hub: aws.Hub | None = None) -> dict[str, Any]:
    """Process a queue event.  Returns the messages that must come again."""
    the_hub = hub or aws.hub()
    failed: list[str] = []
    for record in event["Records"]:
        try:
            take(the_hub, json.loads(record["body"]), accounts_of(the_hub))
        except Exception:  # noqa: BLE001 - siblings must not come again because of this one
            telemetry.logger().exception("sync.failed", extra={"queued": record["messageId"]})
            failed.append(record["messageId"])
    return {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}


def take(hub: aws.Hub, message: dict[str, Any], accounts: Accounts) -> None:
    """Do what one message asks for.  Raises whatever AWS raises; the message then comes again."""
    if "sync" in message:
        fetching.take(hub, message, accounts)
    else:
        commands.send(hub, message["tenant"], message["command"], accounts)


_LIMITS = Limits(after_success=15.0, content=BODY_LIMIT)
"""A vendor's answer is wanted whole."""


@lru_cache(maxsize=8)
def accounts_of(hub: aws.Hub) -> Accounts:
    """Return the accounts of this process: it keeps connections and sessions."""
    return Accounts(hub, Sender(hub.config.private_targets, _LIMITS, hub.resolve))
