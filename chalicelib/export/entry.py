"""A message of the exports queue: one slice of one export."""

from __future__ import annotations

from typing import Any

from chalicelib import aws, exportation, telemetry
from chalicelib.export import slices
from chalicelib.export.slices import SLICE, Size


def run(event: dict[str, Any], hub: aws.Hub | None = None, size: Size = SLICE) -> dict[str, Any]:
    """Process an SQS event; return the messages to be received again (partial batch response)."""
    hub = hub or aws.hub()
    failed: list[str] = []
    for record in event["Records"]:
        again = int(record["attributes"]["ApproximateReceiveCount"]) > 1
        try:
            slices.go_on(hub, exportation.named(record["body"]), again=again, size=size)
        except Exception:  # noqa: BLE001 - one message must not take its batch along
            telemetry.logger().exception("export.unsettled")
            failed.append(record["messageId"])
    return {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}
