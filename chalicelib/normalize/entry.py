"""A batch of the inbound queue: archive all, then normalise and store each payload by itself.

A message may also name a step of a renormalization.  Those come after the payloads of the batch.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from chalicelib import archive, aws, renormalization, telemetry
from chalicelib.model.envelope import Envelope, from_json
from chalicelib.normalize import history
from chalicelib.normalize.payloads import put_through
from chalicelib.renormalization import Step
from chalicelib.store import connections, tallies
from chalicelib.store.connections import Connection
from chalicelib.store.table import table_of

UNKNOWN = "unknown"
"""The archive's tenant for payloads of a connection that never existed (a mistyped MQTT topic)."""
_STEPS_MS = 5000
"""For how long steps work in one invocation: even if all are busy with them, no payload waits longer."""
_Work = list[tuple[str, Envelope, Connection | None]]


def run(event: dict[str, Any], hub: aws.Hub | None = None) -> dict[str, Any]:
    """Process an SQS event; return the messages to be received again (partial batch response)."""
    hub = hub or aws.hub()
    failed: list[str] = []
    tenants: dict[str, _Work] = defaultdict(list)
    steps: list[tuple[dict[str, Any], Step]] = []
    for record in event["Records"]:
        try:
            step = renormalization.named(record["body"])
            if step is not None:
                steps.append((record, step))
                continue
            envelope = archive.whole(hub, from_json(record["body"]))
            connection = connections.recent(table_of(hub), envelope.connection_id)
        except Exception:  # noqa: BLE001 - one message must not take its batch along
            telemetry.logger().exception("message.unreadable")
            failed.append(record["messageId"])
            continue
        tenant = connection.tenant if connection else UNKNOWN
        tenants[tenant].append((record["messageId"], envelope, connection))
    for tenant, work in tenants.items():
        failed += _tenant(hub, tenant, work)
    failed += _steps(hub, steps)
    # Nothing to do is the time to write down what was counted (the local run asks now and then).
    tallies.write_due(table_of(hub), all_of_them=not event["Records"])
    return {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}


def _tenant(hub: aws.Hub, tenant: str, work: _Work) -> list[str]:
    try:
        archive.keep(hub, tenant, [envelope for _, envelope, _ in work if not envelope.redrive])
    except Exception:  # noqa: BLE001 - not archived, so not acknowledged: all of them come again
        telemetry.logger().exception("archive.failed")
        return [message for message, _, _ in work]
    failed: list[str] = []
    for message, envelope, connection in work:
        if connection is None:
            telemetry.plain("connection.unknown", receipt_id=envelope.receipt_id)
            continue
        try:
            put_through(table_of(hub), connection, envelope)
        except Exception:  # noqa: BLE001 - one message must not take its batch along
            telemetry.logger().exception(
                "payload.failed", extra={"receipt_id": envelope.receipt_id}
            )
            failed.append(message)
    return failed


def _steps(hub: aws.Hub, steps: list[tuple[dict[str, Any], Step]]) -> list[str]:
    begun = hub.now()
    failed: list[str] = []
    for number, (record, step) in enumerate(steps, 1):
        again = int(record.get("attributes", {}).get("ApproximateReceiveCount", 1)) > 1
        try:
            history.go_on(hub, step, begun + _STEPS_MS * number // len(steps), again=again)
        except Exception:  # noqa: BLE001 - one message must not take its batch along
            telemetry.logger().exception("renormalize.failed", extra=step._asdict())
            failed.append(record["messageId"])
    return failed
