"""Integrations: a tenant's downstream subscribers, each a destination, its config and its filter.

Config and signing secrets are stored sealed, whole: a URL may hold a token as well as a header may.
Who only matches filters does not open them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from chalicelib.store import keys, sealing
from chalicelib.store.table import VERSION, Key, Plain, Table, pack, unpack


@dataclass(frozen=True, slots=True)
class Integration:
    """One subscriber.

    ``secrets`` are (signing secret, moment in ms at which it ends or ``None``), the newest first.
    """

    id: str
    tenant: str
    name: str
    kind: str
    created_at: int
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
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
    secrets: tuple[tuple[str, int | None], ...] = field(default=(), repr=False)
    sealed: bytes | None = field(default=None, repr=False)
    """Config and secrets as they are stored; once :func:`opened`, ``None``."""
    version: int = 0


def find(table: Table, tenant: str, identity: str) -> Integration | None:
    """Return an integration as it is now, opened, or ``None``."""
    item = table.get(key(tenant, identity))
    return opened(table, integration_of(item)) if item else None


def save(table: Table, integration: Integration) -> None:
    """Write an opened integration.  Raises ``ConflictError`` if it changed since it was read."""
    if integration.sealed is not None:
        raise ValueError("an integration is opened before it is written")
    secret = {
        "config": dict(integration.config),
        "secrets": [list(s) for s in integration.secrets],
    }
    body = {
        "name": integration.name,
        "kind": integration.kind,
        "created_at": integration.created_at,
        "filter": dict(integration.filter),
        "batch": dict(integration.batch) if integration.batch is not None else None,
        "ordering": integration.ordering,
        "concurrency": integration.concurrency,
        "rate_limit": dict(integration.rate_limit) if integration.rate_limit else None,
        "transform": dict(integration.transform) if integration.transform else None,
        "shadow": integration.shadow,
        "enabled": integration.enabled,
        "disabled": dict(integration.disabled) if integration.disabled else None,
    }
    item = {"d": pack(body), "z": sealing.seal(table, _owner(integration), secret)}
    read = {VERSION: integration.version} if integration.version else None
    table.replace(key(integration.tenant, integration.id), item, read)


def remove(table: Table, tenant: str, identity: str) -> None:
    """Delete an integration: nothing is sent to it any more."""
    table.delete(key(tenant, identity))


def integrations(table: Table, tenant: str) -> list[Integration]:
    """Return all integrations of a tenant (tens, not thousands), newest first, none of them opened."""
    found = [
        integration_of(item) for item in table.walk(keys.integrations_pk(tenant), consistent=True)
    ]
    return sorted(found, key=lambda each: (each.created_at, each.id), reverse=True)


def integration_of(item: Mapping[str, Any]) -> Integration:
    """Return the integration that a stored item holds, not opened."""
    body: Plain = unpack(item["d"])
    if "z" in item:
        body["sealed"] = item["z"]
    else:  # written before anything was sealed
        body["secrets"] = tuple((secret, until) for secret, until in body["secrets"])
    tenant = item["pk"].split("#")[1]
    return Integration(id=item["sk"], tenant=tenant, version=int(item[VERSION]), **body)


def opened(table: Table, integration: Integration) -> Integration:
    """Return an integration with its config and its signing secrets."""
    if integration.sealed is None:
        return integration
    secret = sealing.unseal(table, _owner(integration), integration.sealed)
    secrets = tuple((each, until) for each, until in secret["secrets"])
    return replace(integration, config=secret["config"], secrets=secrets, sealed=None)


def _owner(integration: Integration) -> tuple[str, str, str]:
    return "integration", integration.tenant, integration.id


def key(tenant: str, identity: str) -> Key:
    """Where an integration is."""
    return Key(keys.integrations_pk(tenant), identity)
