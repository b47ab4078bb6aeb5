"""Tenants and API keys.  A key is stored as its SHA-256 and found by it; it is shown once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.model.times import to_rfc3339
from chalicelib.store import keys
from chalicelib.store.listing import Page, within
from chalicelib.store.table import VERSION, Key, Plain, Table, pack, unpack

SCOPES = ("read", "write", "admin")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Who calls: a named key of one tenant with scopes."""

    id: str
    tenant: str
    name: str
    scopes: tuple[str, ...]
    created_at: int
    hashed: str
    expires_at: int | None = None
    """The moment (ms) from which a rotated key no longer works."""
    rate_limit: Mapping[str, Any] | None = None
    version: int = 0


@dataclass(frozen=True, slots=True)
class Tenant:
    """One customer; everything else belongs to exactly one."""

    id: str
    name: str
    created_at: int


def create_tenant(table: Table, tenant: Tenant) -> None:
    """Write a tenant."""
    body = {"name": tenant.name, "created_at": tenant.created_at}
    table.put(Key(f"T#{tenant.id}", "TENANT"), {"d": pack(body)})


def tenant_exists(table: Table, identity: str) -> bool:
    """Say whether there is such a tenant."""
    return table.get(Key(f"T#{identity}", "TENANT")) is not None


def find(table: Table, hashed: str) -> ApiKey | None:
    """Return the key whose SHA-256 this is, or ``None``."""
    item = table.get(Key(f"K#{hashed}", "KEY"))
    return key_of(item) if item else None


def save(table: Table, key: ApiKey) -> None:
    """Write an API key.  Raises ``ConflictError`` if it changed since it was read."""
    item: Plain = {
        "t": key.tenant,
        "d": pack(
            {
                "id": key.id,
                "name": key.name,
                "scopes": list(key.scopes),
                "created_at": key.created_at,
                "expires_at": key.expires_at,
                "rate_limit": dict(key.rate_limit) if key.rate_limit else None,
            }
        ),
        "g1pk": keys.listing(key.tenant, "KEY"),
        "g1sk": f"{to_rfc3339(key.created_at)}#{key.id}",
    }
    read = {VERSION: key.version} if key.version else None
    table.replace(Key(f"K#{key.hashed}", "KEY"), item, read)


def revoke(table: Table, key: ApiKey) -> None:
    """Delete a key."""
    table.delete(Key(f"K#{key.hashed}", "KEY"))


def api_keys(table: Table, tenant: str, *, limit: int, after: Plain | None) -> Page:
    """Return a page of a tenant's keys, newest first."""
    partition = keys.listing(tenant, "KEY")
    return within(
        table, partition, "", "", limit=limit, after=after, index="by_time", descending=True
    )


def key_of(item: Mapping[str, Any]) -> ApiKey:
    """Return the API key that a stored item holds."""
    body = unpack(item["d"])
    return ApiKey(
        id=body["id"],
        tenant=item["t"],
        name=body["name"],
        scopes=tuple(body["scopes"]),
        created_at=body["created_at"],
        hashed=item["pk"].split("#", 1)[1],
        expires_at=body["expires_at"],
        rate_limit=body["rate_limit"],
        version=int(item[VERSION]),
    )
