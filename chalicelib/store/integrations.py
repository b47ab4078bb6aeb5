"""Integrations: a tenant's downstream subscribers, each a destination, its config and its filter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chalicelib.store import keys
from chalicelib.store.table import VERSION, Key, Plain, Table, pack, unpack


@dataclass(frozen=True, slots=True)
class Integration:
    """One subscriber.  ``secrets`` are (signing secret, moment in ms at which it ends or ``None``)."""

    id: str
    tenant: str
    name: str
    kind: str
    created_at: int
    config: Mapping[str, Any] = field(default_factory=dict)
    filter: Mapping[str, Any] = field(default_factory=dict)
    batch: Mapping[str, Any] | None = None
    ordering: str = "none"
    concurrency: int = 8
    """Attempts at a time."""
    rate_limit: Mapping[str, Any] | None = None
    """``{"requests", "seconds"}``: so many attempts within any so many seconds."""
    transform: Mapping[str, Any] | None = None
    """``{"jmespath"}`` or ``{"template", "subject", "timezone"}``: what is sent instead of the event."""
    shadow: bool = False
    """Rendered and logged, but never sent."""
    enabled: bool = True
    disabled: Mapping[str, Any] | None = None
    """Why the hub disabled it: ``{"at", "reason"}``."""
    secrets: tuple[tuple[str, int | None], ...] = ()
    version: int = 0


def find(table: Table, tenant: str, identity: str) -> Integration | None:
    """Return an integration as it is now, or ``None``."""
    item = table.get(key(tenant, identity))
    return integration_of(item) if item else None


def save(table: Table, integration: Integration) -> None:
    """Write an integration.  Raises ``ConflictError`` if it changed since it was read."""
    body = {
        "name": integration.name,
        "kind": integration.kind,
        "created_at": integration.created_at,
        "config": dict(integration.config),
        "filter": dict(integration.filter),
        "batch": dict(integration.batch) if integration.batch is not None else None,
        "ordering": integration.ordering,
        "concurrency": integration.concurrency,
        "rate_limit": dict(integration.rate_limit) if integration.rate_limit else None,
        "transform": dict(integration.transform) if integration.transform else None,
        "shadow": integration.shadow,
        "enabled": integration.enabled,
        "disabled": dict(integration.disabled) if integration.disabled else None,
        "secrets": [list(s) for s in integration.secrets],
    }
    read = {VERSION: integration.version} if integration.version else None
    table.replace(key(integration.tenant, integration.id), {"d": pack(body)}, read)


def remove(table: Table, tenant: str, identity: str) -> None:
    """Delete an integration: nothing is sent to it any more."""
    table.delete(key(tenant, identity))


def integrations(table: Table, tenant: str) -> list[Integration]:
    """Return all integrations of a tenant (a tenant has tens, not thousands), newest first."""
    found = [
        integration_of(item) for item in table.walk(keys.integrations_pk(tenant), consistent=True)
    ]
    return sorted(found, key=lambda each: (each.created_at, each.id), reverse=True)


def integration_of(item: Mapping[str, Any]) -> Integration:
    """Return the integration that a stored item holds."""
    body: Plain = unpack(item["d"])
    body["secrets"] = tuple((secret, until) for secret, until in body["secrets"])
    tenant = item["pk"].split("#")[1]
    return Integration(id=item["sk"], tenant=tenant, version=int(item[VERSION]), **body)


def key(tenant: str, identity: str) -> Key:
    """Where an integration is."""
    return Key(keys.integrations_pk(tenant), identity)
