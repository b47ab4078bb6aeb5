"""The entities of SensorThings as a table: what each shows, and where it leads."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote

from chalicelib.api.sta import ids
from chalicelib.api.sta.ids import Series
from chalicelib.api.sta.queries import Moment, Path, refused
from chalicelib.model.metrics import METRICS
from chalicelib.model.state import LOCATION, Device
from chalicelib.model.times import FIRST, to_rfc3339
from chalicelib.store.series import Reading

_OM = "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_"
_UCUM = "http://www.opengis.net/def/uom/UCUM/0/"
_GEOJSON = "application/geo+json"
_UNITS = {
    "Cel": ("degree Celsius", "°C"),
    "%": ("percent", "%"),
    "Pa": ("pascal", "Pa"),
    "lx": ("lux", "lx"),
    "[ppm]": ("parts per million", "ppm"),
    "[ppb]": ("parts per billion", "ppb"),
    "dB[SPL]": ("decibel, sound pressure level", "dB SPL"),
    "[g]": ("standard acceleration of free fall", "g"),
    "m/s2": ("metre per square second", "m/s²"),
    "m": ("metre", "m"),
    "deg": ("degree", "°"),
    "V": ("volt", "V"),
    "s": ("second", "s"),
    "dBm": ("decibel-milliwatt", "dBm"),
    "dB": ("decibel", "dB"),
    "1": ("dimensionless", "1"),
}
"""Name and symbol of units by their UCUM code; others show the code."""
TIMES = frozenset({("phenomenonTime",), ("resultTime",)})
"""Properties of an Observation that are its moment."""


class Node(NamedTuple):
    """One entity: what kind it is, and what of the hub it shows."""

    kind: str
    device: Device | None = None
    metric: str = ""
    discriminator: tuple[tuple[str, str], ...] = ()
    reading: Reading | None = None

    def other(self, kind: str) -> Node:
        """Return the entity of another kind that shows the same."""
        keeps = kind == "Datastream"
        return Node(
            kind,
            None if kind == "ObservedProperty" else self.device,
            self.metric if keeps or kind == "ObservedProperty" else "",
            self.discriminator if keeps else (),
        )

    @property
    def of(self) -> Device:
        """The device, for kinds that have one."""
        if self.device is None:
            raise LookupError(self.kind)
        return self.device

    @property
    def said(self) -> Reading:
        """The reading of an Observation."""
        if self.reading is None:
            raise LookupError(self.kind)
        return self.reading

    @property
    def series(self) -> Series:
        """The series of a Datastream or Observation."""
        return Series(self.of.id, self.metric, self.discriminator)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of entity.  ``relations`` name the kind they lead to, and whether to many."""

    plural: str
    identity: Callable[[Node], str]
    shown: Callable[[Node, str], dict[str, Any]]
    properties: tuple[str, ...]
    relations: Mapping[str, tuple[str, bool]] = field(default_factory=dict)


def identity(node: Node) -> str:
    """Return an entity's ``@iot.id``."""
    return KINDS[node.kind].identity(node)


def properties(node: Node, hub: str) -> dict[str, Any]:
    """Return an entity's own properties; ``hub`` is the URL that links into the hub begin with."""
    return KINDS[node.kind].shown(node, hub)


def value_of(node: Node, path: Path) -> Any:
    """Return a property, or a related entity's, as filters and orders compare it; ``None``: there is none."""
    name, *rest = path
    relation = KINDS[node.kind].relations.get(name)
    if relation is not None:
        return value_of(node.other(relation[0]), tuple(rest))
    if name in {"id", "@iot.id"}:
        return identity(node)
    if path in TIMES and node.reading is not None:
        return Moment(node.reading.point.at)
    value = properties(node, "").get(name)
    for each in rest:
        value = value.get(each) if isinstance(value, Mapping) else None
    return None if isinstance(value, Mapping | list) else value


def is_time(kind: str, path: Path) -> bool:
    """Say whether a property is a time; refuse one that the kind does not have."""
    name, *rest = path
    relation = KINDS[kind].relations.get(name)
    if relation is not None and rest:
        target, many = relation
        if many:
            raise refused(
                f"{name} are many: a filter or order only goes to one, such as Thing/name."
            )
        return is_time(target, tuple(rest))
    known = (*KINDS[kind].properties, "id", "@iot.id")
    if name not in known:
        raise refused(
            f"A {kind} has no property {'/'.join(path)[:100]!r}; it has {', '.join(known)}."
        )
    return kind == "Observation" and path in TIMES


# --- what each shows ---------------------------------------------------------------------------------


def located(device: Device) -> list[float] | None:
    """Return a device's position as GeoJSON writes it, or ``None`` where it is unknown."""
    location = _location(device)
    found = [location["longitude"], location["latitude"]]
    if not all(isinstance(each, int | float) and math.isfinite(each) for each in found):
        return None
    return found


def _location(device: Device) -> dict[str, Any]:
    shown: dict[str, Any] = device.as_json(None)["location"]
    return shown


def _name(device: Device) -> str:
    return device.name or device.id


def _thing(node: Node, _hub: str) -> dict[str, Any]:
    shown = node.of.as_json(None)
    taken = (
        "vendor", "native_id", "connection_id", "parent_id", "model", "firmware", "location",
        "tags", "groups", "presence", "attributes",
    )  # fmt: skip
    return {
        "name": _name(node.of),
        "description": f"{node.of.vendor} {shown['model'] or 'device'}",
        "properties": {name: shown[name] for name in taken},
    }


