"""What callers get: the shapes of answers, for the OpenAPI document (and checked in the tests)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Moment = Annotated[
    str, Field(json_schema_extra={"format": "date-time", "examples": ["2026-01-31T12:00:00.000Z"]})
]
Severity = Literal["info", "minor", "warning", "major", "critical"]
Presence = Literal["online", "offline", "unknown"]


class Shape(BaseModel):
    """An object of an answer, with all its members."""

    model_config = ConfigDict(extra="forbid")


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


class Secret(Shape):
    """A new secret, shown this once."""

    secret: str


class Accepted(Shape):
    """Work that was accepted, with an id to follow."""

    id: str


class Connection(Shape):
    """A vendor account."""

    id: str
    vendor: str
    name: str
    settings: dict[str, Any]
    webhook_url: str
    mqtt_topic_prefix: str
    created_at: Moment


class ConnectionWithSecret(Connection, Secret):
    """A new vendor account."""


class Disabled(Shape):
    """When and why the hub disabled an integration."""

    at: Moment
    reason: str


class Integration(Shape):
    """A downstream subscriber; sensitive members of its config are masked."""

    id: str
    name: str
    kind: str
    config: dict[str, Any]
    filter: dict[str, Any]
    batch: dict[str, Any] | None
    ordering: Literal["none", "device"]
    enabled: bool
    disabled: Disabled | None
    created_at: Moment


class IntegrationWithSecret(Integration, Secret):
    """A new downstream subscriber."""


class Attempt(Shape):
    """One try of a delivery."""

    model_config = ConfigDict(extra="allow")

    at: Moment
    status: int | None
    latency_ms: float | None
    response_excerpt: str | None
    error: str | None


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
    quarantine: list[Quarantined] = []
    deliveries: list[Delivery] = []


class TenantCreated(Shape):
    """A new tenant and its first key, shown this once."""

    id: str
    api_key: str


class RateLimit(Shape):
    """How many requests a key may make."""

    requests: int
    seconds: int


class ApiKey(Shape):
    """An API key without its secret."""

    id: str
    name: str
    scopes: list[Literal["read", "write", "admin"]]
    rate_limit: RateLimit | None
    created_at: Moment


class KeyWithSecret(ApiKey):
    """A new API key, shown this once."""

    key: str


class CatalogVendor(Shape):
    """A vendor."""

    name: str
    adapter_version: int


class CatalogMetric(Shape):
    """A metric of the vocabulary, its canonical unit (UCUM) and its possible range."""

    name: str
    unit: str
    kind: Literal["gauge", "counter", "delta", "boolean"]
    minimum: float | None
    maximum: float | None


class ConfigField(Shape):
    """A member of a destination's config."""

    name: str
    description: str
    required: bool
    sensitive: bool


class CatalogDestination(Shape):
    """A kind of destination."""

    kind: str
    title: str
    fields: list[ConfigField]


class CatalogEventType(Shape):
    """A CloudEvents type."""

    type: str
    description: str


class Health(Shape):
    """Whether the API answers."""

    status: Literal["ok"]
    version: str


class Document(BaseModel):
    """An OpenAPI document."""

    openapi: str


class ProblemField(Shape):
    """One mistake in a body."""

    pointer: str
    detail: str


class Problem(Shape):
    """A problem (RFC 9457)."""

    type: str = Field(examples=["/problems/unknown-parameter"])
    title: str
    status: int
    detail: str
    errors: list[ProblemField] = []
