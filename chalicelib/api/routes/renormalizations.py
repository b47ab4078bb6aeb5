"""Renormalizations: an operator has a connection's history read by today's adapter and settings."""

from __future__ import annotations

from typing import Any

from chalicelib import renormalization
from chalicelib.api import parameters
from chalicelib.api.calls import Call
from chalicelib.api.problems import ProblemError, not_found
from chalicelib.api.routes.connections import existing
from chalicelib.model.times import from_rfc3339
from chalicelib.store import renormalizations
from chalicelib.store.renormalizations import Renormalization


def begin(call: Call) -> Any:
    """Begin to put archived payloads through again, or to say what that would change."""
    connection = existing(call)
    span = {end: from_rfc3339(call.given()[end]) or 0 for end in ("from", "to")}
    parameters.check_range(span)
    order = renormalizations.begin(
        call.table,
        Renormalization(
            tenant=call.tenant,
            connection_id=connection.id,
            number=0,
            start=span["from"],
            end=span["to"],
            dry_run=call.body.dry_run,
            requested_at=call.hub.now(),
        ),
    )
    if order is None:
        raise ProblemError("conflict", "Another renormalization of this connection is under way.")
    renormalization.enqueue(call.hub, order)
    return {"id": order.id}


def list_renormalizations(call: Call) -> Any:
    """List a connection's renormalizations, newest first."""
    connection = existing(call)
    page = renormalizations.orders(
        call.table, call.tenant, connection.id, limit=call.limit, after=call.after
    )
    found = map(renormalizations.renormalization_of, page.items)
    return call.page([order.as_json() for order in found], page.after)


def read(call: Call) -> Any:
    """Read how far a renormalization is and what it has changed."""
    connection = existing(call)
    identity = call.path["renormalization_id"]
    order = renormalizations.find_by_id(call.table, call.tenant, connection.id, identity)
    if order is None:
        raise not_found("renormalization")
    return order.as_json()
