"""PagerDuty: one alert is one incident, triggered, acknowledged and resolved (Events API v2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.destinations import Destination, Form, as_json
from chalicelib.model.cloudevents import CloudEvent
from chalicelib.model.fields import Field, Problem, check_text, check_url, declared
from chalicelib.model.requests import Request

_FIELDS = (
    Field("routing_key", "The integration key of a service.", required=True, sensitive=True),
    Field(
        "url",
        "Another address of the Events API, such as https://events.eu.pagerduty.com/v2/enqueue.",
    ),
)
_URL = "https://events.pagerduty.com/v2/enqueue"
_TEXTS = {"template": "{{summary}}"}
_ACTIONS = {
    "alert.raised": "trigger",
    "alert.acknowledged": "acknowledge",
    "alert.cleared": "resolve",
}
_SEVERITIES = {"critical": "critical", "major": "error", "minor": "warning", "warning": "warning"}
_LONGEST_SUMMARY = 1024


def _check(config: Mapping[str, Any], *, private_targets: str) -> list[Problem]:
    found = declared(_FIELDS, config) + check_url(config, "url", private_targets)
    return found + check_text(config, "routing_key", r"[A-Za-z0-9]{32}", "32 letters and digits")


def _render(events: Sequence[CloudEvent], config: Mapping[str, Any], form: Form) -> Request | None:
    event, alert = events[0], events[0]["data"]
    action = _ACTIONS.get(event["type"])
    if action is None:
        return None
    body = {
        "routing_key": config["routing_key"],
        "event_action": action,
        "dedup_key": alert["id"],
    }
    if action == "trigger":
        body |= {
            "client": "Tributary",
            "payload": {
                "summary": form.texts["template"].strip()[:_LONGEST_SUMMARY] or alert["name"],
                "source": alert["device_id"],
                "severity": _SEVERITIES.get(alert["severity"], "info"),
                "timestamp": alert["raised_at"],
                "component": alert["key"],
                "class": alert["name"],
                "custom_details": alert,
            },
        }
    headers = {"User-Agent": "Tributary/1", "Content-Type": "application/json"}
    return Request("POST", config.get("url") or _URL, headers, as_json(body))


destination = Destination(
    "PagerDuty", _FIELDS, _check, _render, ordered=True, tickets=True, texts=_TEXTS
)
