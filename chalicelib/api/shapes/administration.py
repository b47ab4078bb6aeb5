"""Connections, integrations, keys, the catalogue."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from chalicelib.api.shapes import Moment, Shape

JsonType = Literal["string", "number", "boolean", "null", "object", "array"]


class Accepted(Shape):
    """Work that was accepted, with an id to follow."""

    id: str


class Secret(Shape):
    """A new secret, shown this once (of an integration that signs by ed25519: its public key).

    ``null`` where the answer is given again.
    """

    secret: str | None


class Connection(Shape):
    """A vendor account."""

    id: str
    vendor: str
    name: str
    settings: dict[str, Any]
    credentials: dict[str, Any]
    webhook_url: str
    mqtt_topic_prefix: str
    created_at: Moment


class Lag(Shape):
    """How late items come: arrival minus the vendor's time, in seconds (about; ``null``: unknown)."""

    p50_seconds: float | None
    p95_seconds: float | None


class ItemCounts(Shape):
    """Items of the last 24 hours, each counted once, by what became of them (about)."""

    accepted: int
    duplicate: int
    quarantined: int
    unknown: int


class Drift(Shape):
    """A change in how a vendor's items look."""

    event_id: str
    message_type: str
    path: str = Field(examples=["data.values[].temp"])
    drift: Literal["new", "missing", "retyped"]
    types: list[JsonType]
    before: list[JsonType]
    at: Moment


class MessageField(Shape):
    """A field of a message type; not every item has an optional one."""

    path: str
    types: list[JsonType]
    optional: bool


class MessageType(Shape):
    """A message type of a connection: its fields, and how late its items come."""

    type: str
    fields: list[MessageField]
    learning: bool
    last_seen_at: Moment | None
    lag: Lag
    clock_skew_seconds: float | None


class Sync(Shape):
    """What the hub fetches from a vendor's API: requests made and refused (skipped), payloads brought."""

    id: str
    connection_id: str
    state: Literal["running", "done", "failed", "cancelled"]
    from_: Moment = Field(alias="from")
    to: Moment
    requests: int
    payloads: int
    skipped: int
    reason: str | None
    requested_at: Moment
    finished_at: Moment | None


class ConnectionHealth(Shape):
    """How a connection does.  Figures are approximate and up to a minute old."""

    connection_id: str
    vendor: str
    state: Literal["ok", "silent", "failing", "never"]
    last_received_at: Moment | None
    counts: ItemCounts
    lag: Lag
    clock_skew_seconds: float | None
    sync: Sync | None
    drift: list[Drift]
    message_types: list[MessageType]


class RenormalizationCounts(Shape):
    """Payloads that were put through, and the records that this changed (or would change)."""

    payloads: int
    recorded: int
    corrected: int
    withdrawn: int
    quarantined: int
    released: int


class RecordChange(Shape):
    """One record as it is and as it would be; ``null`` where there is none."""

    id: str
    change: Literal["recorded", "corrected", "withdrawn"]
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class Renormalization(Shape):
    """An operator's order to read archived payloads again; ``examples`` are a dry run's first changes."""

    id: str
    connection_id: str
    state: Literal["running", "done", "failed"]
    reason: str | None
    dry_run: bool
    from_: Moment = Field(alias="from")
    to: Moment
    requested_at: Moment
    finished_at: Moment | None
    progress: float = Field(ge=0, le=1)
    counts: RenormalizationCounts
    examples: list[RecordChange]


class ConnectionWithSecret(Connection, Secret):
    """A new vendor account."""


class Disabled(Shape):
    """When and why the hub disabled an integration."""

    at: Moment
    reason: str


class RateLimit(Shape):
    """At most so many requests within so many seconds."""

    requests: int
    seconds: int


class Integration(Shape):
    """A downstream subscriber; sensitive members of its config are masked."""

    id: str
    name: str
    kind: str
    config: dict[str, Any]
    filter: dict[str, Any]
    batch: dict[str, Any] | None
    ordering: Literal["none", "device"]
    concurrency: int
    rate_limit: RateLimit | None
    transform: dict[str, Any] | None
    shadow: bool
    external_id: str | None
    enabled: bool
    disabled: Disabled | None
    public_key: str | None
    created_at: Moment


