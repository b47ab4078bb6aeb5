"""What each type of Soundsensing's becomes: a table of summed-up values, and readers for all else.

Units as the API reference states them: sound levels in dB, A-weighted; ``soundlevel.period`` in
microseconds, every other ``period`` in seconds.  Vibration states no unit and is taken as g.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from chalicelib.model.decode import leaves
from chalicelib.model.metrics import METRICS
from chalicelib.model.naming import named
from chalicelib.model.records import (
    AlertSignal,
    Event,
    Fact,
    MalformedPayloadError,
    Measurement,
    Record,
    Severity,
)
from chalicelib.model.times import (
    from_iso,
    from_seconds,
    micros_as_millis,
    seconds_as_millis,
    to_rfc3339,
)
from chalicelib.vendors.soundsensing.fields import (
    Entry,
    device_of,
    identifier,
    is_value,
    text,
)
from chalicelib.vendors.soundsensing.recordings import audio_clip, device_media, spectrogram

VENDOR = "soundsensing"
Reader = Callable[[Entry, Mapping[str, Any]], Iterable[Record]]


class Summary(NamedTuple):
    """A type whose fields sum up the ``period`` before ``end_time``."""

    fields: tuple[tuple[str, str], ...]
    """The name on the wire and the metric."""
    window: Callable[[Any], int | None]
    attributes: tuple[str, ...] = ()


SUMMARIES: Mapping[str, Summary] = {
    "soundlevel": Summary(
        (
            ("leq", "sound_level_eq"),
            ("lafmax", "sound_level_max"),
            ("lafmin", "sound_level_min"),
        ),
        micros_as_millis,
    ),
    "vibration": Summary(
        (
            *((f"rms_{axis}", f"vibration_rms_{axis}") for axis in "xyz"),
            *((f"p2p_{axis}", f"vibration_peak_to_peak_{axis}") for axis in "xyz"),
        ),
        seconds_as_millis,
    ),
    "anomaly_detection_result": Summary(
        (
            ("probability", "anomaly_probability"),
            ("score", "anomaly_score"),
            ("value", "anomaly_value"),
        ),
        seconds_as_millis,
        ("model_instance_id", "feature"),
    ),
}
SEVERITIES: Mapping[str, Severity] = {"A": "warning", "B": "minor"}
"""Alarm types: A a deviation of the machine, B a deviation from its schedule."""
DEVICE_ATTRIBUTES: Mapping[str, str] = {
    "serial": "serial",
    "revision": "revision",
    "device_id": "hardware_id",
    "description": "description",
    "sensor_id": "sensor_id",
    "type_id": "type_id",
    "organization_id": "organization_id",
}
"""Fields of a device and their attributes: its ``device_id`` is the hardware's, nobody else's."""
_EVENT_TIMES = ("timestamp", "end_time", "created_at")
_MICROS_FROM = 100_000 * 1000
"""From a ``period`` of 100 000 on, a classification's is in microseconds (here read as seconds)."""


def summary(kind: str) -> Reader:
    """Return the reader of a type of :data:`SUMMARIES`."""
    fields, window, names = SUMMARIES[kind]

    def read(entry: Entry, _settings: Mapping[str, Any]) -> Iterator[Record]:
        device, at = device_of(entry), from_seconds(entry.get("end_time"))
        length = window(entry.get("period"))
        attributes = {name: entry[name] for name in names if text(entry.get(name))}
        for field, metric in fields:
            value = entry.get(field)
            if is_value(value):
                unit = METRICS[metric].unit
                yield Measurement(device, metric, value, at, unit, length, "good", attributes)

    return read


def alarm(entry: Entry, _settings: Mapping[str, Any]) -> Iterator[Record]:
    """Read an alarm: a raise and, where it is already resolved, its clear."""
    device, at = device_of(entry), from_seconds(entry.get("timestamp"))
    if device is None:
        raise MalformedPayloadError("device_id is missing", "device_id")
    kind = text(entry.get("alarm_type"))
    # Only device, time and type are required: without an id they are the alarm's name.
    key = text(entry.get("id")) or f"{device}.{at or 0}.{kind or ''}"
    name = f"alarm.{kind}" if kind else "alarm"
    severity = SEVERITIES.get(kind or "", "warning")
    yield AlertSignal(device, key, "raise", at, name, severity, text(entry.get("description")))
    if entry.get("resolved") is True:
        resolved = from_seconds(entry.get("resolution_time"))
        resolved = resolved or from_seconds(entry.get("created_at"))
        # A raise at the arrival can only be cleared then; no clear precedes its raise.
        until = None if at is None else max(at, resolved or at)
        yield AlertSignal(device, key, "clear", until)


