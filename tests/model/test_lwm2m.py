from __future__ import annotations

import pytest

from chalicelib.model import lwm2m
from chalicelib.model.metrics import METRICS
from chalicelib.model.units import converts


@pytest.mark.parametrize(
    ("urn", "metric"),
    [
        ("urn:oma:lwm2m:ext:3303", "temperature"),
        ("urn:oma:lwm2m:ext:3303:5700", "temperature"),
        ("URN:OMA:LWM2M:EXT:3304/0/5700", "relative_humidity"),
        ("urn:oma:lwm2m:oma:3:9", "battery_level"),
        ("urn:oma:lwm2m:ext:3313/0/5703", "acceleration_y"),
        ("urn:oma:lwm2m:ext:3313", None),
        ("urn:oma:lwm2m:ext:5700", None),
        ("urn:oma:lwm2m:ext:99999999", None),
        ("urn:ietf:3303", None),
        ("", None),
    ],
)
def test_a_urn_names_a_quantity(urn: str, metric: str | None) -> None:
    found = lwm2m.quantity(urn)

    assert (found.metric if found else None) == metric


def test_every_unit_converts_into_its_metrics() -> None:
    for found in (*lwm2m.OBJECTS.values(), *lwm2m.RESOURCES.values()):
        assert found.unit == METRICS[found.metric].unit or converts(found.unit, found.metric)
