"""Events and media: listed by device or by tenant, newest first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from chalicelib.model import views
from chalicelib.model.assembly import EventRecord
from chalicelib.model.times import to_rfc3339
from chalicelib.store import keys, said
from chalicelib.store.listing import Page, newest_first, within
from chalicelib.store.table import Plain, Table


def events(
    table: Table,
    tenant: str,
    *,
    device: str | None,
    start: int | None,
    end: int | None,
    limit: int,
    after: Plain | None,
    keep: Callable[[EventRecord], bool],
) -> Page:
    """Return a page of the events of a device, or of all devices of a tenant."""

    def kept(item: Plain) -> bool:
        return keep(said.event_of(item))

    if device is None:
        return newest_first(
            table, tenant, "EVENT", start=start, end=end, limit=limit, after=after, keep=kept
        )
    low, high = _bounds(keys.EVENT, start, end)
    pk = keys.device_pk(tenant, device)
    return within(table, pk, low, high, limit=limit, after=after, descending=True, keep=kept)


def media(
    table: Table,
    tenant: str,
    *,
    device: str,
    start: int | None,
    end: int | None,
    limit: int,
    after: Plain | None,
) -> Page:
    """Return a page of a device's media."""
    low, high = _bounds(keys.MEDIA, start, end)
    pk = keys.device_pk(tenant, device)
    return within(table, pk, low, high, limit=limit, after=after, descending=True)


def event_as_json(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored event as the API and deliveries show it."""
    event = views.event_json(said.event_of(item))
    return {**event, "provenance": said.provenance_of(item).as_json()}


def media_as_json(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored media reference as the API and deliveries show it."""
    media = views.media_json(said.media_of(item))
    return {**media, "provenance": said.provenance_of(item).as_json()}


def _bounds(prefix: str, start: int | None, end: int | None) -> tuple[str, str]:
    low = to_rfc3339(start) if start is not None else ""
    high = to_rfc3339(end) if end is not None else "~"
    return prefix + low, prefix + high
