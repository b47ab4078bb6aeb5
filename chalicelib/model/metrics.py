"""Every metric: its one canonical unit (UCUM), what its numbers mean, and the values it can have.

The vocabulary is closed: a new metric is a reviewed row here.  A vendor's own quantity that has no row
is kept as ``<vendor>.<dotted path>`` with unit ``None`` (see :mod:`chalicelib.model.naming`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Value = float | int | bool
Kind = Literal["gauge", "counter", "delta", "boolean"]
"""``gauge`` a level; ``counter`` grows and may restart; ``delta`` an amount per report; ``boolean``."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A named quantity with one canonical unit and an inclusive possible range."""

    name: str
    unit: str
    kind: Kind = "gauge"
    low: float = -math.inf
    high: float = math.inf

    def refusal(self, value: Value) -> str | None:
        """Say why the metric cannot have this value, or ``None`` if it can."""
        if self.kind == "boolean":
            return None if isinstance(value, bool) else "not a boolean"
        if isinstance(value, bool):
            return "not a number"
        if not self.low <= value <= self.high:  # false for NaN too
            return not_finite(value) or f"outside {self.low:g}..{self.high:g} {self.unit}"
        return not_finite(value)


def not_finite(value: Value) -> str | None:
    """Say that a number is none an IEEE double can hold, or ``None``."""
    if isinstance(value, bool) or -math.inf < value < math.inf:
        return None
    return "not a finite number"


_COUNT = 1e12


def _rows() -> list[Metric]:
    rows = [
        Metric("temperature", "Cel", low=-273.15, high=1000),
        Metric("relative_humidity", "%", low=0, high=100),
        Metric("air_pressure", "Pa", low=1000, high=200_000),
        Metric("illuminance", "lx", low=0, high=200_000),
        Metric("carbon_dioxide", "[ppm]", low=0, high=1_000_000),
        Metric("tvoc", "[ppb]", low=0, high=1_000_000),
        Metric("anomaly_score", "1"),
        Metric("anomaly_value", "1"),
        Metric("anomaly_probability", "1", low=0, high=1),
        Metric("classification_probability", "1", low=0, high=1),
        Metric("battery_level", "%", low=0, high=100),
        Metric("device_temperature", "Cel", low=-273.15, high=1000),
        Metric("charging", "1", "boolean"),
        Metric("occupied", "1", "boolean"),
        Metric("jammed", "1", "boolean"),
        Metric("contact_closed", "1", "boolean"),
        Metric("people_count", "1", low=0, high=_COUNT),
        Metric("vehicle_count", "1", low=0, high=_COUNT),
        Metric("distance", "m", low=0, high=100_000),
        Metric("angle", "deg", low=-360, high=360),
        Metric("activity_level", "%", low=0, high=100),
        Metric("energy_level", "1"),
        Metric("resistance_raw", "1"),
        Metric("voltage", "V", low=-10_000, high=10_000),
        Metric("uptime", "s", low=0, high=1e10),
    ]
    rows += [Metric(f"sound_level_{x}", "dB[SPL]", low=-20, high=200) for x in ("eq", "max", "min")]
    rows += [Metric(f"vibration_rms_{x}", "[g]", low=0, high=1000) for x in "xyz"]
    rows += [Metric(f"vibration_peak_to_peak_{x}", "[g]", low=0, high=1000) for x in "xyz"]
    rows += [Metric(f"acceleration_{x}", "m/s2", low=-10_000, high=10_000) for x in "xyz"]
    deltas = ("people_in", "people_out", "motion_count", "contact_count")
    rows += [Metric(x, "1", "delta", 0, _COUNT) for x in deltas]
    rows += [Metric(f"people_{x}_total", "1", "counter", 0, _COUNT) for x in ("in", "out")]
    rows += [Metric(f"signal_{x}", "dBm", low=-200, high=50) for x in ("rssi", "rsrp", "rscp")]
    rows += [Metric(f"signal_{x}", "dB", low=-100, high=100) for x in ("rsrq", "sinr", "ecn0")]
    return rows


METRICS: dict[str, Metric] = {row.name: row for row in _rows()}


def kind_of(metric: str, value: Value) -> Kind:
    """Return what the numbers of a metric mean; for a vendor's own metric, judged by its value."""
    if metric in METRICS:
        return METRICS[metric].kind
    return "boolean" if isinstance(value, bool) else "gauge"


def refusal(metric: str, value: Value) -> str | None:
    """Say why a metric, known or a vendor's own, cannot have this value, or ``None`` if it can."""
    row = METRICS.get(metric)
    return row.refusal(value) if row is not None else not_finite(value)
