"""EventBridge: CloudEvents as the detail of events on a bus of yours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.destinations import ROLE, AwsCall, Destination, Form, Most, as_ascii, check_role
from chalicelib.model import arns
from chalicelib.model.cloudevents import CloudEvent
from chalicelib.model.fields import Field, Problem, check_text, declared

_FIELDS = (
    Field("event_bus_arn", "The event bus.", required=True),
    Field("source", "The source that rules match, tributary by default."),
    ROLE,
)


def _check(config: Mapping[str, Any], *, private_targets: str) -> list[Problem]:
    found = declared(_FIELDS, config) + check_role(config, private_targets)
    bus = config.get("event_bus_arn")
    if bus is not None and (detail := arns.problem(bus, "events", r"event-bus/[/.\w-]{1,256}")):
        found.append(("/event_bus_arn", detail))
    # AWS keeps aws. for its own services.
    what = "1 to 256 of A-Z a-z 0-9 . _ - / that do not begin with aws."
    return found + check_text(config, "source", r"(?!aws\.)[\w./-]{1,256}", what)


def _render(events: Sequence[CloudEvent], config: Mapping[str, Any], _: Form) -> AwsCall:
    bus = arns.parsed(config["event_bus_arn"])
    assert bus is not None, "the config was checked"  # noqa: S101
    entries = [
        {
            "EventBusName": config["event_bus_arn"],
            "Source": config.get("source") or "tributary",
            "DetailType": event["type"],
            "Time": event["time"],
            "Resources": [event["subject"]],
            "Detail": as_ascii(event),
        }
        for event in events
    ]
    return AwsCall("events", "put_events", {"Entries": entries}, bus.region, config.get(ROLE.name))


destination = Destination(
    "Amazon EventBridge", _FIELDS, _check, _render, batches=Most(10, 240 * 1024)
)
