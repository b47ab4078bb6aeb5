"""Idempotency-Key: a POST that is sent again acts once."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.api.table import ROUTES
from tests.support.fake_aws import FakeAws, Faults, error

BODY = {"name": "x", "scopes": ["read"]}
HOUR = 3_600_000


def post(caller: Any, path: str, body: Any, key: str = "k") -> Any:
    return caller.send("POST", path, body, headers={"idempotency-key": key})


def keys_of(caller: Any) -> list[Any]:
    return list(caller.get("/v1/api-keys")["data"])


def test_the_same_call_again_has_the_first_answer_without_its_secret(tenant: Any) -> None:
    first = post(tenant, "/v1/api-keys", BODY)
    again = post(tenant, "/v1/api-keys", BODY)

    assert first.value["key"].startswith("trb_")
    assert (again.status, again.value) == (201, {**first.value, "key": None})
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert len(keys_of(tenant)) == 2


def test_a_secret_that_was_shown_is_not_stored(tenant: Any, aws: FakeAws) -> None:
    secret = post(tenant, "/v1/api-keys", BODY).value["key"]

    assert secret not in repr(aws.dynamodb.items)


def test_bodies_are_compared_as_json(tenant: Any) -> None:
    body = {"name": "é", "scopes": ["read"], "rate_limit": {"requests": 5, "seconds": 1}}
    texts = (
        json.dumps(body).encode(),
        json.dumps(dict(reversed(body.items())), ensure_ascii=False, indent=2).encode(),
    )

    first, again = (post(tenant, "/v1/api-keys", text) for text in texts)

    assert again.value["id"] == first.value["id"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/api-keys", {**BODY, "name": "y"}),
        ("/v1/api-keys", {**BODY, "rate_limit": None}),
        ("/v1/connections", {"name": "x", "vendor": "relayr"}),
    ],
)
def test_another_body_or_route_is_422(tenant: Any, path: str, body: Any) -> None:
    post(tenant, "/v1/api-keys", BODY)

    response = post(tenant, path, body)

    assert response.status == 422
    assert response.value["type"] == "/problems/idempotency-key-reused"


def test_the_same_call_on_another_thing_is_422(tenant: Any) -> None:
    one, other = (tenant.post("/v1/api-keys", BODY)["id"] for _ in range(2))
    assert post(tenant, f"/v1/api-keys/{one}/rotate", None).status == 200

    assert post(tenant, f"/v1/api-keys/{other}/rotate", None).status == 422


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_has_1_to_255_characters(tenant: Any, key: str) -> None:
    response = post(tenant, "/v1/api-keys", BODY, key)

    assert response.status == 400
    assert response.value["type"] == "/problems/invalid-idempotency-key"
    assert len(keys_of(tenant)) == 1
    assert post(tenant, "/v1/api-keys", BODY, "x" * 255).status == 201


def test_it_is_kept_for_a_day(tenant: Any) -> None:
    first = post(tenant, "/v1/api-keys", BODY).value["id"]
    tenant.clock.forward(24 * HOUR - 1)
    assert post(tenant, "/v1/api-keys", BODY).value["id"] == first
    tenant.clock.forward(1)

    assert post(tenant, "/v1/api-keys", BODY).value["id"] != first
    assert len(keys_of(tenant)) == 3


def test_tenants_do_not_share_keys(tenant: Any, new_tenant: Callable[[], Any]) -> None:
    other = new_tenant()
    mine = post(tenant, "/v1/api-keys", BODY).value["id"]

    assert post(other, "/v1/api-keys", {**BODY, "name": "theirs"}).value["id"] != mine


def test_a_key_of_the_tenant_with_fewer_scopes_is_not_shown_the_answer(tenant: Any) -> None:
    post(tenant, "/v1/api-keys", BODY)

    assert post(tenant.key_of("read"), "/v1/api-keys", BODY).status == 403


def test_what_was_refused_may_be_sent_again_under_its_key(tenant: Any) -> None:
    hook = {"name": "x", "kind": "webhook", "config": {"url": "https://example.com/x"}}
    assert post(tenant, "/v1/integrations", {**hook, "kind": "nothing"}).status == 422

    assert post(tenant, "/v1/integrations", hook).status == 201


def test_other_methods_ignore_it(tenant: Any) -> None:
    tenant.measured("d", tenant.clock.now, 1)
    headers = {"idempotency-key": "k"}
    for name in ("a", "b"):
        tenant.send("PATCH", "/v1/devices/relayr:d", {"name": name}, headers=headers)

    assert tenant.get("/v1/devices/relayr:d")["name"] == "b"


class Dies(Faults):
    """A process that dies at its n-th call of AWS, before or after it took effect."""

    def __init__(self, place: int, *, after: bool) -> None:
        self.left, self.late = place, after

    def before(self, operation: str) -> None:
        if not self.late:
            self._count(operation)

    def after(self, operation: str) -> None:
        if self.late:
            self._count(operation)

    def _count(self, operation: str) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt(operation)  # nobody catches it, as nobody catches a kill


HOOK = {"name": "x", "kind": "webhook", "config": {"url": "https://example.com/x"}}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("path", "body", "listed"),
    [
        ("/v1/api-keys", BODY, "/v1/api-keys"),
        ("/v1/connections", {"vendor": "relayr", "name": "x"}, "/v1/connections"),
        ("/v1/integrations", HOOK, "/v1/integrations"),
        ("/v1/integrations/{}/redrive", None, "/v1/integrations/{}/replays"),
    ],
)
def test_a_crash_anywhere_makes_nothing_twice(
    tenant: Any, aws: FakeAws, path: str, body: Any, listed: str, *, after: bool
) -> None:
    hook = tenant.post("/v1/integrations", HOOK)["id"]
    path, listed = path.format(hook), listed.format(hook)
    for place in range(30):
        before = len(tenant.get(listed)["data"])
        key, audits = f"crash {place}", len(tenant.all("/v1/audit", limit=500))
        aws.faults = aws.dynamodb.faults = aws.sqs.faults = Dies(place, after=after)
        try:
            answer = post(tenant, path, body, key)
        except KeyboardInterrupt:
            answer = None
        aws.faults = aws.dynamodb.faults = aws.sqs.faults = Faults()
        tenant.clock.forward(1)
        if answer is None:
            again = post(tenant, path, body, key)
            if again.status == 409:  # it died with the key in its hands
                tenant.clock.forward(35_000)
                again = post(tenant, path, body, key)
            assert again.status in {201, 202}, (place, again.text)
        rows = tenant.get(listed)["data"]
        assert len(rows) == before + 1, place
        assert len(tenant.all("/v1/audit", limit=500)) > audits
        if answer is not None:
            return
    pytest.fail("it never came through")


def test_the_secret_of_what_a_crash_left_works(tenant: Any, aws: FakeAws) -> None:
    for place in range(4, 12):
        aws.dynamodb.faults = Dies(place, after=True)
        with contextlib.suppress(KeyboardInterrupt):
            post(tenant, "/v1/api-keys", BODY, f"k{place}")
        aws.dynamodb.faults = Faults()
        tenant.clock.forward(35_000)
        key = post(tenant, "/v1/api-keys", BODY, f"k{place}").value["key"]
        if key is not None:  # else the answer was kept before the crash
            headers = {"authorization": f"Bearer {key}"}
            assert tenant.send("GET", "/v1/devices", headers=headers).status == 200


def test_in_flight_is_409_until_nobody_can_be_at_work(tenant: Any, aws: FakeAws) -> None:
    tenant.get("/v1/api-keys")
    aws.dynamodb.faults = Dies(1, after=False)
    with pytest.raises(KeyboardInterrupt):
        post(tenant, "/v1/api-keys", BODY)
    aws.dynamodb.faults = Faults()

    response = post(tenant, "/v1/api-keys", BODY)

    assert response.status == 409
    assert response.value["type"] == "/problems/idempotency-key-in-flight"
    assert response.headers["Retry-After"] == "1"
    tenant.clock.forward(35_000)
    assert post(tenant, "/v1/api-keys", {**BODY, "name": "y"}).status == 422
    assert post(tenant, "/v1/api-keys", BODY).status == 201


def test_a_failure_of_ours_frees_the_key_and_keeps_the_id(tenant: Any, aws: FakeAws) -> None:
    class Throttled(Faults):
        left = 3

        def after(self, operation: str) -> None:
            if operation == "PutItem":
                self.left -= 1
                if not self.left:
                    raise error("ThrottlingException", operation)

    tenant.get("/v1/api-keys")
    post(tenant, "/v1/api-keys", {**BODY, "name": "y"}, "another")  # marks the month
    aws.dynamodb.faults = Throttled()
    assert post(tenant, "/v1/api-keys", BODY).status == 500
    aws.dynamodb.faults = Faults()

    assert post(tenant, "/v1/api-keys", BODY).status == 201
    assert len([row for row in keys_of(tenant) if row["name"] == "x"]) == 1


def test_without_the_header_nothing_is_claimed_and_with_it_two_writes(
    tenant: Any, aws: FakeAws
) -> None:
    tenant.post("/v1/api-keys", BODY)
    seen = len(aws.dynamodb.stream)
    tenant.post("/v1/api-keys", BODY)
    plain = len(aws.dynamodb.stream) - seen
    post(tenant, "/v1/api-keys", BODY)

    assert len(aws.dynamodb.stream) - seen - plain == plain + 2


def test_tenants_are_created_once(root: Any) -> None:
    first = post(root, "/v1/tenants", {"name": "x"})
    again = post(root, "/v1/tenants", {"name": "x"})

    assert again.value == {"id": first.value["id"], "api_key": None}


@pytest.mark.parametrize(
    "route", [r for r in ROUTES if r.method == "POST"], ids=lambda route: str(route.template)
)
def test_every_secret_of_an_answer_is_shown_once(route: Any) -> None:
    secrets = {"secret", "key", "api_key", "token", "password"}
    members = set(route.shape().model_fields) & secrets
    if route.returns == "records.Alert":
        members -= {"key"}  # what the vendor calls the condition

    assert members == ({route.once} if route.once else set())


def test_of_calls_at_the_same_time_one_acts(tenant: Any, aws: FakeAws) -> None:
    answers: list[Any] = []

    class Meanwhile(Faults):
        """Before the first write of a handler, the same call comes again."""

        writes = 0

        def before(self, operation: str) -> None:
            self.writes += operation == "PutItem"
            if self.writes == 3 and not answers:
                answers.append(post(tenant, "/v1/api-keys", BODY))

    tenant.get("/v1/api-keys")
    aws.dynamodb.faults = Meanwhile()
    first = post(tenant, "/v1/api-keys", BODY)
    aws.dynamodb.faults = Faults()

    assert [first.status, answers[0].status] == [201, 409]
    assert len([row for row in keys_of(tenant) if row["name"] == "x"]) == 1
