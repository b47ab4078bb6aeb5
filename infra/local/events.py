"""The events and contexts that Lambda hands to functions, in AWS's shapes."""

from __future__ import annotations

import base64
import datetime as dt
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


class Context:
    """What Lambda tells a function about its invocation."""

    memory_limit_in_mb = "512"
    function_version = "$LATEST"
    log_group_name = "local"
    log_stream_name = "local"

    def __init__(self, function_name: str, seconds: float = 60) -> None:
        self.function_name = function_name
        self.aws_request_id = str(uuid.uuid4())
        self.invoked_function_arn = arn_of(function_name)
        self._deadline = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds left before Lambda would end the invocation."""
        return max(0, int((self._deadline - time.monotonic()) * 1000))


def arn_of(function_name: str) -> str:
    """Return the ARN under which a function of the local run is known."""
    return f"arn:aws:lambda:eu-west-1:000000000000:function:{function_name}"


def queue_event(messages: Iterable[Mapping[str, Any]], arn: str) -> dict[str, Any]:
    """Return the event of messages that boto3 received."""
    region = arn.split(":")[3]
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": dict(message.get("Attributes", {})),
                "messageAttributes": {
                    name: _message_attribute(value)
                    for name, value in message.get("MessageAttributes", {}).items()
                },
                "md5OfBody": message["MD5OfBody"],
                "eventSource": "aws:sqs",
                "eventSourceARN": arn,
                "awsRegion": region,
            }
            for message in messages
        ]
    }


def _message_attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"dataType": value["DataType"]}
    if "StringValue" in value:
        shown["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        shown["binaryValue"] = base64.b64encode(value["BinaryValue"]).decode()
    return shown | {"stringListValues": [], "binaryListValues": []}


def stream_record(record: Mapping[str, Any], stream_arn: str) -> dict[str, Any]:
    """Return a record as Lambda delivers it, from one as boto3 reads it."""
    change = record["dynamodb"]
    created = change.get("ApproximateCreationDateTime", 0)
    shown: dict[str, Any] = {
        "ApproximateCreationDateTime": int(
            created.timestamp() if isinstance(created, dt.datetime) else created
        ),
        "Keys": _texts(change.get("Keys", {})),
        "SequenceNumber": change["SequenceNumber"],
        "SizeBytes": change.get("SizeBytes", 0),
        "StreamViewType": change["StreamViewType"],
    }
    for image in ("NewImage", "OldImage"):
        if image in change:
            shown[image] = _texts(change[image])
    event = {
        "eventID": record["eventID"],
        "eventName": record["eventName"],
        "eventVersion": record.get("eventVersion", "1.1"),
        "eventSource": "aws:dynamodb",
        "awsRegion": record.get("awsRegion") or stream_arn.split(":")[3],
        "dynamodb": shown,
        "eventSourceARN": stream_arn,
    }
    if "userIdentity" in record:
        identity = record["userIdentity"]
        event["userIdentity"] = {
            "type": identity.get("Type"),
            "principalId": identity.get("PrincipalId"),
        }
    return event


def _texts(image: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {name: _text(value) for name, value in image.items()}


def _text(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return an attribute with its bytes as base64 text: events are JSON."""
    ((kind, content),) = value.items()
    match kind:
        case "B":
            return {"B": base64.b64encode(content).decode()}
        case "BS":
            return {"BS": [base64.b64encode(each).decode() for each in content]}
        case "L":
            return {"L": [_text(each) for each in content]}
        case "M":
            return {"M": _texts(content)}
        case _:
            return {kind: content}


def schedule_event(rule: str) -> dict[str, Any]:
    """Return the event of a schedule that is due."""
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "000000000000",
        "time": now,
        "region": "eu-west-1",
        "resources": [f"arn:aws:events:eu-west-1:000000000000:rule/{rule}"],
        "detail": {},
    }


def failed_ids(answer: Any, known: Sequence[str]) -> list[str]:
    """Return the ids that a function reports as failed, in the order of ``known``.

    As Lambda reads it: nothing reported is success, and a report that cannot be understood means
    that everything failed.
    """
    if not isinstance(answer, dict) or not answer.get("batchItemFailures"):
        return []
    failures = answer["batchItemFailures"]
    try:
        said = {failure["itemIdentifier"] for failure in failures}
    except (TypeError, KeyError):
        return list(known)
    return [each for each in known if each in said] if said <= set(known) else list(known)
