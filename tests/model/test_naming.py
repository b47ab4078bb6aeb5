"""Free-form names: the map decides, then names beyond doubt, then the vendor's own path."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.model.naming import named
from chalicelib.model.records import Measurement


def name(path: str, value: Any, metric_map: Any = None) -> Measurement:
    settings = {} if metric_map is None else {"metric_map": metric_map}
    return named("relayr", path, value, device="d1", at=1, settings=settings)


def test_a_mapped_path_becomes_the_metric_in_its_canonical_unit() -> None:
    found = name("t1", 212, {"t1": {"metric": "temperature", "unit": "[degF]"}})

    assert (found.metric, found.value, found.unit) == ("temperature", 100, "Cel")
    assert found.attributes == {}


def test_the_map_beats_an_alias() -> None:
    found = name("temp", 5, {"temp": {"metric": "device_temperature"}})

    assert (found.metric, found.value, found.unit) == ("device_temperature", 5, "Cel")


@pytest.mark.parametrize(("value", "stored"), [(0, False), (1, True), (1.0, True), (True, True)])
def test_a_number_that_stands_for_a_boolean_becomes_one_by_the_map(
    value: Any, stored: bool
) -> None:
    found = name("door", value, {"door": {"metric": "contact_closed"}})

    assert found.metric == "contact_closed"
    assert found.value is stored


def test_a_path_can_be_given_a_unit_without_a_metric() -> None:
    found = name("flow", 3, {"flow": {"unit": "l/min"}})

    assert (found.metric, found.value, found.unit) == ("relayr.flow", 3, "l/min")


def test_a_vendors_own_quantity_is_converted_too() -> None:
    found = name("p", 10, {"p": {"unit": "hPa"}})

    assert (found.metric, found.value, found.unit) == ("relayr.p", 1000, "Pa")


def test_a_path_can_be_given_another_name_of_its_vendor() -> None:
    found = name("p9", 48, {"p9": {"metric": "relayr.field", "unit": "uT"}})

    assert (found.metric, found.value, found.unit) == ("relayr.field", 48, "uT")


@pytest.mark.parametrize(
    ("path", "metric", "unit"),
    [
        ("temperature", "temperature", "Cel"), ("TEMP", "temperature", "Cel"),
        ("Humidity", "relative_humidity", "%"), ("co2", "carbon_dioxide", "[ppm]"),
        ("carbonDioxide", "carbon_dioxide", "[ppm]"), ("TVOC", "tvoc", "[ppb]"),
        ("illuminance", "illuminance", "lx"), ("upTime", "uptime", "s"),
    ],
)  # fmt: skip
def test_an_alias_in_any_case_is_taken_and_marked_as_assumed(
    path: str, metric: str, unit: str
) -> None:
    found = name(path, 12)

    assert (found.metric, found.unit) == (metric, unit)
    assert found.attributes == {"unit_source": "assumed"}


@pytest.mark.parametrize("path", ["temperature.max", "room temperature", "pressure", "x"])
def test_any_other_name_is_kept_under_the_vendors_path_without_a_unit(path: str) -> None:
    found = name(path, 12)

    assert (found.metric, found.unit, found.attributes) == (f"relayr.{path}", None, {})


def test_a_boolean_is_never_an_alias_for_a_number() -> None:
    found = name("temperature", True)

    assert (found.metric, found.value, found.unit) == ("relayr.temperature", True, None)


@pytest.mark.parametrize(
    "metric_map",
    [
        None,
        [],
        "x",
        3,
        {"x": None},
        {"x": []},
        {"x": {"metric": 5, "unit": []}},
        {"x": {"metric": "no"}},
    ],
)
def test_a_broken_map_is_no_map(metric_map: Any) -> None:
    found = name("x", 1, metric_map)

    assert (found.metric, found.value, found.unit) == ("relayr.x", 1, None)
