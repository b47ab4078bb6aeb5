"""Payloads as the five vendors send them, of any number of items, and models that check the same fields.

The models are the yardstick: whoever takes such a payload has at least to parse it and to see that its
fields are what they should be.  They convert, key and store nothing.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any, NamedTuple

from pydantic import BaseModel, TypeAdapter

_START = 1_790_000_000


class SoundLevel(BaseModel):
    """A sound level of Soundsensing."""

    id: str
    device_id: str
    leq: float
    lafmax: float
    lafmin: float
    period: int
    end_time: float


class SoundLevels(BaseModel):
    """A webhook of Soundsensing."""

    event_type: str
    event_id: str
    data: list[SoundLevel]


class Spot(BaseModel):
    """A parking spot of Viziosense."""

    id: str
    name: str
    is_active: bool
    deactivated: bool
    cls: str | None
    event_ts: float


class Parking(BaseModel):
    """A webhook of Viziosense."""

    stream_id: str
    type: str
    timestamp: float
    payload: list[Spot]


class Environment(BaseModel):
    """Message 12100 of Haltian."""

    tsmId: int
    tsmEv: int
    tsmTs: float
    tsmTuid: str
    temp: float
    humd: float
    airp: float
    lght: float


class AttributeValues(BaseModel):
    """What an attribute update of Lightelligence holds."""

    deviceId: str
    time: str
    value: dict[str, Any]


class AttributeUpdate(BaseModel):
    """An attribute update of Lightelligence."""

    type: str
    payload: AttributeValues


class Measurement(BaseModel):
    """A measurement of relayr."""

    name: str
    value: float | bool | str
    timestamp: int


class Kind(NamedTuple):
    """A message type: how one is made, what checks it, and the topic it comes on."""

    vendor: str
    name: str
    make: Callable[[random.Random, int], Any]
    checks: TypeAdapter[Any]
    topic: str = ""

    def body(self, items: int) -> bytes:
        """Return the bytes of a payload of so many items, the same each time."""
        return json.dumps(self.make(random.Random(items), items)).encode()


def _sound_levels(rng: random.Random, items: int) -> Any:
    return {
        "event_type": "soundlevel.added",
        "event_id": _uuid(rng),
        "data": [
            {
                "id": _uuid(rng),
                "device_id": "040517af-71c5-4fa3-a1d1-ec5a9112ce0a",
                "leq": round(rng.uniform(30, 90), 1),
                "lafmax": round(rng.uniform(30, 90), 1),
                "lafmin": round(rng.uniform(30, 90), 1),
                "period": 1_000_000,
                "end_time": _START + number,
            }
            for number in range(items)
        ],
    }


def _parking(rng: random.Random, items: int) -> Any:
    spots = [
        {
            "id": _uuid(rng),
            "name": f"P-{number}",
            "is_active": rng.random() < 0.5,
            "deactivated": False,
            "cls": rng.choice(["car", "truck", None]),
            "event_ts": _START + number,
        }
        for number in range(items)
    ]
    return {"stream_id": "camera-7", "type": "VPM", "timestamp": _START, "payload": spots}


def _environment(rng: random.Random, items: int) -> Any:
    return [
        {
            "tsmId": 12100,
            "tsmEv": 10,
            "tsmTs": _START + number,
            "tsmTuid": f"TSAR02TG12204{number % 50:04d}",
            "tsmGw": "TSGW01",
            "temp": round(rng.uniform(15, 30), 1),
            "humd": round(rng.uniform(20, 60), 1),
            "airp": round(rng.uniform(98_000, 103_000), 1),
            "lght": rng.randrange(1000),
        }
        for number in range(items)
    ]


def _attributes(rng: random.Random, items: int) -> Any:
    return [
        {
            "type": "attributeUpdate",
            "payload": {
                "deviceId": f"eba878ba-4a5d-4e67-b9d4-4dfd4e55{number % 50:04d}",
                "time": "2026-08-23T07:04:15.830Z",
                "value": {
                    "light": {"intensity": rng.randrange(100), "on": rng.random() < 0.5},
                    "temperature": round(rng.uniform(15, 30), 1),
                },
            },
        }
        for number in range(items)
    ]


def _measurements(rng: random.Random, items: int) -> Any:
    names = ("temperature", "humidity", "spindle.speed", "oil.pressure")
    return [
        {
            "name": names[number % 4],
            "value": round(rng.uniform(0, 100), 2),
            "timestamp": (_START + number // 4) * 1000,
        }
        for number in range(items)
    ]


def _uuid(rng: random.Random) -> str:
    text = f"{rng.getrandbits(128):032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


KINDS = (
    Kind("soundsensing", "soundlevel", _sound_levels, TypeAdapter(SoundLevels)),
    Kind("viziosense", "VPM", _parking, TypeAdapter(Parking)),
    Kind("haltian", "12100", _environment, TypeAdapter(list[Environment])),
    Kind("lightelligence", "attributeUpdate", _attributes, TypeAdapter(list[AttributeUpdate])),
    Kind(
        "relayr",
        "measurements",
        _measurements,
        TypeAdapter(list[Measurement]),
        "devices/3f1c2a4e-6b7d-4e8f-9a0b-1c2d3e4f5a6b/measurements",
    ),
)
