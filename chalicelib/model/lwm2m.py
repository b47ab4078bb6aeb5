"""LwM2M urns to metrics: what a device type's schema says of a field where it says no unit.

The urn of an object (``urn:oma:lwm2m:ext:3303``, maybe with instance and resource behind it) says which
quantity it is; the registry of the Open Mobile Alliance names the unit that is meant where the object's
own resource 5701 states no other.  A resource alone (5700, the sensor value) says nothing of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple


class Quantity(NamedTuple):
    """A metric and the unit in which an object states it."""

    metric: str
    unit: str


OBJECTS: Mapping[int, Quantity] = {
    3301: Quantity("illuminance", "lx"),
    3302: Quantity("occupied", "1"),
    3303: Quantity("temperature", "Cel"),
    3304: Quantity("relative_humidity", "%"),
    3315: Quantity("air_pressure", "Pa"),
    3316: Quantity("voltage", "V"),
    3330: Quantity("distance", "m"),
}
"""Objects with one value, by their id in the registry."""
RESOURCES: Mapping[tuple[int, int], Quantity] = {
    (3, 7): Quantity("voltage", "mV"),
    (3, 9): Quantity("battery_level", "%"),
    (4, 2): Quantity("signal_rssi", "dBm"),
    (3313, 5702): Quantity("acceleration_x", "m/s2"),
    (3313, 5703): Quantity("acceleration_y", "m/s2"),
    (3313, 5704): Quantity("acceleration_z", "m/s2"),
}
"""Objects with several values: by the ids of object and resource."""
_URN = re.compile(r"urn:oma:lwm2m:[a-z]+:(\d{1,5})(?:[:/](\d{1,5}))?(?:[:/](\d{1,5}))?")


def quantity(urn: str) -> Quantity | None:
    """Return what a urn means: ``…:3303``, ``…:3303:5700`` and ``…:3303/0/5700`` are the same."""
    match = _URN.fullmatch(urn.strip().lower())
    if match is None:
        return None
    thing, resource = int(match[1]), int(match[3] or match[2] or -1)
    return RESOURCES.get((thing, resource)) or OBJECTS.get(thing)
