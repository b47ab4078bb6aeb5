"""Quarantine: what could not be normalised, with its reason, until it is redriven after a fix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from chalicelib.model.digests import digest
from chalicelib.model.receipts import arrival_of
from chalicelib.model.records import Rejected
from chalicelib.model.times import DAY, to_rfc3339
from chalicelib.store.listing import Page, indexed, newest_first
from chalicelib.store.table import Key, Plain, Table, pack, unpack

RETENTION = 30 * DAY


def identity_of(receipt_id: str, path: str) -> str:
    """Return the id of a bad item: the same on every redelivery of its payload."""
    return f"qua_{digest('quarantine', receipt_id, path)}"


def keep(table: Table, tenant: str, connection_id: str, receipt_id: str, bad: Rejected) -> None:
    """Keep a bad item aside.  Doing it again changes nothing."""
    identity = identity_of(receipt_id, bad.path)
    at = arrival_of(receipt_id)
    always: Plain = {"d": pack([receipt_id, connection_id, bad.reason, bad.path])}
    always |= indexed(table, tenant, "QUARANTINE", at, identity)
    once = {} if table.hub.config.keep_all else {"expires_at": (at + RETENTION) // 1000}
    table.remember(_key(tenant, identity), always, once)


def release(table: Table, tenant: str, receipt_id: str, path: str) -> None:
    """Forget a bad item that went through after all."""
    table.delete(_key(tenant, identity_of(receipt_id, path)))


def find(table: Table, tenant: str, identity: str) -> Plain | None:
    """Return a quarantined item as the API shows it, or ``None``."""
    item = table.get(_key(tenant, identity))
    return as_json(item) if item else None


def by_receipt(table: Table, tenant: str, start: int, end: int) -> dict[str, dict[str, str]]:
    """Return what was kept aside of payloads of a stretch of time: the reason by path, by receipt."""
    found: dict[str, dict[str, str]] = {}
    after: Plain | None = None
    while True:
        page = quarantined(
            table, tenant, start=start, end=end, limit=1000, after=after, matches=lambda _: True
        )
        for item in page.items:
            row = as_json(item)
            found.setdefault(row["receipt_id"], {})[row["path"]] = row["reason"]
        after = page.after
        if after is None:
            return found


def quarantined(
    table: Table,
    tenant: str,
    *,
    start: int | None,
    end: int | None,
    limit: int,
    after: Plain | None,
    matches: Callable[[Plain], bool],
) -> Page:
    """Return a page of a tenant's quarantine, newest first."""
    return newest_first(
        table,
        tenant,
        "QUARANTINE",
        start=start,
        end=end,
        limit=limit,
        after=after,
        keep=lambda item: matches(as_json(item)),
    )


def as_json(item: Mapping[str, Any]) -> Plain:
    """Return a quarantined item as the API shows it."""
    receipt_id, connection_id, reason, path = unpack(item["d"])
    return {
        "id": item["sk"],
        "receipt_id": receipt_id,
        "connection_id": connection_id,
        "reason": reason,
        "path": path,
        "at": to_rfc3339(arrival_of(receipt_id)),
    }


def _key(tenant: str, identity: str) -> Key:
    return Key(f"T#{tenant}#Q", identity)