def device_metric(entry: Entry, settings: Mapping[str, Any]) -> Iterator[Record]:
    """Read a device's free-form ``data``: numbers and booleans are values, texts are attributes."""
    device, data = device_of(entry), entry.get("data")
    if data is not None and not isinstance(data, dict):
        raise MalformedPayloadError("data is not an object", "data")
    since, until = _bounds(entry.get("time"))
    since = from_seconds(entry.get("start_time")) or since
    until = from_seconds(entry.get("end_time")) or until
    # The reference's own example has a period that is not end - start.
    length = until - since if until is not None and since is not None else None
    if length is None:
        length = seconds_as_millis(entry.get("period"))
    window = length if length is not None and length > 0 else None
    for path, leaf in leaves(data or {}):
        if leaf is None or isinstance(leaf, str):
            yield Fact(device, f"attributes.{path}", leaf, until)
        else:
            yield named(
                VENDOR,
                path,
                leaf,
                device=device,
                at=until,
                settings=settings,
                window_ms=window,
            )


def classification(entry: Entry, _settings: Mapping[str, Any]) -> Iterator[Record]:
    """Read a classification: an event, and the probability of each class by its position."""
    device, at = device_of(entry), from_seconds(entry.get("end_time"))
    yield Event(device, f"{VENDOR}.classification", at, entry)
    predictions, period = entry.get("predictions"), entry.get("period")
    if not isinstance(predictions, list):
        return
    window = seconds_as_millis(period)
    if window is None or window >= _MICROS_FROM:
        window = micros_as_millis(period)
    metric = METRICS["classification_probability"]
    name, unit = metric.name, metric.unit
    for index, value in enumerate(predictions):
        if is_value(value):
            attributes = {"class": index}
            yield Measurement(device, name, value, at, unit, window, "good", attributes)


def device(entry: Entry, _settings: Mapping[str, Any]) -> Iterator[Record]:
    """Read a device.  Its ``id`` is what all other types call ``device_id``."""
    serial = text(entry.get("serial"))
    # Only the serial number is required; without an id it is all that can name the device.
    native = identifier(entry, "id") or serial
    if native is None:
        raise MalformedPayloadError("id is missing or no text", "id")
    at = from_seconds(entry.get("registered_at"))
    name = text(entry.get("nickname")) or serial
    if name:
        yield Fact(native, "name", name, at)
    kind = entry.get("type")
    if isinstance(kind, dict):
        if model := text(kind.get("model")):
            yield Fact(native, "model", model, at)
        if brand := text(kind.get("brand")):
            yield Fact(native, "attributes.brand", brand, at)
    elif model := text(kind):
        yield Fact(native, "model", model, at)
    for field, attribute in DEVICE_ATTRIBUTES.items():
        if field in entry and isinstance(entry[field], str | None):
            yield Fact(native, f"attributes.{attribute}", entry[field], at)
    if at is not None:
        yield Fact(native, "attributes.registered_at", to_rfc3339(at), at)


def unlisted(kind: str, body: Any) -> Event:
    """Return the event of an entry whose type has no reader."""
    if not isinstance(body, dict):
        return Event(None, f"{VENDOR}.{kind}", None, body)
    times = (from_seconds(body.get(field)) for field in _EVENT_TIMES)
    at = next((time for time in times if time is not None), None)
    return Event(text(body.get("device_id")), f"{VENDOR}.{kind}", at, body)


READERS: Mapping[str, Reader] = {
    **{kind: summary(kind) for kind in SUMMARIES},
    "alarm": alarm,
    "device_metric": device_metric,
    "classification": classification,
    "audio_clip": audio_clip,
    "spectrogram": spectrogram,
    "device_media": device_media,
    "device": device,
}
"""Every listed type."""


def _bounds(stated: Any) -> tuple[int | None, int | None]:
    """Read a Postgres range of times: ``["1970-01-19 13:22:30+01","1970-01-19 13:27:30+01")``.

    Bounds may lack quotes, or be missing, or be ``infinity``: then that end is no time.
    """
    if not isinstance(stated, str):
        return None, None
    inner = stated.strip()
    if inner[:1] not in ("[", "(") or inner[-1:] not in ("]", ")"):
        return None, None
    since, _, until = inner[1:-1].partition(",")
    return from_iso(since.strip().strip('"')), from_iso(until.strip().strip('"'))
