"""The vocabulary, written out again from the contract and compared."""

from __future__ import annotations

import math

import pytest

from chalicelib.model.metrics import METRICS, kind_of, refusal

INF = math.inf
# name: unit, kind, low, high.  Written from the contract, not from the code.
CONTRACT: dict[str, tuple[str, str, float, float]] = {
    "temperature": ("Cel", "gauge", -273.15, 1000),
    "relative_humidity": ("%", "gauge", 0, 100),
    "air_pressure": ("Pa", "gauge", 1000, 200_000),
    "illuminance": ("lx", "gauge", 0, 200_000),
    "carbon_dioxide": ("[ppm]", "gauge", 0, 1_000_000),
    "tvoc": ("[ppb]", "gauge", 0, 1_000_000),
    "sound_level_eq": ("dB[SPL]", "gauge", -20, 200),
    "sound_level_max": ("dB[SPL]", "gauge", -20, 200),
    "sound_level_min": ("dB[SPL]", "gauge", -20, 200),
    "vibration_rms_x": ("[g]", "gauge", 0, 1000),
    "vibration_rms_y": ("[g]", "gauge", 0, 1000),
    "vibration_rms_z": ("[g]", "gauge", 0, 1000),
    "vibration_peak_to_peak_x": ("[g]", "gauge", 0, 1000),
    "vibration_peak_to_peak_y": ("[g]", "gauge", 0, 1000),
    "vibration_peak_to_peak_z": ("[g]", "gauge", 0, 1000),
    "acceleration_x": ("m/s2", "gauge", -10_000, 10_000),
    "acceleration_y": ("m/s2", "gauge", -10_000, 10_000),
    "acceleration_z": ("m/s2", "gauge", -10_000, 10_000),
    "anomaly_score": ("1", "gauge", -INF, INF),
    "anomaly_value": ("1", "gauge", -INF, INF),
    "anomaly_probability": ("1", "gauge", 0, 1),
    "classification_probability": ("1", "gauge", 0, 1),
    "battery_level": ("%", "gauge", 0, 100),
    "device_temperature": ("Cel", "gauge", -273.15, 1000),
    "charging": ("1", "boolean", -INF, INF),
    "people_in": ("1", "delta", 0, 10**12),
    "people_out": ("1", "delta", 0, 10**12),
    "people_in_total": ("1", "counter", 0, 10**12),
    "people_out_total": ("1", "counter", 0, 10**12),
    "people_count": ("1", "gauge", 0, 10**12),
    "vehicle_count": ("1", "gauge", 0, 10**12),
    "occupied": ("1", "boolean", -INF, INF),
    "motion_count": ("1", "delta", 0, 10**12),
    "jammed": ("1", "boolean", -INF, INF),
    "contact_closed": ("1", "boolean", -INF, INF),
    "contact_count": ("1", "delta", 0, 10**12),
    "distance": ("m", "gauge", 0, 100_000),
    "angle": ("deg", "gauge", -360, 360),
    "activity_level": ("%", "gauge", 0, 100),
    "energy_level": ("1", "gauge", -INF, INF),
    "resistance_raw": ("1", "gauge", -INF, INF),
    "voltage": ("V", "gauge", -10_000, 10_000),
    "uptime": ("s", "gauge", 0, 10**10),
    "signal_rssi": ("dBm", "gauge", -200, 50),
    "signal_rsrp": ("dBm", "gauge", -200, 50),
    "signal_rscp": ("dBm", "gauge", -200, 50),
    "signal_rsrq": ("dB", "gauge", -100, 100),
    "signal_sinr": ("dB", "gauge", -100, 100),
    "signal_ecn0": ("dB", "gauge", -100, 100),
}
BOOLEANS = sorted(name for name, row in CONTRACT.items() if row[1] == "boolean")
NUMBERS = sorted(set(CONTRACT) - set(BOOLEANS))
BOUNDED = [name for name in NUMBERS if CONTRACT[name][3] != INF]


def test_the_vocabulary_is_the_contracts() -> None:
    rows = {name: (row.unit, row.kind, row.low, row.high) for name, row in METRICS.items()}

    assert rows == CONTRACT


@pytest.mark.parametrize("metric", BOUNDED)
def test_both_ends_of_a_range_are_possible_and_nothing_beyond(metric: str) -> None:
    _, _, low, high = CONTRACT[metric]

    assert refusal(metric, low) is None
    assert refusal(metric, high) is None
    assert refusal(metric, math.nextafter(low, -INF)) is not None
    assert refusal(metric, math.nextafter(high, INF)) is not None


@pytest.mark.parametrize("metric", [*NUMBERS, "relayr.rpm"])
@pytest.mark.parametrize("value", [math.nan, INF, -INF])
def test_no_metric_has_a_value_that_is_not_finite(metric: str, value: float) -> None:
    assert refusal(metric, value) == "not a finite number"


@pytest.mark.parametrize("metric", NUMBERS)
def test_a_number_is_no_boolean(metric: str) -> None:
    assert refusal(metric, True) == "not a number"


@pytest.mark.parametrize("metric", BOOLEANS)
@pytest.mark.parametrize("value", [0, 1, 0.5])
def test_a_boolean_is_no_number(metric: str, value: float) -> None:
    assert refusal(metric, value) == "not a boolean"
    assert refusal(metric, True) is None
    assert refusal(metric, False) is None


def test_a_refusal_names_the_range() -> None:
    assert refusal("relative_humidity", 101) == "outside 0..100 %"


def test_a_vendors_own_metric_may_have_any_finite_value_and_is_judged_by_it() -> None:
    assert refusal("relayr.rpm", 1e308) is None
    assert refusal("relayr.running", True) is None
    assert kind_of("relayr.rpm", 1) == "gauge"
    assert kind_of("relayr.running", True) == "boolean"
    assert kind_of("people_in_total", 1) == "counter"
