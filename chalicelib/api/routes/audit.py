"""The audit log."""

from __future__ import annotations

from typing import Any

from chalicelib.api.calls import Call
from chalicelib.store import audit


def list_entries(call: Call) -> Any:
    """List who changed what, newest first."""
    if call.nothing:
        return call.page([], None)
    page = audit.entries(
        call.table,
        call.tenant,
        start=call.query["from"],
        end=call.query["to"],
        limit=call.limit,
        after=call.after,
    )
    return call.page([audit.as_json(item) for item in page.items], page.after)
