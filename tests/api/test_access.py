"""Keys, scopes, tenants: who may do what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.api.table import ROUTES

KEYED = [route for route in ROUTES if route.scope]


def path_of(template: str) -> str:
    return template.replace("{", "").replace("}", "")


@pytest.mark.parametrize("route", KEYED, ids=lambda route: f"{route.method} {route.template}")
def test_without_a_key_every_route_is_401(nobody: Any, route: Any) -> None:
    response = nobody.send(route.method, path_of(route.template))

    assert response.status == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("route", KEYED, ids=lambda route: f"{route.method} {route.template}")
def test_without_the_scope_every_route_is_403(tenant: Any, route: Any) -> None:
    others = [scope for scope in ("read", "write", "admin") if scope != route.scope]
    caller = tenant.key_of(*others)

    assert caller.send(route.method, path_of(route.template)).status == 403


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic abc", "abc", "Bearer wrong", "Bearer ü\ud800"]
)
def test_a_wrong_key_is_401(nobody: Any, header: str) -> None:
    response = nobody.send("GET", "/v1/devices", headers={"authorization": header})

    assert response.status == 401


def test_the_scheme_may_be_written_in_any_case(tenant: Any) -> None:
    headers = {"authorization": f"bearer {tenant.key}"}

    assert tenant.send("GET", "/v1/devices", headers=headers).status == 200


@pytest.mark.parametrize("path", ["/v1/health", "/v1/openapi.json"])
def test_health_and_document_need_no_key(nobody: Any, path: str) -> None:
    assert nobody.get(path)


def test_the_root_key_only_creates_tenants(root: Any) -> None:
    assert root.refused("GET", "/v1/devices")["status"] == 403


def test_only_the_root_key_creates_tenants(tenant: Any) -> None:
    assert tenant.refused("POST", "/v1/tenants", {"name": "x"})["status"] == 403


def test_a_new_tenants_key_has_all_scopes(tenant: Any) -> None:
    (key,) = tenant.get("/v1/api-keys")["data"]

    assert key["scopes"] == ["read", "write", "admin"]


def test_keys_are_listed_without_their_secrets(tenant: Any) -> None:
    tenant.clock.forward(1)
    made = tenant.post("/v1/api-keys", {"name": "second", "scopes": ["read"]})

    listed = tenant.send("GET", "/v1/api-keys")

    assert made["key"] not in listed.text
    assert [row["name"] for row in listed.value["data"]] == ["second", "first key"]


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x"},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["root"]},
        {"name": "x", "scopes": ["read", "read"]},
        {"name": "x", "scopes": ["read"], "rate_limit": {"requests": 0, "seconds": 1}},
    ],
)
def test_a_senseless_key_is_422(tenant: Any, body: Any) -> None:
    assert tenant.refused("POST", "/v1/api-keys", body)["status"] == 422


def test_a_revoked_key_stops_within_three_seconds_elsewhere(tenant: Any) -> None:
    made = tenant.post("/v1/api-keys", {"name": "x", "scopes": ["read"]})
    elsewhere = tenant.elsewhere()
    elsewhere.key = made["key"]
    elsewhere.get("/v1/devices")
    tenant.delete(f"/v1/api-keys/{made['id']}")

    assert elsewhere.send("GET", "/v1/devices").status == 200
    tenant.clock.forward(3000)
    assert elsewhere.refused("GET", "/v1/devices")["status"] == 401


def test_a_revoked_key_stops_at_once_here(tenant: Any) -> None:
    made = tenant.post("/v1/api-keys", {"name": "x", "scopes": ["read"]})
    tenant.delete(f"/v1/api-keys/{made['id']}")

    headers = {"authorization": f"Bearer {made['key']}"}
    assert tenant.send("GET", "/v1/devices", headers=headers).status == 401
    assert tenant.refused("DELETE", f"/v1/api-keys/{made['id']}")["status"] == 404


@pytest.mark.parametrize(("overlap", "after"), [(0, 401), (60, 200)])
def test_a_rotated_key_works_during_the_overlap(tenant: Any, overlap: int, after: int) -> None:
    made = tenant.post("/v1/api-keys", {"name": "x", "scopes": ["read"]})
    old = {"authorization": f"Bearer {made['key']}"}

    path = f"/v1/api-keys/{made['id']}/rotate"
    new = tenant.post(path, {"overlap_seconds": overlap})

    assert new["id"] == made["id"]
    assert tenant.send("GET", "/v1/devices", headers=old).status == after
    tenant.clock.forward(60_000)
    assert tenant.send("GET", "/v1/devices", headers=old).status == 401
    new_header = {"authorization": f"Bearer {new['key']}"}
    assert tenant.send("GET", "/v1/devices", headers=new_header).status == 200


def test_a_rotated_key_is_listed_once_and_revoked_whole(tenant: Any) -> None:
    made = tenant.post("/v1/api-keys", {"name": "x", "scopes": ["read"]})
    new = tenant.post(f"/v1/api-keys/{made['id']}/rotate", {"overlap_seconds": 600})
    assert len(tenant.get("/v1/api-keys")["data"]) == 2

    tenant.delete(f"/v1/api-keys/{made['id']}")

    for key in (made["key"], new["key"]):
        headers = {"authorization": f"Bearer {key}"}
        assert tenant.send("GET", "/v1/devices", headers=headers).status == 401


def test_the_same_device_id_in_two_tenants_is_two_devices(
    tenant: Any, new_tenant: Callable[[], Any]
) -> None:
    other = new_tenant()
    tenant.measured("d", tenant.clock.now, 1)
    other.measured("d", other.clock.now, 2)

    tenant.patch("/v1/devices/relayr:d", {"name": "mine"})

    assert other.get("/v1/devices/relayr:d")["name"] is None
    assert other.get("/v1/devices/relayr:d/state")["data"][0]["value"] == 2
