"""Cells of a device's series, summed up from the points themselves."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from chalicelib.model.state import Device
from chalicelib.model.summaries import Cell, cells_of
from chalicelib.store import series
from chalicelib.store.table import Table


def cells(
    table: Table, tenant: str, device: Device, metrics: Collection[str], *, start: int, end: int
) -> Iterator[Cell]:
    """Yield the cells of some metrics from ``start`` until before ``end`` (ms) that hold points."""
    found = series.readings(table, tenant, device, metrics, start=start, end=end)
    return cells_of(reading.point for reading in found)
