"""Connections: vendor accounts, their doors and their secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from chalicelib.api import targets
from chalicelib.api.calls import Call
from chalicelib.api.problems import invalid, not_found
from chalicelib.api.validation import pointer
from chalicelib.model.metrics import METRICS
from chalicelib.model.times import to_rfc3339
from chalicelib.security import hashed, new_secret
from chalicelib.store import connections
from chalicelib.store.connections import Connection
from chalicelib.store.table import ConflictError


def create(call: Call) -> Any:
    """Create a connection; its secret is shown this once."""
    given = call.given()
    if given["vendor"] not in call.vendors:
        raise invalid("/vendor", f"unknown vendor; known: {', '.join(call.vendors)}")
    _check(call, given["vendor"], given)
    secret = new_secret()
    connection = Connection(
        id=call.created_id,
        tenant=call.tenant,
        vendor=given["vendor"],
        name=given["name"],
        created_at=call.hub.now(),
        settings=given.get("settings", {}),
        secrets=((hashed(secret), None),),
    )
    try:
        connections.save(call.table, connection)
    except ConflictError:  # made by a call that died before its answer: nobody knows the secret
        found = _existing(call, connection.id)
        connection = replace(found, secrets=connection.secrets)
        connections.save(call.table, connection)
    return {**_json(call, connection), "secret": secret}


def list_connections(call: Call) -> Any:
    """List connections, newest first."""
    page = connections.connections(call.table, call.tenant, limit=call.limit, after=call.after)
    found = [connections.connection_of(item) for item in page.items]
    return call.page([_json(call, each) for each in found], page.after)


def read(call: Call) -> Any:
    """Read one connection."""
    return _json(call, existing(call))


def change(call: Call) -> Any:
    """Change a connection's name or settings."""
    given = call.given()
    _check(call, existing(call).vendor, given)
    return _json(call, _changed(call, lambda connection: replace(connection, **given)))


def delete(call: Call) -> None:
    """Delete a connection: its door answers 404 from now on."""
    now = call.hub.now()
    _changed(call, lambda connection: replace(connection, deleted_at=now))


def rotate(call: Call) -> Any:
    """Replace a connection's secret; the former works on during the overlap."""
    secret, now = new_secret(), call.hub.now()
    until = now + call.body.overlap_seconds * 1000

    def rotated(connection: Connection) -> Connection:
        former = [
            (each, until if ends is None else min(ends, until)) for each, ends in connection.secrets
        ]
        live = tuple((each, ends) for each, ends in former if ends > now)
        return replace(connection, secrets=((hashed(secret), None), *live))

    _changed(call, rotated)
    return {"secret": secret}


def _check(call: Call, vendor: str, given: Mapping[str, Any]) -> None:
    """Refuse a metric that nobody could ask for, and a vendor's address that nothing may be sent to."""
    settings = given.get("settings", {})
    for path, rule in settings.get("metric_map", {}).items():
        metric = rule.get("metric")
        if metric is not None and metric not in METRICS and not metric.startswith(f"{vendor}."):
            unknown = f"neither in GET /v1/catalog/metrics nor {vendor}.<name>"
            raise invalid(pointer("settings", "metric_map", path), unknown)
    url = settings.get("base_url")
    detail = targets.problem(call.hub, url) if url is not None else None
    if detail is not None:
        raise invalid("/settings/base_url", detail)


def existing(call: Call) -> Connection:
    """Return the connection that a request names, or refuse it."""
    return _existing(call, call.path["connection_id"])


def _existing(call: Call, identity: str) -> Connection:
    connection = connections.find(call.table, identity)
    if connection is None or connection.tenant != call.tenant or connection.deleted_at is not None:
        raise not_found("connection")
    return connection


def _changed(call: Call, change: Callable[[Connection], Connection]) -> Connection:
    while True:
        connection = change(existing(call))
        try:
            connections.save(call.table, connection)
        except ConflictError:
            continue  # somebody changed it meanwhile: change what it is now
        return connection


def _json(call: Call, connection: Connection) -> dict[str, Any]:
    return {
        "id": connection.id,
        "vendor": connection.vendor,
        "name": connection.name,
        "settings": dict(connection.settings),
        "webhook_url": f"{call.request.base_url}/webhooks/{connection.id}",
        "mqtt_topic_prefix": f"hub/{connection.id}/",
        "created_at": to_rfc3339(connection.created_at),
    }
