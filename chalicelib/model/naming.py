"""Free-form names to metrics: how a vendor's own path becomes a metric with a unit.

Order: the connection's ``settings.metric_map``; a short list of names whose unit is beyond doubt; else
``<vendor>.<path>`` with unit ``None``.  Nothing is dropped for being unknown.  No message carries its
device model: what units that states, the operator's map repeats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.model import lwm2m
from chalicelib.model.metrics import METRICS, Value
from chalicelib.model.records import Measurement
from chalicelib.model.units import canonical, convert, converts

ALIASES: Mapping[str, str] = {
    "temperature": "temperature",
    "temp": "temperature",
    "humidity": "relative_humidity",
    "co2": "carbon_dioxide",
    "carbondioxide": "carbon_dioxide",
    "tvoc": "tvoc",
    "illuminance": "illuminance",
    "uptime": "uptime",
}
"""Lower-cased names that mean a metric in its canonical unit whoever says them."""


def named(
    vendor: str,
    path: str,
    value: Value,
    *,
    device: str | None,
    at: int | None,
    settings: Mapping[str, Any],
    attributes: Mapping[str, Any] | None = None,
    window_ms: int | None = None,
) -> Measurement:
    """Return the measurement of one numeric or boolean leaf at a vendor's own ``path``."""
    metric, unit, extra = f"{vendor}.{path}", None, dict(attributes or {})
    rule = _rule(settings, path)
    if rule is not None:
        metric, unit, value = _mapped(rule, vendor, metric, value)
    elif path.lower() in ALIASES and not isinstance(value, bool):
        metric = ALIASES[path.lower()]
        unit = METRICS[metric].unit
        extra["unit_source"] = "assumed"
    return Measurement(device, metric, value, at, unit, window_ms, "good", extra)


def _rule(settings: Mapping[str, Any], path: str) -> Mapping[str, Any] | None:
    rules = settings.get("metric_map")
    rule = rules.get(path) if isinstance(rules, dict) else None
    return rule if isinstance(rule, dict) else None


def _mapped(
    rule: Mapping[str, Any], vendor: str, own: str, value: Value
) -> tuple[str, str | None, Value]:
    metric, unit = rule.get("metric"), rule.get("unit")
    urn = rule.get("urn")
    if metric is None and isinstance(urn, str) and (meant := lwm2m.quantity(urn)) is not None:
        metric, unit = meant.metric, unit or meant.unit
    stated = unit if isinstance(unit, str) else None
    if not isinstance(metric, str) or metric not in METRICS:
        name = metric if isinstance(metric, str) and metric.startswith(f"{vendor}.") else own
        return (name, None, value) if stated is None else (name, *canonical(value, stated))
    known = METRICS[metric]
    if known.kind == "boolean" and not isinstance(value, bool) and value in (0, 1):
        return metric, known.unit, bool(value)
    if stated and not isinstance(value, bool) and converts(stated, metric):
        return metric, known.unit, convert(value, stated, metric)
    return metric, known.unit, value
