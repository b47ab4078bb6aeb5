"""The audit log: who changed what through the API, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.model.times import DAY, to_rfc3339
from chalicelib.store.listing import Page, indexed, newest_first
from chalicelib.store.table import Key, Plain, Table, pack, unpack

RETENTION = 400 * DAY


@dataclass(frozen=True, slots=True)
class Entry:
    """One act of one key.  ``at`` in milliseconds."""

    id: str
    at: int
    key_id: str
    name: str
    action: str
    resource: str
    resource_id: str | None


def write(table: Table, tenant: str, entry: Entry) -> None:
    """Write an entry."""
    body = [entry.key_id, entry.name, entry.action, entry.resource, entry.resource_id]
    item: Plain = {"at": entry.at, "d": pack(body)}
    item |= indexed(table, tenant, "AUDIT", entry.at, entry.id)
    if not table.hub.config.keep_all:
        item["expires_at"] = (entry.at + RETENTION) // 1000
    table.put(_key(tenant, entry.id), item)


def withdraw(table: Table, tenant: str, entry: Entry) -> None:
    """Remove the entry of an act that was refused."""
    table.delete(_key(tenant, entry.id))


def entries(
    table: Table,
    tenant: str,
    *,
    start: int | None,
    end: int | None,
    limit: int,
    after: Plain | None,
) -> Page:
    """Return a page of a tenant's log, newest first."""
    return newest_first(
        table,
        tenant,
        "AUDIT",
        start=start,
        end=end,
        limit=limit,
        after=after,
        keep=lambda _: True,
    )


def as_json(item: Mapping[str, Any]) -> Plain:
    """Return an entry as the API shows it."""
    key_id, name, action, resource, resource_id = unpack(item["d"])
    return {
        "id": item["sk"],
        "at": to_rfc3339(item["at"]),
        "actor": {"key_id": key_id, "name": name},
        "action": action,
        "resource": resource,
        "resource_id": resource_id,
    }


def _key(tenant: str, identity: str) -> Key:
    return Key(f"T#{tenant}#W", identity)
