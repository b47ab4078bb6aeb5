"""Slack: a message in a channel, through an incoming webhook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.destinations import Destination, Form, as_json
from chalicelib.model.cloudevents import CloudEvent
from chalicelib.model.fields import Field, Problem, check_url, declared
from chalicelib.model.requests import Request

_FIELDS = (
    Field("url", "The incoming webhook's URL, which is its secret.", required=True, sensitive=True),
)
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
_LONGEST = 3000


def _check(config: Mapping[str, Any], *, private_targets: str) -> list[Problem]:
    return declared(_FIELDS, config) + check_url(config, "url", private_targets)


def _render(events: Sequence[CloudEvent], config: Mapping[str, Any], form: Form) -> Request:  # noqa: ARG001
    # Plain text, and escaped where it is not: a vendor's text must neither link nor call everyone.
    text = form.texts["template"].strip()[:_LONGEST] or "Tributary"
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    body = {
        "text": escaped,
        "blocks": [
            {"type": "section", "text": {"type": "plain_text", "text": text, "emoji": False}}
        ],
    }
    headers = {"User-Agent": "Tributary/1", "Content-Type": "application/json"}
    return Request("POST", config["url"], headers, as_json(body))


destination = Destination("Slack", _FIELDS, _check, _render, ordered=True, texts=_TEXTS)
