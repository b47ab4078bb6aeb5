"""Texts for people: ``{{placeholders}}`` in a template, filled with what an event and its device say.

Mustache's variables and nothing else of it: no sections, no partials, no code, nothing escaped (each
destination escapes for its own wire).  A line whose placeholders are all empty is left out, which is
the only condition that a notification needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from chalicelib.model.cloudevents import CloudEvent
from chalicelib.model.state import LOCATION
from chalicelib.model.times import from_rfc3339
from chalicelib.model.zones import zone_of

LONGEST_TEMPLATE = 4096
LONGEST_TEXT = 16 * 1024
"""Characters of a text; what is longer is cut."""
_LONGEST_VALUE = 2048
_PLACEHOLDER = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_DATA = re.compile(r"data(\.[A-Za-z0-9_:-]+)+")
_ALERT = ("id", "key", "name", "severity", "state", "message", "source")
_ALERT_TIMES = ("raised_at", "cleared_at", "acknowledged_at")
_DEVICE = ("id", "name", "vendor", "model", "presence")
PLACEHOLDERS = (
    *("id", "type", "subject", "summary", "location", "time"),
    *(f"alert.{name}" for name in (*_ALERT, *_ALERT_TIMES, "note", "by")),
    *(f"device.{name}" for name in _DEVICE),
    *(f"device.location.{name}" for name in LOCATION),
)
"""What may stand in a template; beside them ``data.<dotted path>`` of the event's own data."""
Facts = Mapping[str, str]
"""Placeholders and their texts."""


def problem(template: str) -> str | None:
    """Say what is wrong with a template, or ``None``."""
    if len(template) > LONGEST_TEMPLATE:
        return f"is longer than {LONGEST_TEMPLATE}"
    for name in _PLACEHOLDER.findall(template):
        if name not in PLACEHOLDERS and not _DATA.fullmatch(name):
            return f"unknown placeholder {name[:64]!r}"
    left = _PLACEHOLDER.sub("", template)
    return "braces that are no placeholder" if "{{" in left or "}}" in left else None


def zone_problem(name: str) -> str | None:
    """Say what is wrong with the name of a time zone, or ``None``."""
    try:
        zone_of(name)
    except ValueError as error:
        return str(error)
    return None


def filled(template: str, facts: Facts) -> str:
    """Return a template's text."""
    return "\n".join(_lines(template, facts))[:LONGEST_TEXT]


def facts_of(event: CloudEvent, device: Mapping[str, Any] | None, timezone: str) -> Facts:
    """Return what a template can say of an event; times are in the zone.

    ``device`` is its device as the API shows it, ``None`` for an event of no known device.
    """
    zone, data = ZoneInfo(timezone), event["data"]
    found = {name: _text(event[name]) for name in ("id", "type", "subject")}
    found["time"] = _time(event["time"], zone)
    if event["type"].startswith("alert."):
        found |= {f"alert.{name}": _text(data.get(name)) for name in _ALERT}
        marks = {name: data.get(name) or {} for name in ("acknowledged", "cleared")}
        times = {
            "raised_at": data.get("raised_at"),
            "cleared_at": data.get("cleared_at"),
            "acknowledged_at": marks["acknowledged"].get("at"),
        }
        found |= {f"alert.{name}": _time(at, zone) for name, at in times.items()}
        mark = marks["acknowledged" if event["type"] == "alert.acknowledged" else "cleared"]
        found |= {"alert.by": _text(mark.get("by")), "alert.note": _text(mark.get("note"))}
    found |= _device(event, device)
    found["summary"] = _summary(event, found)
    for path, value in _leaves("data", data):
        found.setdefault(path, _text(value))
    return found


def _device(event: CloudEvent, device: Mapping[str, Any] | None) -> dict[str, str]:
    if not event["source"].startswith("/vendors/"):
        return {}
    vendor = event["source"].split("/")[2]
    found = {
        "device.id": event["subject"],
        "device.name": event["subject"],
        "device.vendor": vendor,
    }
    if device is None:
        return found
    found |= {f"device.{name}": _text(device[name]) for name in _DEVICE if device.get(name)}
    location = {name: _text(device["location"].get(name)) for name in LOCATION}
    found |= {f"device.location.{name}": text for name, text in location.items()}
    places = ("room", "floor", "building", "address", "city", "country")
    found["location"] = ", ".join(location[name] for name in places if location[name])
    return found


def _summary(event: CloudEvent, facts: Facts) -> str:
    """Return one line that says what happened, and to whom."""
    kind, data = event["type"], event["data"]
    what, _, turn = kind.partition(".")
    whom = facts.get("device.name", event["subject"])
    if what == "alert":
        return f"{facts['alert.severity']} alert {turn}: {facts['alert.name']} ({whom})"
    if what == "measurement":
        unit = f" {data['unit']}" if data.get("unit") else ""
        return f"{data.get('metric')} {_text(data.get('value'))}{unit} ({whom})"
    if what == "device":
        return f"device {turn}: {whom}"
    if what == "integration" and data.get("message"):
        return _text(data["message"])
    return f"{_text(data.get('type')) or kind} ({whom})" if isinstance(data, dict) else kind


def _lines(template: str, facts: Facts) -> Iterator[str]:
    for line in template.split("\n"):
        names = _PLACEHOLDER.findall(line)
        if not names or any(facts.get(name) for name in names):
            yield _PLACEHOLDER.sub(lambda found: facts.get(found[1], ""), line)


def _leaves(path: str, value: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and depth < 8:
        for name, each in value.items():
            yield from _leaves(f"{path}.{name}", each, depth + 1)
    elif not isinstance(value, dict | list):
        yield path, value


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)[:_LONGEST_VALUE]


def _time(text: str | None, zone: ZoneInfo) -> str:
    moment = from_rfc3339(text) if text else None
    if moment is None:
        return ""
    try:
        local = datetime.fromtimestamp(moment // 1000, UTC).astimezone(zone)
    except (OverflowError, ValueError, OSError):  # the edges of the calendar
        return text or ""
    return local.strftime("%Y-%m-%d %H:%M:%S %Z")
