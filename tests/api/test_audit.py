"""The audit log: every write through the API, by whom, and nothing that was refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.api import Request, Response
from chalicelib.api.access import Caller
from chalicelib.api.auditing import audited
from chalicelib.api.calls import Call
from chalicelib.api.table import ROUTES
from tests.support.fake_aws import FakeAws, Faults, error

HOOK = {"name": "x", "kind": "webhook", "config": {"url": "https://MARK.example/x"}}
DAY = 86_400_000


def acts(tenant: Any) -> list[tuple[str, str, str]]:
    """Return all acts, oldest first."""
    rows = reversed(tenant.all("/v1/audit", limit=2))
    return [(row["action"], row["resource"], row["resource_id"]) for row in rows]


def test_a_tenants_log_begins_with_its_creation(tenant: Any) -> None:
    (row,) = tenant.get("/v1/audit")["data"]

    assert row["id"].startswith("aud_")
    assert row["actor"] == {"key_id": "root", "name": "root key"}
    assert (row["action"], row["resource"], row["resource_id"]) == ("create", "tenants", tenant.id)


def test_an_entry_names_who_and_when(tenant: Any) -> None:
    tenant.clock.forward(1)
    caller = tenant.key_of("admin", name="Ann")
    tenant.clock.forward(60_000)
    made = caller.post("/v1/connections", {"vendor": "relayr", "name": "x"})["id"]

    row = tenant.get("/v1/audit")["data"][0]

    key = tenant.get("/v1/api-keys")["data"][0]
    assert row["actor"] == {"key_id": key["id"], "name": "Ann"}
    assert row["at"] == tenant.get(f"/v1/connections/{made}")["created_at"]
    assert row["resource_id"] == made


def test_every_kind_of_write_is_logged_under_its_own_name(tenant: Any) -> None:
    tenant.alerted("d", "leak", tenant.clock.now)
    alert = tenant.get("/v1/alerts")["data"][0]["id"]
    tenant.patch("/v1/devices/relayr:d", {"name": "x"})
    tenant.clock.forward(1)
    tenant.post(f"/v1/alerts/{alert}/acknowledge")
    tenant.clock.forward(1)
    tenant.post(f"/v1/alerts/{alert}/clear")
    tenant.clock.forward(1)
    hook = tenant.post("/v1/integrations", HOOK)["id"]
    for call in ("test", "redrive", "rotate-secret", "enable"):
        tenant.clock.forward(1)
        tenant.post(f"/v1/integrations/{hook}/{call}")
    tenant.clock.forward(1)
    tenant.delete(f"/v1/integrations/{hook}")

    assert acts(tenant)[2:] == [
        ("update", "devices", "relayr:d"),
        ("acknowledge", "alerts", alert),
        ("clear", "alerts", alert),
        ("create", "integrations", hook),
        ("test", "integrations", hook),
        ("redrive", "integrations", hook),
        ("rotate-secret", "integrations", hook),
        ("enable", "integrations", hook),
        ("delete", "integrations", hook),
    ]


def test_reads_and_refusals_are_not_logged(tenant: Any) -> None:
    tenant.get("/v1/devices")
    tenant.send("HEAD", "/v1/devices")
    for method, path, body in (
        ("DELETE", "/v1/connections/none", None),
        ("PATCH", "/v1/devices/none", {"name": "x"}),
        ("POST", "/v1/integrations", {**HOOK, "kind": "none"}),
        ("POST", "/v1/api-keys", {"name": "x"}),
        ("POST", "/v1/tenants", {"name": "x"}),
    ):
        assert tenant.send(method, path, body).status >= 400

    assert len(acts(tenant)) == 1


def test_an_answer_given_again_is_no_second_act(tenant: Any) -> None:
    for _ in range(3):
        tenant.send("POST", "/v1/integrations", HOOK, headers={"idempotency-key": "k"})

    assert len(acts(tenant)) == 2


def test_no_body_and_no_secret_is_in_it(tenant: Any) -> None:
    made = tenant.post("/v1/integrations", HOOK)

    said = tenant.send("GET", "/v1/audit").text

    assert "MARK" not in said
    assert made["secret"] not in said


def test_it_is_for_admins_and_for_the_tenant(tenant: Any, new_tenant: Callable[[], Any]) -> None:
    other = new_tenant()
    tenant.connection()

    assert tenant.key_of("read", "write").refused("GET", "/v1/audit")["status"] == 403
    assert [row["resource_id"] for row in other.get("/v1/audit")["data"]] == [other.id]


def test_it_is_listed_by_time(tenant: Any) -> None:
    begin = tenant.clock.now
    for _ in range(3):
        tenant.clock.forward(40 * DAY)
        tenant.post("/v1/api-keys", {"name": "x", "scopes": ["read"]})
    rows = tenant.all("/v1/audit", limit=1)

    assert [row["at"] for row in rows] == sorted((row["at"] for row in rows), reverse=True)
    assert tenant.get("/v1/audit", from_=rows[1]["at"], to=rows[0]["at"])["data"] == [rows[1]]
    assert begin < tenant.clock.now


def test_what_dies_half_way_is_in_the_log(tenant: Any, aws: FakeAws) -> None:
    class Late(Faults):
        def after(self, operation: str) -> None:
            if operation == "DeleteItem":
                raise error("InternalServerError", operation)

    hook = tenant.post("/v1/integrations", HOOK)["id"]
    tenant.clock.forward(1)
    aws.dynamodb.faults = Late()
    assert tenant.send("DELETE", f"/v1/integrations/{hook}").status == 500
    aws.dynamodb.faults = Faults()

    assert tenant.refused("GET", f"/v1/integrations/{hook}")["status"] == 404
    assert acts(tenant)[-1] == ("delete", "integrations", hook)


def test_nothing_is_done_that_cannot_be_logged(tenant: Any, aws: FakeAws) -> None:
    class Full(Faults):
        def before(self, operation: str) -> None:
            if operation == "PutItem":
                raise error("ThrottlingException", operation)

    hook = tenant.post("/v1/integrations", HOOK)["id"]
    aws.dynamodb.faults = Full()
    assert tenant.send("DELETE", f"/v1/integrations/{hook}").status == 500
    aws.dynamodb.faults = Faults()

    assert tenant.get(f"/v1/integrations/{hook}")["enabled"]


@pytest.mark.parametrize(
    "route", [r for r in ROUTES if r.creates], ids=lambda route: str(route.template)
)
def test_a_route_that_creates_answers_an_id(route: Any) -> None:
    assert "id" in route.shape().model_fields


def test_what_a_route_does_not_say_it_creates_is_named_after_it_was(tenant: Any) -> None:
    rows = [r for r in ROUTES if r.handler == "keys.create"]
    route = replace(rows[0], creates=None)
    call = Call(tenant.hub, route, Request("POST", ""), Caller(tenant.id, "k", "n"), {}, {}, None)
    tenant.clock.forward(1)

    audited(call, lambda _: Response(201, {"id": "made"}))

    assert acts(tenant)[-1] == ("create", "api-keys", "made")
