"""Connections: vendor accounts, their doors and their secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from chalicelib import vendors
from chalicelib.api import targets
from chalicelib.api.calls import Call
from chalicelib.api.problems import (
    FieldError,
    ProblemError,
    invalid,
    invalid_fields,
    not_found,
)
from chalicelib.api.validation import pointer
from chalicelib.model.clients import Client
from chalicelib.model.fields import Field, declared, masked, restored
from chalicelib.model.metrics import METRICS
from chalicelib.model.times import to_rfc3339
from chalicelib.security import hashed, new_secret
from chalicelib.store import connections, syncs
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
    connection = _entrusted(call, connection, given)
    try:
        connections.save(call.table, connection)
    except ConflictError:  # made by a call that died before its answer: nobody knows the secret
        found = _existing(call, connection.id)
        connection = replace(found, secrets=connection.secrets)
        connections.save(call.table, connection)
    _plan(call, connection, given)
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
    """Change a connection's name, settings or credentials."""
    given = call.given()
    _check(call, existing(call).vendor, given)
    plain = {name: value for name, value in given.items() if name != "credentials"}

    def changed(connection: Connection) -> Connection:
        return _entrusted(call, replace(connection, **plain), given)

    connection = _changed(call, changed)
    _plan(call, connection, given)
    return _json(call, connection)


def delete(call: Call) -> None:
    """Delete a connection: its door answers 404 from now on."""
    now = call.hub.now()
    _changed(call, lambda connection: replace(connection, deleted_at=now, sealed=None))


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


def _entrusted(call: Call, connection: Connection, given: Mapping[str, Any]) -> Connection:
    """Return a connection with the credentials that were sent, if any were."""
    if "credentials" not in given:
        return connection
    fields = _fields(connection.vendor)
    stored = connections.credentials(call.table, connection)
    credentials = restored(given["credentials"], stored, masked(fields, stored))
    if credentials:
        _check_credentials(call, fields, credentials)
    return connections.entrusted(call.table, connection, credentials)


def _plan(call: Call, connection: Connection, given: Mapping[str, Any]) -> None:
    """Have a connection synced soon and regularly that has been given credentials."""
    client = vendors.client(connection.vendor)
    if given.get("credentials") and client is not None and client.sync is not None:
        syncs.plan(call.table, call.tenant, connection.id, call.hub.now())


def _check_credentials(call: Call, fields: Sequence[Field], given: Mapping[str, Any]) -> None:
    found = [
        FieldError(f"/credentials{where}", detail) for where, detail in declared(fields, given)
    ]
    for name, url in given.items():
        if name.endswith("_url") and (detail := targets.problem(call.hub, url)) is not None:
            found.append(FieldError(f"/credentials/{name}", detail))
    if found:
        raise invalid_fields(found)


def _fields(vendor: str) -> Sequence[Field]:
    client = vendors.client(vendor)
    return client.credentials if client is not None else ()


def check_account(client: Client | None, connection: Connection) -> None:
    """Refuse what would ask a vendor that does not let the hub in."""
    if connection.sealed is None:
        detail = "The connection has no credentials: PATCH it, see GET /v1/catalog/vendors."
        raise ProblemError("conflict", detail)
    if not (connection.settings.get("base_url") or (client and client.base_url)):
        raise ProblemError("conflict", "The connection has no settings.base_url: PATCH it.")


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
    credentials = connections.credentials(call.table, connection)
    return {
        "id": connection.id,
        "vendor": connection.vendor,
        "name": connection.name,
        "settings": dict(connection.settings),
        "credentials": masked(_fields(connection.vendor), credentials),
        "webhook_url": f"{call.request.base_url}/webhooks/{connection.id}",
        "mqtt_topic_prefix": f"hub/{connection.id}/",
        "created_at": to_rfc3339(connection.created_at),
    }
