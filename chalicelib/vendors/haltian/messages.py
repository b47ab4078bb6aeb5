"""What each ``tsmId`` becomes: a table of sensor fields, and readers for all else.

Units are those of the vendor's message profiles: millimetres, milli-g, pascals, seconds; signal
strength is a byte that stands for -128..0 dBm unless the message states dBm itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeGuard

from chalicelib.model.metrics import METRICS, Value
from chalicelib.model.records import AlertSignal, Fact, Measurement, Record
from chalicelib.model.units import convert, tidy

Message = dict[str, Any]
Reader = Callable[[Message, str, int | None], list[Record] | None]


class Field(NamedTuple):
    """One sensor field: its name on the wire, the metric, and how its value is read."""

    name: str
    metric: str
    unit: str | None = None  # the wire's unit where it is not the metric's
    states: Mapping[Value, bool] | None = None  # for a boolean metric
    grid: bool = False  # may be 4 x 4 values


_OFF_ON: Mapping[Value, bool] = {0: False, 1: True}
_CHARGER: Mapping[Value, bool] = {0: False, 1: True, 2: False}  # 2: connected, not charging
_DISTANCE = (Field("dist", "distance", "mm", grid=True),)
_INSIDE = (Field("temp", "device_temperature"),)

FIELDS: Mapping[int, tuple[Field, ...]] = {
    1110: (Field("batl", "battery_level"), Field("chrg", "charging", states=_CHARGER)),
    1111: tuple(Field(f"acc{axis}", f"acceleration_{axis}", "m[g]") for axis in "xyz"),
    1112: (Field("uptime", "uptime"),),
    1211: tuple(
        Field(f"cell{name.capitalize()}", f"signal_{name}")
        for name in ("rsrp", "rssi", "rscp", "rsrq", "sinr", "ecn0")
    ),
    2100: (Field("state", "occupied", states=_OFF_ON),),
    2101: (Field("state", "jammed", states=_OFF_ON),),
    12100: (
        Field("temp", "temperature"),
        Field("humd", "relative_humidity"),
        Field("airp", "air_pressure"),
        Field("lght", "illuminance"),
    ),
    12101: (Field("hall", "contact_closed", states=_OFF_ON), Field("hallCount", "contact_count")),
    12102: (Field("resistance", "resistance_raw"),),
    13100: (Field("moveCount", "motion_count"),),
    13103: (
        Field("in", "people_in"),
        Field("out", "people_out"),
        Field("totalIn", "people_in_total"),
        Field("totalOut", "people_out_total"),
    ),
    16100: (
        Field("activityLevel", "activity_level"),
        Field("energyLevel", "energy_level"),
        *(Field(f"histogram{bin_}", f"haltian.histogram{bin_}") for bin_ in range(10)),
    ),
    17100: _DISTANCE,
    17200: _DISTANCE,
    17201: _DISTANCE,
    17210: _INSIDE,
    18100: (Field("angle", "angle"),),
    18101: _INSIDE,
    24100: (Field("carbonDioxide", "carbon_dioxide"),),
    24101: (Field("tvoc", "tvoc"),),
}
"""Every message of sensor values, by ``tsmId``."""

_DISTANCE_STATUS: Callable[[Any], bool] = lambda status: status == 0  # noqa: E731 - a table's cell
USABLE: Mapping[int, Callable[[Any], bool]] = {
    17100: _DISTANCE_STATUS,
    17200: _DISTANCE_STATUS,
    17201: _DISTANCE_STATUS,
    24100: lambda status: status != -1,
}
"""Whether a message's number means anything, judged by the ``status`` it states beside it."""

MODELS: Mapping[str, str] = {
    "TSGW01": "Thingsee GATEWAY 2G",
    "TSGW05": "Thingsee GATEWAY LAN",
    "TSGW06": "Thingsee GATEWAY GLOBAL",
    "TSPR02": "Thingsee PRESENCE",
    "TSPR04": "Thingsee PRESENCE",
    "TSPD02": "Thingsee ENVIRONMENT",
    "TSPD04": "Thingsee ENVIRONMENT",
    "TSPD05": "Thingsee ENVIRONMENT RUGGED",
    "TSEN01": "Thingsee ENVIRONMENT",
    "TSTF02": "Thingsee DISTANCE",
    "TSTF04": "Thingsee BEAM",
    "TSAN01": "Thingsee ANGLE",
    "TSAR01": "Thingsee AIR",
    "TSAR02": "Thingsee AIR",
    "TSAP01": "Thingsee COUNT",
    "TSRU": "Thingsee ENVIRONMENT RUGGED",
    "TSLK": "Thingsee LEAKAGE",
}
"""Product by the first six, else four, characters of a TUID."""


def sensor_values(tsm_id: int, body: Message, device: str, at: int | None) -> list[Record] | None:
    """Return a message's measurements, or ``None`` if its ``tsmId`` carries no sensor values."""
    fields = FIELDS.get(tsm_id)
    if fields is None:
        return None
    status, usable = body.get("status"), USABLE.get(tsm_id)
    if usable is not None and status is not None and not usable(status):
        return []
    return [
        _measurement(field, value, device, at, attributes)
        for field in fields
        for value, attributes in _values(body.get(field.name), grid=field.grid)
    ]


def is_value(value: Any) -> TypeGuard[Value]:
    """Say whether a wire value may be a measurement: a number or a boolean, never a text."""
    return isinstance(value, int | float)


def place(latitude: Any, longitude: Any, device: str, at: int | None) -> list[Record]:
    """Return a position in degrees as location facts; half a position is none."""
    for value, limit in ((latitude, 90), (longitude, 180)):
        if isinstance(value, bool) or not is_value(value) or not abs(value) <= limit:
            return []
    return [
        Fact(device, "location.latitude", latitude, at),
        Fact(device, "location.longitude", longitude, at),
    ]


