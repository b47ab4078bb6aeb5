"""Integrations: validation, masking, secrets, tests; deliveries and their retry."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from chalicelib import destinations
from chalicelib.security import verifying_key
from chalicelib.store import deliveries, integrations
from chalicelib.store.table import table_of

OWN = "999999999999"
HEADERS = {"Authorization": "Bearer very secret"}
BODY = {
    "name": "Ticketing",
    "kind": "webhook",
    "config": {"url": "https://example.com/hook", "headers": HEADERS},
    "filter": {"types": ["alert.*"], "severities": ["major"]},
}


def stored(tenant: Any, identity: str) -> integrations.Integration:
    found = integrations.find(table_of(tenant.hub), tenant.id, identity)
    assert found is not None
    return found


def test_the_signing_secret_is_shown_once(tenant: Any) -> None:
    made = tenant.post("/v1/integrations", BODY)

    secret = made.pop("secret")
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    assert tenant.get(f"/v1/integrations/{made['id']}") == made
    assert secret not in tenant.send("GET", "/v1/integrations").text


def test_header_values_are_masked_everywhere_and_kept(tenant: Any) -> None:
    made = tenant.post("/v1/integrations", BODY)
    path = f"/v1/integrations/{made['id']}"
    answers = [made, tenant.get(path), tenant.patch(path, {"name": "x"})]
    answers += tenant.get("/v1/integrations")["data"]

    assert "very secret" not in json.dumps(answers)
    assert stored(tenant, made["id"]).config["headers"] == HEADERS


def test_a_masked_value_sent_back_means_the_stored_one(tenant: Any) -> None:
    made = tenant.post("/v1/integrations", BODY)
    config = made["config"] | {"url": "https://example.com/other"}
    config["headers"]["X-New"] = "new"

    tenant.patch(f"/v1/integrations/{made['id']}", {"config": config})

    new = stored(tenant, made["id"]).config
    assert new == {"url": config["url"], "headers": {**HEADERS, "X-New": "new"}}


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"kind": "pigeon"}, "/kind"),
        ({"config": {}}, "/config/url"),
        ({"config": {"url": "https://10.0.0.1/"}}, "/config/url"),
        ({"config": {"url": "http://example.com/"}}, "/config/url"),
        ({"config": {"url": "https://example.com", "colour": 1}}, "/config/colour"),
        (
            {"config": {"url": "https://example.com", "headers": {"webhook-id": "x"}}},
            "/config/headers/webhook-id",
        ),
        ({"filter": {"colours": ["red"]}}, "/filter/colours"),
        ({"filter": {"vendors": "relayr"}}, "/filter/vendors"),
        ({"filter": {"vendors": []}}, "/filter/vendors"),
        ({"filter": {"vendors": None}}, "/filter/vendors"),
        ({"filter": {"vendors": [1]}}, "/filter/vendors/0"),
        ({"filter": {"conditions": [{"metric": "x"}]}}, "/filter/conditions/0"),
        ({"filter": []}, "/filter"),
        ({"batch": {"max_records": 501}}, "/batch/max_records"),
        ({"ordering": "strict"}, "/ordering"),
        ({"enabled": "yes"}, "/enabled"),
    ],
)
def test_a_wrong_integration_is_422(tenant: Any, change: Any, pointer: str) -> None:
    problem = tenant.refused("POST", "/v1/integrations", {**BODY, **change})

    assert [error["pointer"] for error in problem["errors"]] == [pointer]


@pytest.mark.parametrize("change", [{"filter": {"colours": ["x"]}}, {"config": {}}])
def test_a_patch_is_validated_as_a_new_one(tenant: Any, change: Any) -> None:
    path = f"/v1/integrations/{tenant.post('/v1/integrations', BODY)['id']}"

    assert tenant.refused("PATCH", path, change)["status"] == 422
    assert tenant.refused("PATCH", path, {"kind": "webhook"})["status"] == 422


def test_a_whole_integration_is_taken(tenant: Any) -> None:
    body = {
        **BODY,
        "filter": {
            "vendors": ["*"],
            "metrics": ["temp*"],
            "conditions": [{"metric": "temperature", "op": ">", "value": 30}],
        },
        "batch": {"max_records": 50},
        "ordering": "device",
        "enabled": False,
    }

    made = tenant.post("/v1/integrations", body)

    for name in ("filter", "batch", "ordering", "enabled"):
        assert made[name] == body[name]


ROLE = "arn:aws:iam::123456789012:role/tributary-events"
QUEUE = "arn:aws:sqs:eu-central-1:123456789012:events"
SQS = {"name": "Queue", "kind": "sqs", "config": {"queue_arn": QUEUE, "role_arn": ROLE}}
SLACK = {"name": "Chat", "kind": "slack", "config": {"url": "https://hooks.slack.example/secret"}}


def test_who_may_have_a_role_is_told_its_external_id(tenant: Any) -> None:
    one, other = (tenant.post("/v1/integrations", SQS) for _ in range(2))

    assert one["external_id"].startswith("tributary-")
    assert one["external_id"] != other["external_id"]
    assert tenant.get(f"/v1/integrations/{one['id']}")["external_id"] == one["external_id"]
    assert tenant.post("/v1/integrations", BODY)["external_id"] is None


def test_the_url_of_a_chat_is_its_secret(tenant: Any) -> None:
    made = tenant.post("/v1/integrations", SLACK)
    tenant.patch(f"/v1/integrations/{made['id']}", {"config": made["config"]})

    assert made["config"] == {"url": "********"}
    assert stored(tenant, made["id"]).config == SLACK["config"]


def test_who_must_not_be_overtaken_keeps_the_order_of_a_device(tenant: Any) -> None:
    made = tenant.post("/v1/integrations", SLACK)
    path = f"/v1/integrations/{made['id']}"

    assert made["ordering"] == "device"
    assert (
        tenant.refused("PATCH", path, {"ordering": "none"})["errors"][0]["pointer"] == "/ordering"
    )
    assert tenant.post("/v1/integrations", BODY)["ordering"] == "none"


def test_a_transform_and_a_shadow_are_kept_and_taken_back(tenant: Any) -> None:
    transform = {"jmespath": "{v: value}"}
    made = tenant.post("/v1/integrations", BODY | {"transform": transform, "shadow": True})
    path = f"/v1/integrations/{made['id']}"

    assert (made["transform"], made["shadow"]) == (transform, True)
    assert tenant.get(path)["transform"] == transform
    back = tenant.patch(path, {"transform": None, "shadow": False})
    assert (back["transform"], back["shadow"]) == (None, False)
    assert stored(tenant, made["id"]).transform is None


@pytest.mark.parametrize(
    ("body", "change", "pointer"),
    [
        (BODY, {"transform": {"jmespath": "a["}}, "/transform/jmespath"),
        (BODY, {"transform": {"jmespath": "a" * 1025}}, "/transform/jmespath"),
        (BODY, {"transform": {"template": "{{type}}"}}, "/transform/template"),
        (BODY, {"transform": {"xslt": "x"}}, "/transform/xslt"),
        (SLACK, {"transform": {"jmespath": "a"}}, "/transform/jmespath"),
        (SLACK, {"transform": {"template": "{{alert.colour}}"}}, "/transform/template"),
        (SLACK, {"transform": {"subject": "{{type}}"}}, "/transform/subject"),
        (SLACK, {"transform": {"timezone": "Mars/Olympus"}}, "/transform/timezone"),
        (SLACK, {"ordering": "none"}, "/ordering"),
        (SLACK, {"batch": {"max_records": 2}}, "/batch"),
        (SLACK, {"config": {"url": "https://169.254.169.254/"}}, "/config/url"),
        (SQS, {"config": {"queue_arn": QUEUE}}, "/config/role_arn"),
        (SQS, {"config": {"queue_arn": QUEUE, "role_arn": f"{ROLE}/x"}}, "/config/role_arn"),
        (
            SQS,
            {"config": {"queue_arn": QUEUE, "role_arn": ROLE.replace("123456789012", OWN)}},
            "/config/role_arn",
        ),
        (
            BODY,
            {
                "config": {
                    "url": "https://example.com",
                    "token_url": "https://127.0.0.1/",
                    "client_id": "a",
                    "client_secret": "b",
                }
            },
            "/config/token_url",
        ),
        (BODY, {"kind": "email", "config": {"to": ["a@example.com"]}}, "/kind"),
        (BODY, {"kind": "sms", "config": {"phone_number": "+4930123456"}}, "/kind"),
        (BODY, {"kind": "mqtt", "config": {}}, "/kind"),
    ],
)
def test_a_destination_refuses_what_it_cannot_do(
    tenant: Any, body: Any, change: Any, pointer: str
) -> None:
    problem = tenant.refused("POST", "/v1/integrations", {**body, **change})

    assert problem["status"] == 422
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


def test_the_catalogue_shows_every_kind_and_whether_it_can_be_had(tenant: Any) -> None:
    found = {row["kind"]: row for row in tenant.get("/v1/catalog/destinations")["data"]}

    assert set(found) == set(destinations.names())
    unavailable = {kind for kind, row in found.items() if not row["available"]}
    assert unavailable == {"email", "sms", "mqtt"}
    assert (found["sqs"]["max_records"], found["slack"]["max_records"]) == (10, None)
    assert found["email"]["templates"]["subject"] == "{{summary}}"
    assert all(field["sensitive"] for field in found["slack"]["fields"])


def test_integrations_are_paged_newest_first(tenant: Any) -> None:
    made = []
    for _ in range(3):
        made.append(tenant.post("/v1/integrations", BODY)["id"])
        tenant.clock.forward(1)

    assert [row["id"] for row in tenant.all("/v1/integrations", limit=1)] == made[::-1]


def test_a_deleted_integration_is_gone(tenant: Any) -> None:
    path = f"/v1/integrations/{tenant.post('/v1/integrations', BODY)['id']}"
    tenant.delete(path)

    assert tenant.refused("GET", path)["status"] == 404


def test_enabling_forgets_why_it_was_disabled(tenant: Any) -> None:
    identity = tenant.post("/v1/integrations", BODY)["id"]
    path = f"/v1/integrations/{identity}"

    assert tenant.patch(path, {"enabled": False})["enabled"] is False
    assert tenant.post(f"{path}/enable")["enabled"] is True


def test_rotation_keeps_both_secrets_for_a_day(tenant: Any) -> None:
    made = tenant.post("/v1/integrations", BODY)

    new = tenant.post(f"/v1/integrations/{made['id']}/rotate-secret")["secret"]

    day_later = tenant.clock.now + 86_400_000
    expected = ((new, None), (made["secret"], day_later))
    assert stored(tenant, made["id"]).secrets == expected


def test_no_more_than_five_secrets_sign_at_a_time(tenant: Any) -> None:
    made = tenant.post("/v1/integrations", BODY)
    path = f"/v1/integrations/{made['id']}/rotate-secret"

    newest = [tenant.post(path)["secret"] for _ in range(6)][::-1]

    assert [secret for secret, _ in stored(tenant, made["id"]).secrets] == newest[:5]


ED25519 = {"config": {"url": "https://example.com/hook", "signature": "ed25519"}}


def test_an_asymmetric_integration_shows_its_public_key_and_never_the_private_one(
    tenant: Any,
) -> None:
    made = tenant.post("/v1/integrations", BODY | ED25519)
    path = f"/v1/integrations/{made['id']}"
    rotated = tenant.post(f"{path}/rotate-secret")["secret"]

    (new, _), (old, ends) = stored(tenant, made["id"]).secrets
    assert made["secret"] == made["public_key"] == verifying_key(old)
    assert rotated == verifying_key(new) == tenant.get(path)["public_key"]
    assert made["secret"].startswith("whpk_")
    assert rotated != made["secret"]
    assert ends == tenant.clock.now + 86_400_000


def test_a_switch_of_the_signature_makes_a_new_secret_and_both_sign_for_a_day(
    tenant: Any,
) -> None:
    made = tenant.post("/v1/integrations", BODY)
    path = f"/v1/integrations/{made['id']}"

    there = tenant.patch(path, ED25519)
    back = tenant.patch(path, {"config": BODY["config"]})

    assert there["secret"] == there["public_key"]
    assert back["public_key"] is None
    assert back["secret"].startswith("whsec_")
    (new, _), (middle, _), (old, _) = stored(tenant, made["id"]).secrets
    assert (new, verifying_key(middle), old) == (back["secret"], there["secret"], made["secret"])


def test_a_change_that_keeps_the_signature_keeps_the_secret(tenant: Any) -> None:
    made = tenant.post("/v1/integrations", BODY | ED25519)
    path = f"/v1/integrations/{made['id']}"

    changed = tenant.patch(path, {"name": "x", **ED25519})

    assert "secret" not in changed
    assert changed["public_key"] == made["public_key"]


def test_a_test_enqueues_one_test_event(tenant: Any) -> None:
    identity = tenant.post("/v1/integrations", BODY)["id"]
    tenant.queued("deliveries")

    answer = tenant.post(f"/v1/integrations/{identity}/test")

    (message,) = tenant.queued("deliveries")
    (event,) = message["events"]
    assert event["type"] == "integration.test"
    assert event["id"] == answer["id"]


@pytest.fixture
def delivery(tenant: Any) -> deliveries.Delivery:
    """A delivery that failed once."""
    identity = tenant.post("/v1/integrations", BODY)["id"]
    event = {"id": "evt", "type": "integration.test", "data": {}}
    row = deliveries.begun(tenant.id, identity, [event], batch=False, now=tenant.clock.now)
    return deliveries.save(table_of(tenant.hub), row)


def test_deliveries_are_listed_and_read(tenant: Any, delivery: deliveries.Delivery) -> None:
    path = f"/v1/integrations/{delivery.integration_id}/deliveries"

    (row,) = tenant.all(path)

    assert row == tenant.get(f"/v1/deliveries/{delivery.id}")
    assert (row["state"], row["event_ids"]) == ("pending", ["evt"])
    assert tenant.all(path, state="dead") == []


def test_a_retry_enqueues_the_delivery(tenant: Any, delivery: deliveries.Delivery) -> None:
    tenant.queued("deliveries")

    assert tenant.post(f"/v1/deliveries/{delivery.id}/retry") == {"id": delivery.id}
    (message,) = tenant.queued("deliveries")
    assert message["delivery"] == delivery.id


def test_what_a_deployment_no_longer_gives_can_still_be_switched_off(tenant: Any) -> None:
    mail = integrations.Integration(
        "int_mail", tenant.id, "M", "email", 1, config={"to": ["a@example.com"]}, ordering="device"
    )
    integrations.save(table_of(tenant.hub), mail)

    assert tenant.patch("/v1/integrations/int_mail", {"enabled": False})["enabled"] is False