class IntegrationChanged(Integration):
    """A downstream subscriber; with its new secret where the change made one."""

    secret: str = ""


class IntegrationWithSecret(Integration, Secret):
    """A new downstream subscriber."""


class ReplayPreview(Shape):
    """How many events a replay would deliver; not ``complete``: at least so many."""

    count: int
    complete: bool


class Recovery(Shape):
    """A replay, retry or redrive: what was asked for and how far it is."""

    id: str
    integration_id: str
    kind: Literal["replay", "retry", "redrive"]
    state: Literal["running", "done", "cancelled"]
    from_: Moment | None = Field(alias="from")
    to: Moment | None
    filter: dict[str, Any] | None
    since: Moment | None
    looked_at: int
    count: int
    created_at: Moment
    finished_at: Moment | None


class FilterTested(Shape):
    """What a filter matches of the last hour; not ``complete``: of the part that was looked at."""

    from_: Moment = Field(alias="from")
    to: Moment
    looked_at: int
    matched: int
    complete: bool
    data: list[dict[str, Any]]


class Export(Shape):
    """Measurements written into a file; ``url`` downloads it until ``expires_at``, each answer anew."""

    id: str = Field(examples=["exp_4f0k2m9q7c1x8z3v"])
    state: Literal["running", "done", "failed", "expired"]
    progress: float = Field(ge=0, le=1)
    url: str | None
    expires_at: Moment | None
    reason: str | None = Field(description="Why it failed.")
    devices: list[str]
    metrics: list[str] | None
    from_: Moment = Field(alias="from")
    to: Moment
    format: Literal["csv", "ndjson"]
    compression: Literal["gzip"] | None
    rows: int
    bytes: int
    created_at: Moment
    finished_at: Moment | None


class TenantCreated(Shape):
    """A new tenant and its first key, shown this once (``null`` where the answer is given again)."""

    id: str
    api_key: str | None


class ApiKey(Shape):
    """An API key without its secret."""

    id: str
    name: str
    scopes: list[Literal["read", "write", "admin"]]
    rate_limit: RateLimit | None
    created_at: Moment


class KeyWithSecret(ApiKey):
    """A new API key, shown this once (``null`` where the answer is given again)."""

    key: str | None


class Actor(Shape):
    """The API key that acted, named as it was then."""

    key_id: str
    name: str


class AuditEntry(Shape):
    """Who changed what through the API."""

    id: str
    at: Moment
    actor: Actor
    action: str = Field(examples=["create", "update", "delete", "rotate-secret"])
    resource: str = Field(examples=["connections"])
    resource_id: str | None


class CatalogMetric(Shape):
    """A metric of the vocabulary, its canonical unit (UCUM) and its possible range."""

    name: str
    unit: str
    kind: Literal["gauge", "counter", "delta", "boolean"]
    minimum: float | None
    maximum: float | None


class ConfigField(Shape):
    """A member of a destination's config, or of a vendor's credentials."""

    name: str
    description: str
    required: bool
    sensitive: bool


class CatalogCommand(Shape):
    """A command that a vendor takes; the name ``*`` stands for those that the device's model names."""

    name: str
    description: str


class CatalogVendor(Shape):
    """A vendor: the credentials by which the hub is let in, and the commands that it takes."""

    name: str
    adapter_version: int
    credentials: list[ConfigField]
    commands: list[CatalogCommand]


class CatalogDestination(Shape):
    """A kind of destination."""

    kind: str
    title: str
    fields: list[ConfigField]
    available: bool
    ordered: bool
    max_records: int | None
    templates: dict[str, str]


class CatalogEventType(Shape):
    """A CloudEvents type."""

    type: str
    description: str


class CatalogProblem(Shape):
    """A kind of problem: the status that it comes with, and what to do about it."""

    type: str = Field(examples=["/problems/repeated-parameter"])
    status: int = Field(examples=[400])
    title: str = Field(examples=["Repeated parameter"])
    remedy: str


class Health(Shape):
    """Whether the API answers."""

    status: Literal["ok"]
    version: str


class Document(BaseModel):
    """An OpenAPI document."""

    openapi: str
