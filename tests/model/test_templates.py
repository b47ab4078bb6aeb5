"""Texts for people: placeholders, zones, and what a template may not be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.model import templates
from chalicelib.model.cloudevents import about_device
from chalicelib.model.templates import LONGEST_TEXT, facts_of, filled

AT = 1_774_746_000_000  # 2026-03-29T01:00:00Z: clocks go forward in Berlin
ALERT = {
    "id": "alt_a",
    "key": "k",
    "name": "frost",
    "severity": "major",
    "state": "active",
    "message": "cold",
    "raised_at": "2026-03-29T00:59:59.000Z",
    "cleared_at": None,
    "acknowledged": {"at": "2026-03-29T01:00:00.000Z", "by": "Anna", "note": "on it"},
    "cleared": None,
}
DEVICE = {
    "id": "acme:d1",
    "name": "Boiler",
    "vendor": "acme",
    "model": None,
    "presence": "online",
    "location": {"room": "Cellar", "floor": None, "building": "Hall 2", "city": "Bonn"},
}


def text(
    template: str,
    *,
    kind: str = "alert.raised",
    zone: str = "UTC",
    data: Any = ALERT,
    device: Any = DEVICE,
) -> str:
    event = about_device(kind, "e1", "acme:d1", "con_a", at=AT, data=data)
    return filled(template, facts_of(event, device, zone))


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{type}} of {{ device.name }}", "alert.raised of Boiler"),
        ("{{summary}}", "major alert raised: frost (Boiler)"),
        ("{{alert.severity}}/{{alert.message}}/{{alert.id}}", "major/cold/alt_a"),
        ("{{location}}", "Cellar, Hall 2, Bonn"),
        ("{{device.location.city}}", "Bonn"),
        ("{{data.name}}", "frost"),
        ("no placeholder", "no placeholder"),
        ("a {b} }c{", "a {b} }c{"),
        ("", ""),
    ],
)
def test_placeholders_are_filled(template: str, expected: str) -> None:
    assert templates.problem(template) is None
    assert text(template) == expected


def test_a_line_whose_placeholders_are_all_empty_is_left_out() -> None:
    template = "a\nModel: {{device.model}}\n{{alert.cleared_at}} {{alert.name}}\n\nb"

    assert text(template) == "a\n frost\n\nb"


def test_times_are_in_the_zone_on_the_day_the_clocks_change() -> None:
    template = "{{alert.raised_at}}, {{time}}"

    assert (
        text(template, zone="Europe/Berlin") == "2026-03-29 01:59:59 CET, 2026-03-29 03:00:00 CEST"
    )
    assert text(template) == "2026-03-29 00:59:59 UTC, 2026-03-29 01:00:00 UTC"


def test_who_acts_and_what_they_note() -> None:
    said = "{{alert.by}}: {{alert.note}} ({{alert.acknowledged_at}})"

    assert text(said, kind="alert.acknowledged") == "Anna: on it (2026-03-29 01:00:00 UTC)"


@pytest.mark.parametrize(
    ("kind", "data", "summary"),
    [
        (
            "measurement.recorded",
            {"metric": "temperature", "value": 21.5, "unit": "Cel"},
            "temperature 21.5 Cel (Boiler)",
        ),
        (
            "measurement.recorded",
            {"metric": "occupied", "value": True, "unit": None},
            "occupied yes (Boiler)",
        ),
        ("device.offline", DEVICE, "device offline: Boiler"),
        ("event.occurred", {"type": "acme.start", "data": {}}, "acme.start (Boiler)"),
        ("media.added", {"kind": "image"}, "media.added (Boiler)"),
    ],
)
def test_every_event_has_a_summary(kind: str, data: Any, summary: str) -> None:
    assert text("{{summary}}", kind=kind, data=data) == summary


def test_a_device_that_is_not_known_is_its_id() -> None:
    assert text("{{device.name}} {{device.id}}{{location}}", device=None) == "acme:d1 acme:d1"


def test_what_a_value_says_is_never_read_as_a_template() -> None:
    data = ALERT | {"name": "{{alert.message}}", "message": "{{device.name}}"}

    assert (
        text("{{alert.name}} {{alert.message}}", data=data) == "{{alert.message}} {{device.name}}"
    )


def test_a_text_is_bounded() -> None:
    data = ALERT | {"message": "x" * 100_000}

    assert len(text("{{alert.message}}" * 200, data=data)) == LONGEST_TEXT


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{{alert.nmae}}", "unknown placeholder 'alert.nmae'"),
        ("{{#alert}}x{{/alert}}", "unknown placeholder '#alert'"),
        ("{{> partial}}", "unknown placeholder '> partial'"),
        ("{{data}}", "unknown placeholder 'data'"),
        ("{{device.__class__}}", "unknown placeholder 'device.__class__'"),
        ("{{type", "braces that are no placeholder"),
        ("x" * 4097, "is longer than 4096"),
    ],
)
def test_what_is_no_template_is_said(template: str, problem: str) -> None:
    assert templates.problem(template) == problem


@pytest.mark.parametrize("name", ["Europe/Berlin", "UTC", "Asia/Kathmandu"])
def test_zones_are_iana_s(name: str) -> None:
    assert templates.zone_problem(name) is None


@pytest.mark.parametrize(
    "name", ["Mars/Olympus", "../../etc/passwd", "/etc/passwd", "\x00", "", "CET+1"]
)
def test_nothing_else_is_a_zone(name: str) -> None:
    assert templates.zone_problem(name) is not None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.text(),
)
def test_any_data_has_a_text(data: Any, template: str) -> None:
    wanted = {"type": data, "name": data}

    assert isinstance(text("{{summary}}" + template, kind="event.occurred", data=wanted), str)
