"""Tenants and API keys."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chalicelib.api.access import PREFIX, memory_of
from chalicelib.api.calls import Call
from chalicelib.api.problems import not_found
from chalicelib.model.times import to_rfc3339
from chalicelib.security import hashed, new_secret
from chalicelib.store import access
from chalicelib.store.access import SCOPES, ApiKey, Tenant
from chalicelib.store.table import ConflictError


def create_tenant(call: Call) -> Any:
    """Create a tenant with its first key, which has all scopes and is shown this once."""
    now = call.hub.now()
    tenant = Tenant(call.created_id, call.body.name, now)
    secret = new_secret(PREFIX)
    access.create_tenant(call.table, tenant)
    # Named after the tenant: a call that is repeated after it died makes no second first key.
    name = tenant.id.partition("_")[2]
    key = ApiKey(f"key_{name}", tenant.id, "first key", SCOPES, now, hashed(secret))
    _save(call, key)
    return {"id": tenant.id, "api_key": secret}


def create(call: Call) -> Any:
    """Create an API key, which is shown this once."""
    given = call.given()
    secret = new_secret(PREFIX)
    key = ApiKey(
        id=call.created_id,
        tenant=call.tenant,
        name=given["name"],
        scopes=tuple(given["scopes"]),
        created_at=call.hub.now(),
        hashed=hashed(secret),
        rate_limit=given.get("rate_limit"),
    )
    _save(call, key)
    return {**_json(key), "key": secret}


def list_keys(call: Call) -> Any:
    """List API keys without their secrets, newest first."""
    page = access.api_keys(call.table, call.tenant, limit=call.limit, after=call.after)
    return call.page([_json(access.key_of(item)) for item in page.items], page.after)


def delete(call: Call) -> None:
    """Revoke an API key and what it superseded."""
    access.revoke(call.table, _existing(call))
    memory_of(call.hub).forget()


def rotate(call: Call) -> Any:
    """Replace an API key; the former works on during the overlap."""
    secret, now = new_secret(PREFIX), call.hub.now()
    until = now + call.body.overlap_seconds * 1000
    while True:
        old = _existing(call)
        key = replace(old, hashed=hashed(secret), version=0)
        try:
            access.supersede(call.table, old, key, until)
        except ConflictError:
            continue
        memory_of(call.hub).forget()
        return {**_json(key), "key": secret}


def _save(call: Call, key: ApiKey) -> None:
    """Write a new key; one that a call made which died before its answer gives way: nobody knows it."""
    try:
        access.save(call.table, key)
    except ConflictError:
        access.revoke(call.table, key)
        access.save(call.table, key)


def _existing(call: Call) -> ApiKey:
    key = access.named(call.table, call.tenant, call.path["key_id"])
    if key is None:
        raise not_found("API key")
    return key


def _json(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": list(key.scopes),
        "rate_limit": dict(key.rate_limit) if key.rate_limit else None,
        "created_at": to_rfc3339(key.created_at),
    }
