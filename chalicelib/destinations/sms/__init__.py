"""SMS: a short text for people, sent through SNS under the deployment's sender id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.destinations import AwsCall, Destination, Form
from chalicelib.model.cloudevents import CloudEvent
from chalicelib.model.fields import Field, Problem, check_text, declared

_FIELDS = (Field("phone_number", "Who gets it, as E.164, such as +4930123456.", required=True),)
_TEXTS = {"template": "{{summary}}\n{{alert.message}}\n{{location}}\n{{time}}"}
_LONGEST = 480
"""Characters of a text: three to seven parts, each of which is paid for."""


def _check(config: Mapping[str, Any], *, private_targets: str) -> list[Problem]:  # noqa: ARG001
    found = declared(_FIELDS, config)
    what = "a number as E.164, such as +4930123456"
    return found + check_text(config, "phone_number", r"\+[1-9][0-9]{6,14}", what)


def _render(events: Sequence[CloudEvent], config: Mapping[str, Any], form: Form) -> AwsCall:  # noqa: ARG001
    attributes = {"AWS.SNS.SMS.SMSType": "Transactional", "AWS.SNS.SMS.SenderID": form.given}
    parameters = {
        "PhoneNumber": config["phone_number"],
        "Message": form.texts["template"].strip()[:_LONGEST] or "Tributary",
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
        },
    }
    return AwsCall("sns", "publish", parameters)


destination = Destination(
    "SMS", _FIELDS, _check, _render, ordered=True, texts=_TEXTS, needs="sms_sender"
)
