"""Rows: a measurement as a line of a file.  Both formats hold what the API shows of it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

COLUMNS = (
    "id",
    "device_id",
    "metric",
    "value",
    "unit",
    "observed_at",
    "window_start",
    "window_end",
    "quality",
    "attributes",
    "connection_id",
    "receipt_id",
    "adapter_version",
)
"""The columns of CSV.  Their order is a promise: new ones come at the end."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_Row = Mapping[str, Any]
_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def head(form: str) -> bytes:
    """Return how a file begins."""
    return _csv([COLUMNS]) if form == "csv" else b""


def lines(form: str, rows: Iterable[_Row]) -> bytes:
    """Return measurements, as the API shows them, as whole lines of a file."""
    return _WRITERS[form](rows)


def _ndjson(rows: Iterable[_Row]) -> bytes:
    # ASCII: no character of a text may look like the end of a line, whoever reads it.
    return "".join(f"{_json(row)}\n" for row in rows).encode("ascii")


def _table(rows: Iterable[_Row]) -> bytes:
    return _csv(map(_cells, rows))


def _cells(row: _Row) -> list[str]:
    window, source = row["window"] or {}, row["provenance"]
    return [
        row["id"],
        _text(row["device_id"]),
        _text(row["metric"]),
        _json(row["value"]),
        _text(row["unit"] or ""),
        row["observed_at"],
        window.get("start", ""),
        window.get("end", ""),
        row["quality"],
        _json(row["attributes"]),
        source["connection_id"],
        source["receipt_id"],
        str(source["adapter_version"]),
    ]


def _text(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula.  Vendors write device ids, names and units."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _csv(rows: Iterable[Iterable[str]]) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue().encode()


_WRITERS: Mapping[str, Callable[[Iterable[_Row]], bytes]] = {"csv": _table, "ndjson": _ndjson}
