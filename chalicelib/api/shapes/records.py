"""Records and what is known of their way through the hub."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from chalicelib.api.shapes import Moment, Presence, Severity, Shape


class Provenance(Shape):
    """Where a record came from."""

    connection_id: str
    receipt_id: str
    adapter_version: int


class Window(Shape):
    """The period that a value sums up."""

    start: Moment
    end: Moment


class Measurement(Shape):
    """One value of one metric of one device at one moment."""

    id: str
    device_id: str = Field(examples=["haltian:TSAR01EKF200000001"])
    metric: str = Field(examples=["temperature"])
    value: float | bool = Field(examples=[21.5])
    unit: str | None = Field(examples=["Cel"])
    observed_at: Moment
    window: Window | None
    quality: Literal["good", "suspect", "bad"]
    attributes: dict[str, Any]
    provenance: Provenance


class Event(Shape):
    """Something that happened and is not a number."""

    id: str
    device_id: str
    type: str = Field(examples=["measurement.rejected"])
    observed_at: Moment
    data: Any
    provenance: Provenance


class Media(Shape):
    """A reference to a recording or picture that the vendor keeps."""

    id: str
    device_id: str
    kind: Literal["image", "audio", "spectrogram", "video", "file"]
    url: str | None
    reference: str
    started_at: Moment
    duration_seconds: float | None
    expires_at: Moment | None
    provenance: Provenance


class Mark(Shape):
    """When an alert was acknowledged or cleared, by whom (``null``: the vendor), with which note."""

    at: Moment
    by: str | None
    note: str | None


class Alert(Shape):
    """A condition of a device from its raise to its clear."""

    id: str
    device_id: str
    key: str
    name: str
    severity: Severity
    state: Literal["active", "cleared"]
    message: str | None
    raised_at: Moment
    cleared_at: Moment | None
    cleared: Mark | None
    acknowledged: Mark | None
    source: Literal["vendor", "hub"]
    provenance: Provenance


class Location(Shape):
    """Where a device is."""

    latitude: float | str | None
    longitude: float | str | None
    address: str | None
    city: str | None
    country: str | None
    building: str | None
    floor: str | float | None
    room: str | float | None


class DeviceMetric(Shape):
    """A metric that a device has."""

    unit: str | None
    kind: Literal["gauge", "counter", "delta", "boolean"]


class Device(Shape):
    """One physical (or logical child) thing."""

    id: str
    vendor: str
    connection_id: str
    native_id: str
    parent_id: str | None
    name: str | None
    model: str | None
    firmware: str | None
    location: Location
    tags: list[str]
    groups: list[str]
    presence: Presence
    last_seen_at: Moment | None
    expected_interval_seconds: float | None
    metrics: dict[str, DeviceMetric]
    attributes: dict[str, Any]


class State(Shape):
    """The latest of every metric of a device."""

    device_id: str
    presence: Presence
    last_seen_at: Moment | None
    data: list[Measurement]


class Latest(Shape):
    """The latest measurements of several devices."""

    data: list[Measurement]


class Signal(Shape):
    """What a payload said of an alert."""

    device_id: str
    key: str
    action: Literal["raise", "clear"]
    at: Moment
    name: str | None
    severity: Severity | None
    message: str | None


class Records(Shape):
    """What a payload became; ``truncated`` where it became more than is shown."""

    measurements: list[Measurement]
    events: list[Event]
    media: list[Media]
    alerts: list[Signal]
    devices: list[str]
    truncated: bool


class Attempt(Shape):
    """One try of a delivery."""

    model_config = ConfigDict(extra="allow")

    at: Moment
    status: int | None
    latency_ms: float | None
    response_excerpt: str | None
    error: str | None


class Command(Shape):
    """What a device is asked to do, and how far that is; ``result`` is the vendor's or says why not."""

    id: str
    device_id: str
    name: str
    payload: Any
    state: Literal["queued", "sent", "accepted", "succeeded", "failed", "timed_out", "cancelled"]
    requested_at: Moment
    updated_at: Moment
    result: Any


class Delivery(Shape):
    """One message for one integration."""

    id: str
    integration_id: str
    event_ids: list[str]
    state: Literal["pending", "delivered", "dead", "cancelled"]
    next_attempt_at: Moment | None
    attempts: list[Attempt]


class Quarantined(Shape):
    """An item that could not be normalised."""

    id: str
    receipt_id: str
    connection_id: str
    reason: str
    path: str
    at: Moment


class Receipt(Shape):
    """The trace of one payload; while it is ``queued`` nothing more is known."""

    id: str
    state: Literal["queued", "processed"]
    connection_id: str
    vendor: str
    received_at: Moment
    topic: str = ""
    payload: Any = None
    body_base64: str = Field("", description="The first 64 KiB of a payload that is no JSON.")
    records: Records = Field(default=...)
    quarantine: list[Quarantined] = Field(default_factory=list)
    deliveries: list[Delivery] = Field(default_factory=list)
