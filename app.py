"""Entry points: one function a trigger.  Each hands its event to a stage and decides nothing."""

from __future__ import annotations

from typing import Any

from chalice import Chalice, Rate
from chalice.app import CloudWatchEvent, DynamoDBEvent, Request, Response, SQSEvent

app = Chalice(app_name="tributary")

# Every body is ours to read (415 is only for an unknown Content-Encoding), so routes name no types.
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_ANY: dict[str, Any] = {"methods": _METHODS, "content_types": []}
# Literal ARNs: packaging wants one, and the merged infrastructure replaces it.
_ELSEWHERE = "arn:aws:sqs:eu-west-1:000000000000:replaced-by-infra"
_STREAM = "arn:aws:dynamodb:eu-west-1:000000000000:table/replaced/stream/by-infra"


def _request() -> Request:
    request = app.current_request
    assert request is not None, "a route is only entered with a request"  # noqa: S101
    return request


@app.route("/webhooks/{path+}", **_ANY)
def ingress() -> Response:
    """Take a vendor's webhook."""
    from chalicelib.ingress import http  # noqa: PLC0415 - an entry point imports what it uses

    return http.receive(_request())


@app.route("/", **_ANY)
@app.route("/{path+}", **_ANY)
def api() -> Response:
    """Answer an operator."""
    from chalicelib.api import entry  # noqa: PLC0415

    return entry.answer(_request())


@app.on_sqs_message(queue_arn=_ELSEWHERE, batch_size=10, name="normalize")
def normalize(event: SQSEvent) -> dict[str, Any]:
    """Turn queued payloads into stored records."""
    from chalicelib.normalize import entry  # noqa: PLC0415

    return entry.run(event.to_dict())


@app.on_dynamodb_record(stream_arn=_STREAM, batch_size=100, name="project")
def project(event: DynamoDBEvent) -> dict[str, Any]:
    """Fold stored records into states, presence, devices and alerts."""
    from chalicelib.project import entry  # noqa: PLC0415

    return entry.run(event.to_dict())


@app.on_dynamodb_record(stream_arn=_STREAM, batch_size=100, name="dispatch")
def dispatch(event: DynamoDBEvent) -> dict[str, Any]:
    """Enqueue a delivery for every subscription that a stored change matches."""
    from chalicelib.dispatch import entry  # noqa: PLC0415

    return entry.run(event.to_dict())


@app.on_sqs_message(queue_arn=_ELSEWHERE, batch_size=10, name="deliver")
def deliver(event: SQSEvent) -> dict[str, Any]:
    """Attempt queued deliveries."""
    from chalicelib.deliver import entry  # noqa: PLC0415

    return entry.run(event.to_dict())


@app.on_sqs_message(queue_arn=_ELSEWHERE, batch_size=1, name="sync")
def sync(event: SQSEvent) -> dict[str, Any]:
    """Do what is queued to be done at vendors."""
    from chalicelib.sync import entry  # noqa: PLC0415

    return entry.run(event.to_dict())


@app.on_sqs_message(queue_arn=_ELSEWHERE, batch_size=1, name="export")
def export(event: SQSEvent) -> dict[str, Any]:
    """Write measurements into a file, a slice at a time."""
    from chalicelib.export import entry  # noqa: PLC0415

    return entry.run(event.to_dict())


@app.schedule(Rate(1, unit=Rate.MINUTES), name="sweep")
def sweep(_event: CloudWatchEvent) -> dict[str, Any]:
    """Do what is due by the clock: silent devices go offline, parked deliveries and lost work come back."""
    from chalicelib.deliver import parked, recovery  # noqa: PLC0415
    from chalicelib.export import stalled as exports  # noqa: PLC0415
    from chalicelib.normalize import stalled  # noqa: PLC0415
    from chalicelib.project import silence  # noqa: PLC0415
    from chalicelib.sync import schedule, timeouts  # noqa: PLC0415

    return {
        "offline": silence.sweep(),
        "requeued": parked.sweep(),
        "lanes": parked.tell_ages(),
        "renormalizing": stalled.sweep(),
        "revived": recovery.sweep(),
        "synced": schedule.sweep(),
        "timed_out": timeouts.sweep(),
        "exporting": exports.sweep(),
    }
