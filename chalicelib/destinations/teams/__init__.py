"""Microsoft Teams: an Adaptive Card in a channel, through a workflow that waits for a webhook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.destinations import Destination, Form, as_json
from chalicelib.model.cloudevents import CloudEvent
from chalicelib.model.fields import Field, Problem, check_url, declared
from chalicelib.model.requests import Request

_FIELDS = (Field("url", "The workflow's URL, which is its secret.", required=True, sensitive=True),)
_TEXTS = {
    "template": (
        "{{summary}}\n"
        "{{alert.message}}\n"
        "Device: {{device.name}} ({{device.id}})\n"
        "Location: {{location}}\n"
        "Time: {{time}}\n"
        "By: {{alert.by}}\n"
        "Note: {{alert.note}}"
    )
}
_LONGEST = 4000
"""Characters of the text: a message of more than 28 KB is refused."""
_MOST_LINES = 50
_COLOURS = {"critical": "attention", "major": "attention", "minor": "warning", "warning": "warning"}


def _check(config: Mapping[str, Any], *, private_targets: str) -> list[Problem]:
    return declared(_FIELDS, config) + check_url(config, "url", private_targets)


def _render(events: Sequence[CloudEvent], config: Mapping[str, Any], form: Form) -> Request:
    text = form.texts["template"].strip()[:_LONGEST] or "Tributary"
    first, *rest = [line for line in text.split("\n") if line.strip()][:_MOST_LINES]
    head = _line(first) | {"weight": "bolder"} | _colour(events[0])
    # Runs of rich text: unlike text blocks they read no Markdown, so a vendor's text cannot link.
    blocks = [
        {"type": "RichTextBlock", "inlines": [each]} for each in [head, *(_line(x) for x in rest)]
    ]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": blocks,
    }
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card,
    }
    headers = {"User-Agent": "Tributary/1", "Content-Type": "application/json"}
    body = as_json({"type": "message", "attachments": [attachment]})
    return Request("POST", config["url"], headers, body)


def _line(text: str) -> dict[str, Any]:
    return {"type": "TextRun", "text": text}


def _colour(event: CloudEvent) -> dict[str, str]:
    if event["type"] == "alert.cleared":
        return {"color": "good"}
    severity = event["data"].get("severity") if event["type"] == "alert.raised" else None
    return {"color": _COLOURS[severity]} if severity in _COLOURS else {}


destination = Destination("Microsoft Teams", _FIELDS, _check, _render, ordered=True, texts=_TEXTS)
