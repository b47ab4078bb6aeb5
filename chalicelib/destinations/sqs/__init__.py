"""SQS: CloudEvents as messages of a queue of yours, FIFO or not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.destinations import ROLE, AwsCall, Destination, Form, Most, as_ascii, check_role
from chalicelib.model import arns
from chalicelib.model.cloudevents import CloudEvent
from chalicelib.model.digests import digest
from chalicelib.model.fields import Field, Problem, declared

_FIELDS = (
    Field("queue_arn", "The queue; a name that ends in .fifo is a FIFO queue.", required=True),
    ROLE,
)
_GROUP = re.compile(r"[!-~]{1,128}")


def _check(config: Mapping[str, Any], *, private_targets: str) -> list[Problem]:
    found = declared(_FIELDS, config) + check_role(config, private_targets)
    queue = config.get("queue_arn")
    if queue is not None and (detail := arns.problem(queue, "sqs", r"[\w-]{1,80}(\.fifo)?")):
        found.append(("/queue_arn", detail))
    return found


def _render(events: Sequence[CloudEvent], config: Mapping[str, Any], form: Form) -> AwsCall:
    queue = arns.parsed(config["queue_arn"])
    assert queue is not None, "the config was checked"  # noqa: S101
    ordered = queue.resource.endswith(".fifo")
    where = {"QueueUrl": arns.queue_url(queue)}
    rows = [_message(event, ordered=ordered) for event in events]
    if not form.batch:
        return AwsCall("sqs", "send_message", where | rows[0], queue.region, config.get(ROLE.name))
    entries = [{"Id": str(place), **row} for place, row in enumerate(rows)]
    parameters = where | {"Entries": entries}
    return AwsCall("sqs", "send_message_batch", parameters, queue.region, config.get(ROLE.name))


def _message(event: CloudEvent, *, ordered: bool) -> dict[str, Any]:
    attributes = {
        name: {"DataType": "String", "StringValue": event[name]} for name in ("id", "type")
    }
    message = {"MessageBody": as_ascii(event), "MessageAttributes": attributes}
    if ordered:
        device = event["subject"]
        group = device if _GROUP.fullmatch(device) else digest("group", device)
        message |= {"MessageGroupId": group, "MessageDeduplicationId": event["id"]}
    return message


destination = Destination("Amazon SQS", _FIELDS, _check, _render, batches=Most(10))