def _sensor(node: Node, _hub: str) -> dict[str, Any]:
    model, firmware = node.of.fact("model"), node.of.fact("firmware")
    return {
        "name": str(model or _name(node.of)),
        "description": f"What measures in {_name(node.of)}",
        "encodingType": "text/html",
        "metadata": str(model or node.of.vendor),
        "properties": {"vendor": node.of.vendor, "model": model, "firmware": firmware},
    }


def _place(node: Node, _hub: str) -> dict[str, Any]:
    location = _location(node.of)
    said = [location[name] for name in reversed(LOCATION[2:]) if location[name]]
    return {
        "name": _name(node.of),
        "description": ", ".join(str(each) for each in said),
        "encodingType": _GEOJSON,
        "properties": {name: location[name] for name in LOCATION[2:]},
        "location": {"type": "Point", "coordinates": located(node.of)},
    }


def _feature(node: Node, hub: str) -> dict[str, Any]:
    shown = _place(node, hub)
    point = shown.pop("location")
    unlocated: dict[str, Any] = {"type": "Feature", "geometry": None, "properties": {}}
    return {**shown, "feature": point if point["coordinates"] else unlocated}


def _observed_property(node: Node, hub: str) -> dict[str, Any]:
    row = METRICS.get(node.metric)
    told = f", a {row.kind} in {row.unit}" if row else ", a quantity of the vendor's own"
    return {
        "name": node.metric,
        "definition": f"{hub}/v1/catalog/metrics#{quote(node.metric, safe='')}",
        "description": f"{node.metric.replace('_', ' ')}{told}",
        "properties": {},
    }


def _datastream(node: Node, _hub: str) -> dict[str, Any]:
    row = node.of.metrics.get(node.metric, {})
    apart = "".join(f", {name} {value}" for name, value in node.discriminator)
    truth = row.get("kind") == "boolean"
    return {
        "name": f"{node.metric}{apart}",
        "description": f"{node.metric}{apart} of {_name(node.of)}",
        "observationType": f"{_OM}{'TruthObservation' if truth else 'Measurement'}",
        "unitOfMeasurement": _unit(None if truth else row.get("unit")),
        "properties": {
            "metric": node.metric,
            "kind": row.get("kind"),
            "attributes": dict(node.discriminator),
        },
    }


def _unit(code: str | None) -> dict[str, str | None]:
    if code is None:
        return {"name": None, "symbol": None, "definition": None}
    name, symbol = _UNITS.get(code, (code, code))
    return {"name": name, "symbol": symbol, "definition": f"{_UCUM}{quote(code, safe='')}"}


def _observation(node: Node, _hub: str) -> dict[str, Any]:
    point = node.said.point
    end = to_rfc3339(point.at)
    start = max(point.at - (point.window_ms or 0), FIRST)
    shown: dict[str, Any] = {
        "phenomenonTime": f"{to_rfc3339(start)}/{end}" if point.window_ms else end,
        "resultTime": end,
        "result": point.value,
        "resultQuality": point.quality,
    }
    if point.attributes:
        shown["parameters"] = dict(point.attributes)
    return shown


def _nothing(_node: Node, _hub: str) -> dict[str, Any]:
    raise LookupError("HistoricalLocations are always empty")


def _of_device(node: Node) -> str:
    return node.of.id


_TEXTS = ("name", "description", "properties")
KINDS: Mapping[str, Kind] = {
    "Thing": Kind(
        "Things", _of_device, _thing, _TEXTS,
        {
            "Locations": ("Location", True),
            "HistoricalLocations": ("HistoricalLocation", True),
            "Datastreams": ("Datastream", True),
        },
    ),
    "Location": Kind(
        "Locations", _of_device, _place, (*_TEXTS, "encodingType", "location"),
        {"Things": ("Thing", True), "HistoricalLocations": ("HistoricalLocation", True)},
    ),
    "HistoricalLocation": Kind(
        "HistoricalLocations", _of_device, _nothing, ("time",),
        {"Thing": ("Thing", False), "Locations": ("Location", True)},
    ),
    "Datastream": Kind(
        "Datastreams", lambda node: ids.datastream(node.series), _datastream,
        (*_TEXTS, "observationType", "unitOfMeasurement"),
        {
            "Thing": ("Thing", False),
            "Sensor": ("Sensor", False),
            "ObservedProperty": ("ObservedProperty", False),
            "Observations": ("Observation", True),
        },
    ),
    "Sensor": Kind(
        "Sensors", _of_device, _sensor, (*_TEXTS, "encodingType", "metadata"),
        {"Datastreams": ("Datastream", True)},
    ),
    "ObservedProperty": Kind(
        "ObservedProperties", lambda node: node.metric, _observed_property, (*_TEXTS, "definition"),
        {"Datastreams": ("Datastream", True)},
    ),
    "Observation": Kind(
        "Observations", lambda node: ids.observation(node.series, node.said.point.at), _observation,
        ("phenomenonTime", "resultTime", "result", "resultQuality", "parameters"),
        {"Datastream": ("Datastream", False), "FeatureOfInterest": ("FeatureOfInterest", False)},
    ),
    "FeatureOfInterest": Kind(
        "FeaturesOfInterest", _of_device, _feature, (*_TEXTS, "encodingType", "feature"),
    ),
}  # fmt: skip
SETS: Mapping[str, str] = {kind.plural: name for name, kind in KINDS.items()}
"""Kinds by the names of their collections."""
