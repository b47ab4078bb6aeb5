"""Connections: one configured account at one vendor each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from chalicelib.model.times import to_rfc3339
from chalicelib.store import keys, sealing
from chalicelib.store.listing import Page, within
from chalicelib.store.table import VERSION, Key, Plain, Table, pack, unpack

_LONGEST = 64


@dataclass(frozen=True, slots=True)
class Connection:
    """A vendor account of a tenant.

    ``secrets`` are (SHA-256 of an ingress secret, moment in ms from which it no longer counts or
    ``None``); ``deleted_at`` keeps a deleted one readable for payloads that are still queued.
    """

    id: str
    tenant: str
    vendor: str
    name: str
    created_at: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    secrets: tuple[tuple[str, int | None], ...] = ()
    deleted_at: int | None = None
    sealed: bytes | None = field(default=None, repr=False)
    """What the hub shows the vendor to be let in, as it is stored; see :func:`credentials`."""
    version: int = 0


def find(table: Table, identity: str) -> Connection | None:
    """Return a connection, deleted or not, of any tenant: callers compare the tenant."""
    if not 0 < len(identity) <= _LONGEST:
        return None  # a path of thousands of characters is no key that the table could look up
    item = table.get(_key(identity), consistent=True)
    return connection_of(item) if item else None


@lru_cache(maxsize=8)
def _recent(_table: Table) -> dict[str, tuple[int, Connection]]:
    """Connections read lately, by id, with the moment of the reading."""
    return {}


def recent(table: Table, identity: str, max_age: int = 2000) -> Connection | None:
    """Return a connection as it was at most ``max_age`` ms ago: the doors ask for each payload."""
    known, now = _recent(table), table.hub.now()
    if identity in known and now - known[identity][0] < max_age:
        return known[identity][1]
    if len(known) > 1000:
        known.clear()
    found = find(table, identity)
    if found is not None:
        known[identity] = (now, found)
    return found


def save(table: Table, connection: Connection) -> None:
    """Write a connection.  Raises ``ConflictError`` if it changed since it was read."""
    item: Plain = {
        "t": connection.tenant,
        "d": pack(
            {
                "vendor": connection.vendor,
                "name": connection.name,
                "settings": dict(connection.settings),
                "secrets": [list(s) for s in connection.secrets],
                "deleted_at": connection.deleted_at,
                "created_at": connection.created_at,
            }
        ),
    }
    if connection.sealed is not None:
        item["z"] = connection.sealed
    if connection.deleted_at is None:
        item["g1pk"] = keys.listing(connection.tenant, "CONNECTION")
        item["g1sk"] = f"{to_rfc3339(connection.created_at)}#{connection.id}"
    read = {VERSION: connection.version} if connection.version else None
    table.replace(_key(connection.id), item, read)
    _recent(table).pop(connection.id, None)


def connections(table: Table, tenant: str, *, limit: int, after: Plain | None) -> Page:
    """Return a page of a tenant's connections, newest first."""
    partition = keys.listing(tenant, "CONNECTION")
    return within(
        table, partition, "", "", limit=limit, after=after, index="by_time", descending=True
    )


def connection_of(item: Mapping[str, Any]) -> Connection:
    """Return the connection that a stored item holds."""
    body = unpack(item["d"])
    return Connection(
        id=item["pk"].split("#", 1)[1],
        tenant=item["t"],
        vendor=body["vendor"],
        name=body["name"],
        created_at=body["created_at"],
        settings=body["settings"],
        secrets=tuple((hashed, until) for hashed, until in body["secrets"]),
        deleted_at=body["deleted_at"],
        sealed=item.get("z"),
        version=int(item[VERSION]),
    )


def credentials(table: Table, connection: Connection) -> dict[str, Any]:
    """Return what the hub shows the vendor to be let in; empty where it was told nothing."""
    if connection.sealed is None:
        return {}
    opened: dict[str, Any] = sealing.unseal(table, _owner(connection), connection.sealed)
    return opened


def entrusted(table: Table, connection: Connection, credentials: Mapping[str, Any]) -> Connection:
    """Return the connection with other credentials, or with none."""
    if not credentials:
        return replace(connection, sealed=None)
    sealed = sealing.seal(table, _owner(connection), dict(credentials))
    return replace(connection, sealed=sealed)


def deleted(connection: Connection, now: int) -> Connection:
    """Return the connection as deleted: unlisted, refusing payloads, its queued ones still processed."""
    return replace(connection, deleted_at=now, secrets=(), sealed=None)


def _owner(connection: Connection) -> tuple[str, str, str]:
    return "connection", connection.tenant, connection.id


def _key(identity: str) -> Key:
    return Key(f"C#{identity}", "CONNECTION")
