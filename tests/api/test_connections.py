"""Connections: doors, settings, secrets."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.security import hashed
from chalicelib.store import connections
from chalicelib.store.table import table_of

BODY = {"vendor": "haltian", "name": "Head office", "settings": {}}


def live_secrets(tenant: Any, identity: str) -> list[str]:
    connection = connections.find(table_of(tenant.hub), identity)
    assert connection is not None
    now = tenant.clock.now
    return [secret for secret, until in connection.secrets if until is None or now < until]


def test_a_new_connection_names_its_doors_and_its_secret_once(tenant: Any) -> None:
    made = tenant.post("/v1/connections", BODY)

    secret = made.pop("secret")
    assert made["webhook_url"] == f"https://hub.example/webhooks/{made['id']}"
    assert made["mqtt_topic_prefix"] == f"hub/{made['id']}/"
    assert live_secrets(tenant, made["id"]) == [hashed(secret)]
    assert tenant.get(f"/v1/connections/{made['id']}") == made
    assert secret not in tenant.send("GET", "/v1/connections").text


def test_connections_are_listed_newest_first(tenant: Any) -> None:
    made = []
    for _ in range(3):
        made.append(tenant.post("/v1/connections", BODY)["id"])
        tenant.clock.forward(1)

    assert [row["id"] for row in tenant.all("/v1/connections", limit=2)] == made[::-1]


def test_name_and_settings_can_be_changed(tenant: Any) -> None:
    path = f"/v1/connections/{tenant.post('/v1/connections', BODY)['id']}"
    settings = {"metric_map": {"a.b": {"metric": "temperature", "unit": "[degF]"}}}

    tenant.patch(path, {"settings": settings})
    tenant.patch(path, {"name": "Annex"})

    row = tenant.get(path)
    assert (row["name"], row["settings"]) == ("Annex", settings)


@pytest.mark.parametrize(
    ("settings", "pointer"),
    [
        ({"metric_map": []}, "/settings/metric_map"),
        ({"metric_map": {"a": "temperature"}}, "/settings/metric_map/a"),
        ({"metric_map": {"a": {"metric": "warmth"}}}, "/settings/metric_map/a"),
        ({"metric_map": {"a": {"urn": "urn:oma:lwm2m:ext:5700"}}}, "/settings/metric_map/a"),
        (
            {"metric_map": {"a": {"urn": "urn:oma:lwm2m:ext:3303", "unit": "hPa"}}},
            "/settings/metric_map/a",
        ),
        ({"metric_map": {"a/b": {"metric": "relayr.x"}}}, "/settings/metric_map/a~1b"),
        ({"metric_map": {"a": {}}}, "/settings/metric_map/a"),
        (
            {"metric_map": {"a": {"metric": "temperature", "unit": "furlong"}}},
            "/settings/metric_map/a",
        ),
        ({"severity_map": {"fire": "awful"}}, "/settings/severity_map/fire"),
        ({"allow_identifiers": "yes"}, "/settings/allow_identifiers"),
        ({"auth_header": "a b"}, "/settings/auth_header"),
        ({"base_url": "ftp://example.com"}, "/settings/base_url"),
        ({"base_url": "https://u:p@example.com"}, "/settings/base_url"),
        ({"base_url": "https://169.254.169.254"}, "/settings/base_url"),
    ],
)
def test_wrong_settings_are_422(tenant: Any, settings: Any, pointer: str) -> None:
    (error,) = tenant.refused("POST", "/v1/connections", {**BODY, "settings": settings})["errors"]

    assert error["pointer"] == pointer


def test_settings_that_vendors_need_are_taken(tenant: Any) -> None:
    settings = {
        "metric_map": {"Temp": {"metric": "temperature", "unit": "°F"}, "p": {"metric": "tvoc"}},
        "severity_map": {"fire": "critical"},
        "allow_identifiers": True,
        "device_id": "d1",
        "auth_header": "X-Auth",
        "auth_username": "me",
        "base_url": "https://api.example.com/v2",
        "device_types": {"any": ["thing"]},
    }

    made = tenant.post("/v1/connections", {**BODY, "settings": settings})

    assert made["settings"] == settings


def test_a_deleted_connection_is_gone(tenant: Any) -> None:
    path = f"/v1/connections/{tenant.post('/v1/connections', BODY)['id']}"
    tenant.delete(path)

    assert tenant.refused("GET", path)["status"] == 404
    assert tenant.refused("DELETE", path)["status"] == 404
    assert tenant.get("/v1/connections")["data"] == []


def test_rotation_replaces_the_secret_at_once(tenant: Any) -> None:
    made = tenant.post("/v1/connections", BODY)

    new = tenant.post(f"/v1/connections/{made['id']}/rotate-secret")["secret"]

    assert live_secrets(tenant, made["id"]) == [hashed(new)]


def test_rotation_lets_the_former_secret_overlap(tenant: Any) -> None:
    made = tenant.post("/v1/connections", BODY)
    path = f"/v1/connections/{made['id']}/rotate-secret"

    new = tenant.post(path, {"overlap_seconds": 60})["secret"]

    assert live_secrets(tenant, made["id"]) == [hashed(new), hashed(made["secret"])]
    tenant.clock.forward(60_000)
    assert live_secrets(tenant, made["id"]) == [hashed(new)]


@pytest.mark.parametrize("overlap", [-1, 604_801, 1.5, "60", None])
def test_a_wrong_overlap_is_422(tenant: Any, overlap: Any) -> None:
    path = f"/v1/connections/{tenant.connection()}/rotate-secret"

    assert tenant.refused("POST", path, {"overlap_seconds": overlap})["status"] == 422
