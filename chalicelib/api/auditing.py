"""Auditing: every call that may change something stands in the tenant's log before it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from chalicelib.api.calls import Call
from chalicelib.api.http import Response
from chalicelib.api.problems import ProblemError


def audited(call: Call, act: Callable[[Call], Response]) -> Response:
    """Act under an entry in the log; the entry of a call that is refused goes again.

    A crash may so leave an entry without an effect, but never an effect without an entry.
    """
    if call.route.method == "GET":
        return act(call)
    from chalicelib.security import new_id  # noqa: PLC0415 - most calls only read
    from chalicelib.store import audit  # noqa: PLC0415

    entry = audit.Entry(
        id=new_id("aud"),
        at=call.hub.now(),
        key_id=call.caller.key_id,
        name=call.caller.name,
        action=call.route.action,
        resource=call.route.resource,
        resource_id=_subject(call),
    )
    tenant = call.tenant or call.created_id  # the root key creates tenants, whose logs begin so
    audit.write(call.table, tenant, entry)
    try:
        response = act(call)
    except ProblemError:
        audit.withdraw(call.table, tenant, entry)
        raise
    if entry.resource_id is None:
        made = response.value.get("id") if isinstance(response.value, dict) else None
        audit.write(call.table, tenant, replace(entry, resource_id=made))
    return response


def _subject(call: Call) -> str | None:
    """Return the id of what is acted on: the path's, else that of what will be created, if it is known."""
    names = call.route.names
    if names:
        return call.path[names[0]]
    return call.created_id if call.route.creates else None
