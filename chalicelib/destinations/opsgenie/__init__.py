"""Opsgenie: one alert is one alert there, created, acknowledged and closed by its alias (Alert API v2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from chalicelib.destinations import Destination, Form, as_json
from chalicelib.model.cloudevents import CloudEvent
from chalicelib.model.fields import Field, Problem, check_text, check_url, declared
from chalicelib.model.requests import Request

_FIELDS = (
    Field("api_key", "The key of an API integration.", required=True, sensitive=True),
    Field("url", "Another address of the API, such as https://api.eu.opsgenie.com."),
)
_URL = "https://api.opsgenie.com"
_TEXTS = {
    "subject": "{{summary}}",
    "template": "{{alert.message}}\nLocation: {{location}}\nRaised: {{alert.raised_at}}",
}
_PRIORITIES = {"critical": "P1", "major": "P2", "minor": "P3", "warning": "P4", "info": "P5"}
_LONGEST_MESSAGE = 130
_LONGEST_DESCRIPTION = 15_000
_LONGEST_NAME = 100


def _check(config: Mapping[str, Any], *, private_targets: str) -> list[Problem]:
    found = declared(_FIELDS, config) + check_url(config, "url", private_targets)
    url = config.get("url")
    if isinstance(url, str) and ("?" in url or "#" in url):
        found.append(("/url", "must be a URL without query"))
    return found + check_text(config, "api_key", r"[\x21-\x7e]{1,256}", "a key")


def _render(events: Sequence[CloudEvent], config: Mapping[str, Any], form: Form) -> Request | None:
    event, alert = events[0], events[0]["data"]
    path = "/v2/alerts"
    if event["type"] == "alert.raised":
        body = _created(alert, form)
    elif event["type"] == "alert.acknowledged":
        path += f"/{quote(alert['id'])}/acknowledge?identifierType=alias"
        body = _told(alert["acknowledged"])
    elif event["type"] == "alert.cleared":
        path += f"/{quote(alert['id'])}/close?identifierType=alias"
        body = _told(alert["cleared"])
    else:
        return None
    headers = {
        "User-Agent": "Tributary/1",
        "Authorization": f"GenieKey {config['api_key']}",
        "Content-Type": "application/json",
    }
    url = (config.get("url") or _URL).rstrip("/") + path
    return Request("POST", url, headers, as_json(body))


def _created(alert: Mapping[str, Any], form: Form) -> dict[str, Any]:
    return {
        "message": form.texts["subject"].strip()[:_LONGEST_MESSAGE] or "Tributary",
        "alias": alert["id"],
        "description": form.texts["template"].strip()[:_LONGEST_DESCRIPTION],
        "entity": alert["device_id"],
        "source": "Tributary",
        "priority": _PRIORITIES[alert["severity"]],
        "tags": [alert["severity"]],
        "details": {name: str(alert[name]) for name in ("device_id", "key", "name", "raised_at")},
    }


def _told(mark: Mapping[str, Any] | None) -> dict[str, Any]:
    body = {"source": "Tributary"}
    if mark and mark.get("by"):
        body["user"] = mark["by"][:_LONGEST_NAME]
    if mark and mark.get("note"):
        body["note"] = mark["note"]
    return body


destination = Destination(
    "Opsgenie", _FIELDS, _check, _render, ordered=True, tickets=True, texts=_TEXTS
)
