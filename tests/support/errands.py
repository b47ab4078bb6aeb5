"""What the hub does at vendors, done step by step for a tenant of the API's tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chalicelib.config import Config
from chalicelib.dispatch import entry as dispatch
from chalicelib.normalize import entry as normalize
from chalicelib.project import entry as project
from chalicelib.security import hashed
from chalicelib.sync import entry as sync
from tests.support.vendor_apis import VendorApi

_QUEUES = ("inbound", "deliveries", "dead", "archive", "ordered.fifo")
CONFIG = replace(
    Config("hub", *_QUEUES, hashed("the root key"), sync_url="sync"), private_targets="loopback"
)
"""A hub that may ask loopback."""


def connect(tenant: Any, vendor: str, api: VendorApi, **settings: Any) -> str:
    """Let the hub in at a vendor; return the connection's path."""
    body = {"settings": {"base_url": api.url, **settings}, "credentials": dict(api.credentials)}
    path = f"/v1/connections/{tenant.connection(vendor)}"
    tenant.patch(path, body)
    return path


def dispatched(tenant: Any) -> list[dict[str, Any]]:
    """Let dispatch read the stream; return what it handed to deliver, and keep what is for sync."""
    event = {"Records": tenant.aws.dynamodb.stream[:]}
    tenant.aws.dynamodb.stream.clear()
    assert dispatch.run(event, tenant.hub) == {"batchItemFailures": []}
    return tenant.queued("deliveries")  # type: ignore[no-any-return]


def work(tenant: Any) -> int:
    """Do what is queued for vendors now, after dispatch has seen what is new; return how much it was."""
    dispatched(tenant)
    queue = tenant.aws.sqs.queues.get("sync", {})
    messages = tenant.aws.sqs.visible("sync")
    for message in messages:
        record = {"messageId": message.id, "body": message.body}
        assert sync.run({"Records": [record]}, tenant.hub) == {"batchItemFailures": []}
        queue.pop(message.id)
    return len(messages)


def normalized(tenant: Any) -> int:
    """Put what is in the inbound queue through the hub; return how many payloads it was."""
    seen, found = len(tenant.aws.dynamodb.stream), 0
    while messages := tenant.aws.sqs.queues.pop("inbound", {}):
        records = [{"messageId": each.id, "body": each.body} for each in messages.values()]
        assert normalize.run({"Records": records}, tenant.hub) == {"batchItemFailures": []}
        found += len(records)
    event = {"Records": tenant.aws.dynamodb.stream[seen:]}
    assert project.run(event, tenant.hub) == {"batchItemFailures": []}
    return found
