"""Units: every text that means one converts into the canonical unit, and back."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.model.metrics import METRICS
from chalicelib.model.units import canonical, convert, converts, tidy

ordinary = st.floats(-1e9, 1e9).map(tidy)


@pytest.mark.parametrize(
    ("value", "unit", "metric", "converted"),
    [
        (21.5, "Cel", "temperature", 21.5),
        (21.5, "°C", "temperature", 21.5),
        (212, "[degF]", "temperature", 100),
        (-40, "Fahrenheit", "temperature", -40),
        (0, "K", "temperature", -273.15),
        (1013.25, "hPa", "air_pressure", 101_325),
        (1.01325, "bar", "air_pressure", 101_325),
        (1, "psi", "air_pressure", 6894.75729317),
        (760, "mmHg", "air_pressure", 101_325.014435),
        (0.5, "1", "relative_humidity", 50),
        (145, "mm", "distance", 0.145),
        (14.5, "cm", "distance", 0.145),
        (1.2, "km", "distance", 1200),
        (10, "[in_i]", "distance", 0.254),
        (10, "[ft_i]", "distance", 3.048),
        (-120, "dB[W]", "signal_rssi", -90),
        (-90, "{dBm}", "signal_rssi", -90),
        (math.pi, "rad", "angle", 180),
        (3, "h", "uptime", 10_800),
        (1500, "ms", "uptime", 1.5),
        (60_000_000, "us", "uptime", 60),
        (3300, "mV", "voltage", 3.3),
        (1000, "m[g]", "acceleration_x", 9.80665),
        (1, "g", "acceleration_z", 9.80665),
        (9.80665, "m/s2", "vibration_rms_x", 1),
        (0.4, "ppm", "tvoc", 400),
        (400_000, "ppb", "carbon_dioxide", 400),
        (1.5, "klx", "illuminance", 1500),
        (54.2, "dB(A)", "sound_level_eq", 54.2),
    ],
)
def test_a_value_arrives_in_the_metrics_canonical_unit(
    value: float, unit: str, metric: str, converted: float
) -> None:
    assert converts(unit, metric)
    assert convert(value, unit, metric) == converted


@pytest.mark.parametrize(
    ("there", "back", "metric"),
    [
        ("g", "m/s2", "acceleration_x"),
        ("ppm", "ppb", "tvoc"),
        ("1", "%", "relative_humidity"),
    ],
)
@given(value=st.floats(-1e6, 1e6))
def test_a_change_of_unit_is_undone_by_its_opposite(
    there: str, back: str, metric: str, value: float
) -> None:
    opposite = {"m/s2": "vibration_rms_x", "ppb": "carbon_dioxide", "%": "people_count"}[back]

    again = convert(convert(value, there, metric), back, opposite)

    assert math.isclose(again, value, rel_tol=1e-10, abs_tol=1e-12)


@pytest.mark.parametrize("metric", sorted(METRICS))
@given(value=ordinary)
def test_a_value_in_the_canonical_unit_stays_untouched(metric: str, value: float) -> None:
    assert convert(value, METRICS[metric].unit, metric) == value


@pytest.mark.parametrize(
    ("unit", "metric"), [("bar", "temperature"), ("furlong", "distance"), ("m", "nothing")]
)
def test_a_unit_that_means_something_else_is_refused(unit: str, metric: str) -> None:
    assert not converts(unit, metric)
    with pytest.raises(ValueError, match="does not convert"):
        convert(1, unit, metric)


@pytest.mark.parametrize(
    ("text", "unit"),
    [(" LUX ", "lx"), ("degC", "Cel"), ("%RH", "%"), ("Count", "1"), ("m/s²", "m/s2")],
)
def test_units_are_known_in_everyday_spelling(text: str, unit: str) -> None:
    assert canonical(3, text) == (unit, 3)


def test_an_unknown_unit_stays_as_it_is_written() -> None:
    assert canonical(3, "uT") == ("uT", 3)


def test_a_unit_without_a_metric_converts_into_its_canonical_one() -> None:
    assert canonical(10, "hPa") == ("Pa", 1000)
    assert canonical(True, "hPa") == ("Pa", True)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_tidying_changes_nothing_that_twelve_digits_show_and_is_done_once(value: float) -> None:
    once = tidy(value)

    assert tidy(once) == once
    assert math.isclose(once, value, rel_tol=1e-11, abs_tol=1e-300) or math.isinf(once)
