"""The table at the end of the start: what came out of what went in, asked of the public API."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from infra.local.keys import Api, ApiError

_LOG = logging.getLogger(__name__)
_MOST_PAGES = 50
_EVER = {"from": "2000-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}
_COLUMNS = ("vendor", "http", "mqtt", "devices", "measurements", "events", "alerts", "delivered")


def table(
    api: Api, sent: Mapping[str, Mapping[str, int]], delivered: Mapping[str, int]
) -> list[str]:
    """Return the lines of the table."""
    rows: list[tuple[Any, ...]] = [_COLUMNS]
    for vendor, doors in sent.items():
        devices = _all(_rows(api, "/v1/devices", vendor=vendor))
        found = (
            devices,
            _all(_measurements(api, devices or [])),
            _all(_rows(api, "/v1/events", vendor=vendor, **_EVER)),
            _all(_rows(api, "/v1/alerts", vendor=vendor)),
        )
        numbers = ("?" if each is None else len(each) for each in found)
        rows.append((vendor, doors["http"], doors["mqtt"], *numbers, delivered.get(vendor, 0)))
    widths = [max(len(str(row[at])) for row in rows) for at in range(len(_COLUMNS))]
    return [
        "  ".join(
            str(cell).ljust(width) if at == 0 else str(cell).rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def _all(rows: Iterable[Any]) -> list[Any] | None:
    """Read all rows.  None, and a line in the log, where the API did not answer as it should."""
    try:
        return list(rows)
    except (ApiError, KeyError):
        _LOG.exception("a number of the table is not known")
        return None


def _measurements(api: Api, devices: Iterable[Mapping[str, Any]]) -> Iterable[Any]:
    for device in devices:
        if device.get("metrics"):
            path = f"/v1/devices/{quote(device['id'], safe='')}/measurements"
            yield from _rows(api, path, metric=list(device["metrics"]), **_EVER)


def _rows(api: Api, path: str, **query: Any) -> Iterable[Any]:
    cursor = None
    for _ in range(_MOST_PAGES):
        page = api.get(path, limit=500, **query, **({"cursor": cursor} if cursor else {}))
        yield from page["data"]
        cursor = page["next_cursor"]
        if not cursor:
            return