def model_of(tuid: str) -> str | None:
    """Return the product that a TUID belongs to, where its first characters tell."""
    return MODELS.get(tuid[:6]) or MODELS.get(tuid[:4])


def _values(value: Any, *, grid: bool) -> Iterator[tuple[Value, Mapping[str, int]]]:
    """Yield the number of a field, or those of a 4 x 4 grid (rows, or all sixteen in one list)."""
    if is_value(value):
        yield value, {}
    elif grid and isinstance(value, list):
        nested = any(isinstance(row, list) for row in value)
        rows = value if nested else [value[start : start + 4] for start in range(0, 16, 4)]
        for y, row in enumerate(rows[:4]):
            for x, cell in enumerate(row[:4] if isinstance(row, list) else ()):
                if is_value(cell):
                    yield cell, {"cell": 4 * y + x}


def _measurement(
    field: Field, value: Value, device: str, at: int | None, attributes: Mapping[str, Any]
) -> Measurement:
    known = METRICS.get(field.metric)
    if field.states is not None:
        value = field.states.get(value, value)  # another number is refused by the hub, and kept
    elif field.unit is not None and not isinstance(value, bool):
        value = convert(value, field.unit, field.metric)
    unit = known.unit if known else None
    return Measurement(device, field.metric, value, at, unit, attributes=attributes)


# --- messages that are no sensor values; a reader returns None for "keep it as an event" ---------


def _subject(body: Message, sender: str) -> str:
    inner = body.get("tuid")
    return inner if isinstance(inner, str) and inner else sender


def _neighbour(body: Message, device: str, at: int | None) -> list[Record]:
    """Read 1202: how well ``device`` hears the node ``tuid``."""
    stated, byte = body.get("rssiDbm"), body.get("rssi")
    if is_value(stated):
        value: Value = stated
    elif is_value(byte):
        value = byte if isinstance(byte, bool) else tidy(128 * byte / 255 - 128)
    else:
        return []
    neighbour = _subject(body, "")
    attributes = {"neighbour": neighbour} if neighbour else {}
    return [Measurement(device, "signal_rssi", value, at, "dBm", attributes=attributes)]


def _position(body: Message, device: str, at: int | None) -> list[Record] | None:
    # Coordinates that are none leave the message an event: nothing is dropped for being unreadable.
    return place(body.get("lat"), body.get("lon"), device, at) or None


# Power on and network connected; power off and network disconnected.
_PRESENCE_OF_EVENT = {11: "online", 17: "online", 12: "offline", 18: "offline"}


def _connection(body: Message, sender: str, at: int | None) -> list[Record] | None:
    reason = body.get("tsmEv")
    presence = _PRESENCE_OF_EVENT.get(reason) if isinstance(reason, int) else None
    return [Fact(_subject(body, sender), "presence", presence, at)] if presence else None


def _start(body: Message, sender: str, at: int | None) -> list[Record]:
    """Read 1100, sent once after a start: the rare moment to say what the device is."""
    device = _subject(body, sender)
    records: list[Record] = [Fact(device, "presence", "online", at)]
    version, code = body.get("swVersion"), body.get("modelCode")
    if isinstance(version, str) and version:
        records.append(Fact(device, "firmware", version, at))
    model = model_of(device) or (code if isinstance(code, str) else None)
    if model:
        records.append(Fact(device, "model", model, at))
    return records


def _heartbeats(body: Message, sender: str, at: int | None) -> list[Record]:
    """Read 11200 and 11201: ``slotBits`` has one bit a time slot, the lowest is the newest.

    A device heard in any slot is online; one heard in none has missed its heartbeat.
    """
    listed = body.get("heartbeats")
    records: list[Record] = []
    for beat in listed if isinstance(listed, list) else [body]:
        if not isinstance(beat, dict):
            continue
        device = _subject(beat, sender if beat is body else "")
        bits = beat.get("slotBits")
        if not device or isinstance(bits, bool) or not is_value(bits) or not math.isfinite(bits):
            continue
        records.append(Fact(device, "presence", "online" if bits else "offline", at))
        records.append(missed_heartbeat(device, at, missed=not bits))
    return records


def missed_heartbeat(device: str, at: int | None, *, missed: bool) -> AlertSignal:
    """Return the signal that a device has missed its heartbeat, or is heard again."""
    key = "heartbeat_missed"
    return AlertSignal(device, key, "raise" if missed else "clear", at, key, "warning")


def _error(body: Message, device: str, at: int | None) -> list[Record] | None:
    """Read 1403: an error report.  The vendor never says that an error is over."""
    key, cause = _text(body.get("errorType")), _text(body.get("errorCause"))
    return [AlertSignal(device, key, "raise", at, key, "major", cause)] if key else None


def _text(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


READERS: Mapping[int, Reader] = {
    1000: _connection,
    1100: _start,
    1202: _neighbour,
    1210: _position,
    1403: _error,
    11200: _heartbeats,
    11201: _heartbeats,
}
"""Every other listed message, by ``tsmId``."""

LISTED = frozenset(
    {
        *(1101, 1102, 1200, 1201, 1203, 1205, 1206, 1207, 1208, 1212, 1220, 1221, 1222),
        *(1300, 1301, 1302, 1303, 1312, 1313, 1400, 1401, 1402, 1404, *range(1500, 1506), 1600),
        *(3100, 3200, 3300, 3400, 11210, 11211, 11310, 11311, 11312, 11320, 11500, 11501),
        *(12200, 12210, 12211, 12212, 13102, 13200, 13210, 13211, 16200, 17110, 17220, 18200),
        *(24200, 24201, 28009),
    }
)
"""Messages that the vendor describes and the hub keeps whole, as events."""
