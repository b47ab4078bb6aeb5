"""Rate limits: what a key may ask, what answers say of it, and what it costs to share it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.fake_aws import FakeAws, Faults, error


class Down(Faults):
    """One operation of AWS always fails."""

    def __init__(self, operation: str) -> None:
        self.operation = operation

    def before(self, operation: str) -> None:
        if operation == self.operation:
            raise error("InternalServerError", operation)


class Operations(Faults):
    """Counts the calls of AWS that write."""

    count = 0

    def before(self, operation: str) -> None:
        self.count += operation == "PutItem"


def statuses(caller: Any, count: int) -> list[int]:
    return [caller.send("GET", "/v1/devices").status for _ in range(count)]


def limited(tenant: Any, requests: int, seconds: int) -> Any:
    limit = {"requests": requests, "seconds": seconds}
    body = {"name": "limited", "scopes": ["read"], "rate_limit": limit}
    made = tenant.post("/v1/api-keys", body)
    assert made["rate_limit"] == limit
    caller = tenant.elsewhere()
    caller.hub, caller.key = tenant.hub, made["key"]
    return caller


def test_by_default_two_hundred_pass_at_once_and_a_hundred_a_second(tenant: Any) -> None:
    caller = tenant.key_of("read")

    assert statuses(caller, 250) == [200] * 200 + [429] * 50
    tenant.clock.forward(1000)
    assert statuses(caller, 150) == [200] * 100 + [429] * 50


def test_another_key_is_not_affected(tenant: Any) -> None:
    statuses(tenant.key_of("read"), 250)

    assert statuses(tenant.key_of("read"), 1) == [200]


def test_a_key_has_its_own_limit(tenant: Any) -> None:
    caller = limited(tenant, 3, 60)

    assert statuses(caller, 5) == [200] * 3 + [429] * 2
    tenant.clock.forward(20_000)
    assert statuses(caller, 2) == [200, 429]


def test_a_refusal_is_a_problem_that_says_when_to_come_back(tenant: Any) -> None:
    caller = limited(tenant, 2, 60)
    statuses(caller, 2)

    response = caller.send("GET", "/v1/devices")

    assert response.content_type == "application/problem+json"
    assert response.value["type"] == "/problems/too-many-requests"
    assert response.headers["Retry-After"] == "30"
    assert response.headers["RateLimit"] == '"default";r=0;t=60'
    tenant.clock.forward(29_999)
    assert caller.send("GET", "/v1/devices").headers["Retry-After"] == "1"
    tenant.clock.forward(1)
    assert statuses(caller, 1) == [200]


def test_every_answer_says_what_is_left(tenant: Any) -> None:
    caller = tenant.key_of("read")

    first = caller.send("GET", "/v1/devices")
    second = caller.send("GET", "/v1/devices")

    assert first.headers["RateLimit-Policy"] == '"default";q=200;w=2'
    assert first.headers["RateLimit"] == '"default";r=199;t=1'
    assert second.headers["RateLimit"] == '"default";r=198;t=1'


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v1/nothing", None, 404),
        ("PUT", "/v1/devices", None, 405),
        ("GET", "/v1/devices/none", None, 404),
        ("POST", "/v1/tenants", {"name": "x"}, 403),
        ("POST", "/v1/api-keys", {"name": "x"}, 422),
        ("POST", "/v1/api-keys", b"{", 400),
        ("HEAD", "/v1/devices", None, 200),
    ],
)
def test_errors_say_it_as_well(tenant: Any, method: str, path: str, body: Any, status: int) -> None:
    response = tenant.send(method, path, body)

    assert response.status == status
    assert re.fullmatch(r'"default";r=\d+;t=\d+', response.headers["RateLimit"])
    assert response.headers["RateLimit-Policy"] == '"default";q=200;w=2'


def test_a_failure_of_ours_says_it_as_well(tenant: Any, aws: FakeAws) -> None:
    tenant.get("/v1/devices")
    aws.dynamodb.faults = Down("Query")

    response = tenant.send("GET", "/v1/devices")

    assert response.status == 500
    assert {"RateLimit", "RateLimit-Policy"} <= set(response.headers)


def test_whoever_has_no_key_is_told_nothing(nobody: Any) -> None:
    for path in ("/v1/health", "/v1/devices", "/v1/nothing"):
        assert "RateLimit" not in nobody.send("GET", path).headers


def test_a_rotated_key_shares_the_allowance_of_the_former(tenant: Any) -> None:
    made = tenant.post("/v1/api-keys", {"name": "x", "scopes": ["read"]})
    caller = tenant.elsewhere()
    caller.hub, caller.key = tenant.hub, made["key"]
    statuses(caller, 200)
    path = f"/v1/api-keys/{made['id']}/rotate"
    caller.key = tenant.post(path, {"overlap_seconds": 60})["key"]

    assert statuses(caller, 1) == [429]


@pytest.mark.parametrize(("requests", "seconds"), [(200, 2), (100, 60), (1, 1), (7, 3600)])
def test_processes_share_what_a_key_may_do(tenant: Any, requests: int, seconds: int) -> None:
    first = limited(tenant, requests, seconds)
    others = [first.elsewhere() for _ in range(3)]

    passed = [
        caller.send("GET", "/v1/devices").status
        for _ in range(requests + 10)
        for caller in (first, *others)
    ].count(200)

    unasked = requests // 20
    assert requests <= passed <= requests + 4 * unasked


def test_a_share_that_was_not_used_does_not_hold_others_up_for_ever(tenant: Any) -> None:
    first = limited(tenant, 40, 2)
    second = first.elsewhere()
    statuses(first, 5)
    tenant.clock.forward(2000)

    assert statuses(second, 40) == [200] * 40


def test_a_flood_that_is_refused_asks_the_table_once_a_share(tenant: Any, aws: FakeAws) -> None:
    first = limited(tenant, 40, 4)
    second = first.elsewhere()
    second.send("GET", "/v1/devices")
    statuses(first, 40)
    asked = Operations()
    aws.dynamodb.faults = asked

    assert 429 in statuses(second, 10)  # it read its key, used what was unasked, and asked
    begun = asked.count
    for _ in range(39):
        tenant.clock.forward(10)
        assert second.send("GET", "/v1/devices").status == 429
    assert asked.count == begun
    tenant.clock.forward(10)
    assert statuses(second, 5) == [200] * 4 + [429]


def test_a_quiet_key_costs_nothing_and_a_busy_one_a_write_for_twenty(
    tenant: Any, aws: FakeAws
) -> None:
    caller = tenant.key_of("read")
    statuses(caller, 10)
    seen = len(aws.dynamodb.stream)

    statuses(caller, 100)

    assert len(aws.dynamodb.stream) - seen == 5


def test_a_guess_that_can_be_no_key_is_refused_without_a_read(nobody: Any, aws: FakeAws) -> None:
    aws.dynamodb.faults = Down("GetItem")
    headers = {"authorization": "Bearer trb_short"}

    assert nobody.send("GET", "/v1/devices", headers=headers).status == 401
