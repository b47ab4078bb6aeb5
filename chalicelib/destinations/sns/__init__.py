"""SNS: CloudEvents as messages of a topic of yours, FIFO or not."""

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
    Field("topic_arn", "The topic; a name that ends in .fifo is a FIFO topic.", required=True),
    ROLE,
)
_GROUP = re.compile(r"[!-~]{1,128}")


def _check(config: Mapping[str, Any], *, private_targets: str) -> list[Problem]:
    found = declared(_FIELDS, config) + check_role(config, private_targets)
    topic = config.get("topic_arn")
    if topic is not None and (detail := arns.problem(topic, "sns", r"[\w-]{1,256}(\.fifo)?")):
        found.append(("/topic_arn", detail))
    return found


def _render(events: Sequence[CloudEvent], config: Mapping[str, Any], form: Form) -> AwsCall:
    topic = arns.parsed(config["topic_arn"])
    assert topic is not None, "the config was checked"  # noqa: S101
    ordered = topic.resource.endswith(".fifo")
    where = {"TopicArn": config["topic_arn"]}
    rows = [_message(event, ordered=ordered) for event in events]
    if not form.batch:
        return AwsCall("sns", "publish", where | rows[0], topic.region, config.get(ROLE.name))
    entries = [{"Id": str(place), **row} for place, row in enumerate(rows)]
    parameters = where | {"PublishBatchRequestEntries": entries}
    return AwsCall("sns", "publish_batch", parameters, topic.region, config.get(ROLE.name))


def _message(event: CloudEvent, *, ordered: bool) -> dict[str, Any]:
    # What subscriptions may filter by.
    attributes = {
        name: {"DataType": "String", "StringValue": event[name]}
        for name in ("id", "type", "subject")
    }
    message = {"Message": as_ascii(event), "MessageAttributes": attributes}
    if ordered:
        device = event["subject"]
        group = device if _GROUP.fullmatch(device) else digest("group", device)
        message |= {"MessageGroupId": group, "MessageDeduplicationId": event["id"]}
    return message


destination = Destination("Amazon SNS", _FIELDS, _check, _render, batches=Most(10, 240 * 1024))
