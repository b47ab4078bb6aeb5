"""E-mail: a text for people, sent through SES from the deployment's address."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.destinations import AwsCall, Destination, Form
from chalicelib.model.cloudevents import CloudEvent
from chalicelib.model.fields import Field, Problem, declared

_FIELDS = (Field("to", "Who gets it: a list of 1 to 10 addresses.", required=True),)
_TEXTS = {
    "subject": "{{summary}}",
    "template": (
        "{{summary}}\n"
        "\n"
        "Message: {{alert.message}}\n"
        "Device: {{device.name}} ({{device.id}})\n"
        "Location: {{location}}\n"
        "Time: {{time}}\n"
        "Raised: {{alert.raised_at}}\n"
        "Cleared: {{alert.cleared_at}}\n"
        "By: {{alert.by}}\n"
        "Note: {{alert.note}}\n"
    ),
}
_ADDRESS = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", re.ASCII)
_MOST = 10
_LONGEST_SUBJECT = 200


def _check(config: Mapping[str, Any], *, private_targets: str) -> list[Problem]:  # noqa: ARG001
    found = declared(_FIELDS, config)
    to = config.get("to")
    if to is None:
        return found
    if not isinstance(to, list) or not 0 < len(to) <= _MOST:
        return [*found, ("/to", f"must be a list of 1 to {_MOST} addresses")]
    found += [
        (f"/to/{place}", "must be an e-mail address")
        for place, each in enumerate(to)
        if not isinstance(each, str) or len(each) > 254 or not _ADDRESS.fullmatch(each)
    ]
    return found


def _render(events: Sequence[CloudEvent], config: Mapping[str, Any], form: Form) -> AwsCall:
    # One line of printable characters: a header ends where a line does.
    subject = " ".join(
        "".join(c if c.isprintable() else " " for c in form.texts["subject"]).split()
    )
    parameters = {
        "FromEmailAddress": form.given,
        "Destination": {"ToAddresses": list(config["to"])},
        "Content": {
            "Simple": {
                "Subject": {"Data": subject[:_LONGEST_SUBJECT] or "Tributary", "Charset": "UTF-8"},
                "Body": {"Text": {"Data": form.texts["template"], "Charset": "UTF-8"}},
                "Headers": [{"Name": "X-Tributary-Event", "Value": events[0]["id"]}],
            }
        },
    }
    return AwsCall("sesv2", "send_email", parameters)


destination = Destination(
    "E-mail", _FIELDS, _check, _render, ordered=True, texts=_TEXTS, needs="email_sender"
)
