"""Connections, integrations, keys, the catalogue."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from chalicelib.api.shapes import Moment, Shape


class Accepted(Shape):
    """Work that was accepted, with an id to follow."""

    id: str


class Secret(Shape):
    """A new secret, shown this once."""

    secret: str


class Connection(Shape):
    """A vendor account."""

    id: str
    vendor: str
    name: str
    settings: dict[str, Any]
    webhook_url: str
    mqtt_topic_prefix: str
    created_at: Moment


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
