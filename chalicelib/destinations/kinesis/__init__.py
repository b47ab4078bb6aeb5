"""Kinesis: CloudEvents as records of a data stream of yours, a device's in one shard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.destinations import ROLE, AwsCall, Destination, Form, Most, as_json, check_role
from chalicelib.model import arns
from chalicelib.model.cloudevents import CloudEvent
from chalicelib.model.fields import Field, Problem, declared

_FIELDS = (Field("stream_arn", "The data stream.", required=True), ROLE)
_LONGEST_KEY = 256


def _check(config: Mapping[str, Any], *, private_targets: str) -> list[Problem]:
    found = declared(_FIELDS, config) + check_role(config, private_targets)
    stream = config.get("stream_arn")
    if stream is not None and (detail := arns.problem(stream, "kinesis", r"stream/[\w.-]{1,128}")):
        found.append(("/stream_arn", detail))
    return found


def _render(events: Sequence[CloudEvent], config: Mapping[str, Any], form: Form) -> AwsCall:
    stream = arns.parsed(config["stream_arn"])
    assert stream is not None, "the config was checked"  # noqa: S101
    where = {"StreamARN": config["stream_arn"]}
    records = [
        {"Data": as_json(event), "PartitionKey": event["subject"][:_LONGEST_KEY]}
        for event in events
    ]
    if form.batch:
        operation, what = "put_records", {"Records": records}
    else:
        operation, what = "put_record", records[0]
    return AwsCall("kinesis", operation, where | what, stream.region, config.get(ROLE.name))


destination = Destination(
    "Amazon Kinesis Data Streams", _FIELDS, _check, _render, batches=Most(500)
)
