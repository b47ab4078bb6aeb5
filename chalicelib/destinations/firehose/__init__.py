"""Firehose: CloudEvents as lines of NDJSON into a stream of yours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.destinations import ROLE, AwsCall, Destination, Form, Most, as_json, check_role
from chalicelib.model import arns
from chalicelib.model.cloudevents import CloudEvent
from chalicelib.model.fields import Field, Problem, declared

_FIELDS = (Field("stream_arn", "The delivery stream.", required=True), ROLE)
_NAME = "deliverystream/"


def _check(config: Mapping[str, Any], *, private_targets: str) -> list[Problem]:
    found = declared(_FIELDS, config) + check_role(config, private_targets)
    stream = config.get("stream_arn")
    if stream is not None:
        detail = arns.problem(stream, "firehose", rf"{_NAME}[\w.-]{{1,64}}")
        found += [] if detail is None else [("/stream_arn", detail)]
    return found


def _render(events: Sequence[CloudEvent], config: Mapping[str, Any], form: Form) -> AwsCall:
    stream = arns.parsed(config["stream_arn"])
    assert stream is not None, "the config was checked"  # noqa: S101
    where = {"DeliveryStreamName": stream.resource.removeprefix(_NAME)}
    records = [{"Data": as_json(event) + b"\n"} for event in events]
    operation = "put_record_batch" if form.batch else "put_record"
    what: dict[str, Any] = {"Records": records} if form.batch else {"Record": records[0]}
    return AwsCall("firehose", operation, where | what, stream.region, config.get(ROLE.name))


destination = Destination("Amazon Data Firehose", _FIELDS, _check, _render, batches=Most(500))
