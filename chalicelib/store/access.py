"""Tenants and API keys.  A key is stored as its SHA-256 and found by it; it is shown once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from chalicelib.model.times import to_rfc3339
from chalicelib.store import keys
from chalicelib.store.listing import Page, within
from chalicelib.store.table import VERSION, ConflictError, Key, Plain, Table, pack, unpack

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
    item = table.get(_where(hashed))
    return key_of(item) if item else None


def named(table: Table, tenant: str, identity: str) -> ApiKey | None:
    """Return the present key of an id, or ``None``."""
    item = table.get(_pointer(tenant, identity))
    found = (find(table, hashed) for hashed in item["k"].split()) if item else ()
    return next((key for key in found if key is not None), None)


def save(table: Table, key: ApiKey) -> None:
    """Write a new API key."""
    table.replace(_pointer(key.tenant, key.id), {"k": key.hashed}, None)
    table.replace(_where(key.hashed), _item(key), None)


def supersede(table: Table, old: ApiKey, key: ApiKey, until: int) -> None:
    """Write ``key``, the next one with the id of ``old``, which works on until a moment (ms).

    The id names both hashes before the new one works, so that revoking it always finds all.  Raises
    ``ConflictError`` if the id was revoked or superseded since ``old`` was read.
    """
    pointer = _pointer(old.tenant, old.id)
    names = table.get(pointer)
    if names is None or old.hashed not in names["k"].split():
        raise ConflictError(str(pointer))
    others = [hashed for hashed in names["k"].split() if find(table, hashed) is not None]
    table.replace(pointer, {"k": " ".join([key.hashed, *others])}, names)
    table.replace(_where(key.hashed), _item(key), None)
    ending = _item(replace(old, expires_at=until))
    del ending["g1pk"], ending["g1sk"]  # the id is listed once
    read = {VERSION: old.version}
    table.replace(_where(old.hashed), ending | {"expires_at": until // 1000}, read)


def revoke(table: Table, key: ApiKey) -> None:
    """Delete a key and all that it superseded."""
    names = table.get(_pointer(key.tenant, key.id))
    for hashed in {key.hashed, *(names["k"].split() if names else ())}:
        table.delete(_where(hashed))
    table.delete(_pointer(key.tenant, key.id))


def _item(key: ApiKey) -> Plain:
    return {
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


def _where(hashed: str) -> Key:
    return Key(f"K#{hashed}", "KEY")


def _pointer(tenant: str, identity: str) -> Key:
    return Key(f"T#{tenant}#ID#{identity}", "KEY")


def api_keys(table: Table, tenant: str, *, limit: int, after: Plain | None) -> Page:
    """Return a page of a tenant's keys, newest first."""
    # One that was rotated since it ended the page before is another item in the same place.
    shown = after["g1sk"] if after else None
    return within(
        table,
        keys.listing(tenant, "KEY"),
        "",
        "",
        limit=limit,
        after=after,
        index="by_time",
        descending=True,
        keep=lambda item: item["g1sk"] != shown,
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
