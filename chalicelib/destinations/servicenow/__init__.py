"""ServiceNow: one alert is one alert there, opened, updated and closed by events of its message key."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.destinations import Destination, Form, as_json
from chalicelib.model.cloudevents import CloudEvent
from chalicelib.model.fields import Field, Problem, check_text, check_url, declared
from chalicelib.model.requests import Request

_FIELDS = (
    Field("url", "The instance, such as https://example.service-now.com.", required=True),
    Field("username", "A user with the role evt_mgmt_integration.", required=True),
    Field("password", "The user's password.", required=True, sensitive=True),
)
_TEXTS = {"template": "{{summary}}\n{{alert.message}}\nLocation: {{location}}"}
_SEVERITIES = {"critical": "1", "major": "2", "minor": "3", "warning": "4", "info": "5"}
_CLEAR = "0"
_LONGEST = 4000
_LONGEST_NAME = 100
_TYPES = ("alert.raised", "alert.acknowledged", "alert.cleared")


def _check(config: Mapping[str, Any], *, private_targets: str) -> list[Problem]:
    found = declared(_FIELDS, config) + check_url(config, "url", private_targets)
    url = config.get("url")
    if isinstance(url, str) and ("?" in url or "#" in url):
        found.append(("/url", "must be a URL without query"))
    for name, pattern in (
        ("username", r"[^:\x00-\x1f]{1,256}"),
        ("password", r"[^\x00-\x1f]{1,256}"),
    ):
        found += check_text(config, name, pattern, "a text of 1 to 256 characters")
    return found


def _render(events: Sequence[CloudEvent], config: Mapping[str, Any], form: Form) -> Request | None:
    event, alert = events[0], events[0]["data"]
    if event["type"] not in _TYPES:
        return None
    cleared = event["type"] == "alert.cleared"
    vendor, _, device = alert["device_id"].partition(":")
    body = {
        "source": "Tributary",
        "event_class": vendor,
        "node": device[:_LONGEST_NAME],
        "resource": alert["key"][:_LONGEST_NAME],
        "metric_name": alert["name"][:_LONGEST_NAME],
        "type": event["type"],
        "message_key": alert["id"],
        "severity": _CLEAR if cleared else _SEVERITIES[alert["severity"]],
        "resolution_state": "Closing" if cleared else "New",
        "time_of_event": event["time"][:19].replace("T", " "),
        "description": form.texts["template"].strip()[:_LONGEST],
        "additional_info": json.dumps(alert, ensure_ascii=False, separators=(",", ":")),
    }
    pair = f"{config['username']}:{config['password']}".encode()
    headers = {
        "User-Agent": "Tributary/1",
        "Authorization": f"Basic {base64.b64encode(pair).decode()}",
        "Accept": "application/json",
        "Content-Type": "application/json",
    }
    url = config["url"].rstrip("/") + "/api/now/table/em_event"
    return Request("POST", url, headers, as_json(body))


destination = Destination(
    "ServiceNow", _FIELDS, _check, _render, ordered=True, tickets=True, texts=_TEXTS
)
