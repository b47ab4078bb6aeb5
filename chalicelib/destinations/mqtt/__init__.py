"""MQTT: CloudEvents published again by the deployment's AWS IoT Core, below the tenant's own topic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.destinations import AwsCall, Destination, Form, as_json
from chalicelib.model.cloudevents import CloudEvent
from chalicelib.model.fields import Field, Problem, check_text, declared

_FIELDS = (
    Field("topic", "The topic below the tenant's own; events by default."),
    Field("quality", "The quality of service, 0 or 1 (the default)."),
)
_TOPIC = r"(?!\$)[^+#\x00-\x1f\x7f/]{1,40}(/[^+#\x00-\x1f\x7f/]{1,40}){0,3}"


def _check(config: Mapping[str, Any], *, private_targets: str) -> list[Problem]:  # noqa: ARG001
    found = declared(_FIELDS, config)
    what = "1 to 4 levels of 1 to 40 characters without + and #"
    found += check_text(config, "topic", _TOPIC, what)
    quality = config.get("quality")
    if quality is not None and (isinstance(quality, bool) or quality not in (0, 1)):
        found.append(("/quality", "must be 0 or 1"))
    return found


def _render(events: Sequence[CloudEvent], config: Mapping[str, Any], form: Form) -> AwsCall:
    quality = config.get("quality")
    parameters = {
        "topic": f"{form.given}/{form.tenant}/{config.get('topic') or 'events'}",
        "qos": 1 if quality is None else quality,
        "payload": as_json(events[0]),
    }
    return AwsCall("iot-data", "publish", parameters)


destination = Destination("MQTT", _FIELDS, _check, _render, needs="mqtt_prefix")
