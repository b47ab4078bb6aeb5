"""A batch of the table's stream: each change to the integrations that asked for it, in order.

A new command goes to whoever sends it, too.

Nothing is written here.  A batch that fails is tried again whole from the first change that failed; its
events have the same ids then, and consumers know them by those.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib import aws, errands, outbox, telemetry
from chalicelib.dispatch.subscriptions import Subscriptions, subscriptions_of
from chalicelib.model.cloudevents import CloudEvent
from chalicelib.model.commands import Command
from chalicelib.store import commands, keys
from chalicelib.store.changes import changes
from chalicelib.store.table import unmarshal


def run(event: dict[str, Any], hub: aws.Hub | None = None) -> dict[str, Any]:
    """Process a stream event.  Returns the first change that failed: the mapping retries from there."""
    the_hub = hub or aws.hub()
    known = subscriptions_of(the_hub)
    tenants: dict[str, list[CloudEvent]] = {}
    ordered: list[tuple[str, Command]] = []
    failed: str | None = None
    for record in event["Records"]:
        try:
            ordered += _ordered(record)
            for tenant, change in _changes(record, known):
                tenants.setdefault(tenant, []).append(change)
        except Exception:  # noqa: BLE001 - what stands before this change must not wait for it
            failed = record["dynamodb"]["SequenceNumber"]
            telemetry.logger().exception("dispatch.failed", extra={"keys": _keys_of(record)})
            break
    try:
        errands.send_commands(the_hub, ordered)
        _enqueue(the_hub, known, tenants)
    except Exception:  # noqa: BLE001 - the mapping tries the whole again
        telemetry.logger().exception("dispatch.enqueue_failed")
        failed = event["Records"][0]["dynamodb"]["SequenceNumber"]
    return {"batchItemFailures": [{"itemIdentifier": failed}] if failed is not None else []}


def _ordered(record: Mapping[str, Any]) -> list[tuple[str, Command]]:
    """Return the command, with its tenant, that a record newly orders."""
    image = record["dynamodb"]
    new_command = image["Keys"]["sk"]["S"].startswith(keys.COMMAND) and not image.get("OldImage")
    where = image["Keys"]["pk"]["S"]
    if not new_command or "NewImage" not in image or not keys.is_device(where):
        return []
    return [(keys.tenant_of(where), commands.command_of(unmarshal(image["NewImage"])))]


def _changes(record: Mapping[str, Any], known: Subscriptions) -> list[tuple[str, CloudEvent]]:
    image = record["dynamodb"]
    where = image["Keys"]["pk"]["S"]
    if "NewImage" not in image or not keys.is_told_of(where):
        return []
    tenant = keys.tenant_of(where)
    if not known.of(tenant):
        return []  # nobody listens: do not unpack what nobody gets
    new = unmarshal(image["NewImage"])
    old = unmarshal(image["OldImage"]) if image.get("OldImage") else None
    created = image.get("ApproximateCreationDateTime")
    changed_at = round(float(created) * 1000) if created else None
    return [(tenant, change) for change in changes(old, new, changed_at)]


def _enqueue(hub: aws.Hub, known: Subscriptions, tenants: Mapping[str, list[CloudEvent]]) -> None:
    outbox.send(
        hub,
        (
            (tenant, integration, wanted)
            for tenant, events in tenants.items()
            for integration, wanted in known.matching(tenant, events)
        ),
    )


def _keys_of(record: Mapping[str, Any]) -> str:
    image = record["dynamodb"].get("Keys", {})
    return " ".join(str(next(iter(value.values()))) for value in image.values())
