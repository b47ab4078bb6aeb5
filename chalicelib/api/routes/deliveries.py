"""Deliveries that are pending or failed at least once."""

from __future__ import annotations

from typing import Any

from chalicelib import outbox
from chalicelib.api.calls import Call
from chalicelib.api.problems import not_found
from chalicelib.api.routes.integrations import existing
from chalicelib.store import deliveries


def of_integration(call: Call) -> Any:
    """List an integration's deliveries, newest first."""
    integration = existing(call)
    if call.nothing:
        return call.page([], None)
    state = call.query["state"]
    page = deliveries.deliveries(
        call.table,
        call.tenant,
        integration.id,
        start=call.query["from"],
        end=call.query["to"],
        limit=call.limit,
        after=call.after,
        states=frozenset({state}) if state else None,
    )
    rows = [deliveries.delivery_of(item).as_json() for item in page.items]
    return call.page(rows, page.after)


def read(call: Call) -> Any:
    """Read one delivery."""
    row = deliveries.find(call.table, call.tenant, call.path["delivery_id"])
    if row is None:
        raise not_found("delivery")
    return row.as_json()


def retry(call: Call) -> Any:
    """Attempt a delivery again now."""
    identity = call.path["delivery_id"]
    if not outbox.retry(call.hub, call.tenant, identity):
        raise not_found("delivery")
    return {"id": identity}
