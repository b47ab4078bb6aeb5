"""Renormalizations over the API: ordered, refused, followed and listed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.normalize import entry as normalize
from chalicelib.project import entry as project

RANGE = {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"}
AT = 1_794_000_000_000


def path(tenant: Any) -> str:
    return f"/v1/connections/{tenant.connection()}/renormalize"


def work(tenant: Any) -> None:
    """Do what is queued, and what is queued by that."""
    seen = len(tenant.aws.dynamodb.stream)
    while messages := tenant.aws.sqs.queues.pop("inbound", {}):
        records = [{"messageId": each.id, "body": each.body} for each in messages.values()]
        assert normalize.run({"Records": records}, tenant.hub) == {"batchItemFailures": []}
    assert project.run({"Records": tenant.aws.dynamodb.stream[seen:]}, tenant.hub) == {
        "batchItemFailures": []
    }


def map_warmth(tenant: Any) -> None:
    rule = {"metric": "temperature", "unit": "[degF]"}
    body = {"settings": {"metric_map": {"Warmth": rule}}}
    tenant.patch(f"/v1/connections/{tenant.connection()}", body)


def test_a_changed_setting_corrects_history_and_is_followed_to_its_end(tenant: Any) -> None:
    tenant.measured("d1", AT, 68, metric="Warmth")
    map_warmth(tenant)

    made = tenant.post(path(tenant), RANGE)
    under_way = tenant.get(f"{path(tenant)}/{made['id']}")
    work(tenant)
    done = tenant.get(f"{path(tenant)}/{made['id']}")

    assert (under_way["state"], under_way["progress"]) == ("running", 0)
    assert (done["state"], done["progress"], done["dry_run"]) == ("done", 1, False)
    assert (done["from"], done["to"]) == ("2026-01-01T00:00:00.000Z", "2027-01-01T00:00:00.000Z")
    assert done["counts"] == {
        "payloads": 1,
        "recorded": 1,
        "corrected": 0,
        "withdrawn": 1,
        "quarantined": 0,
        "released": 0,
    }
    (row,) = tenant.get(f"{tenant.device('relayr:d1')}/measurements", **range_of_measurements())[
        "data"
    ]
    assert (row["metric"], row["value"], row["unit"]) == ("temperature", 20, "Cel")
    (latest,) = tenant.get(f"{tenant.device('relayr:d1')}/state")["data"]
    assert latest == row
    assert list(tenant.get(tenant.device("relayr:d1"))["metrics"]) == ["temperature"]


def range_of_measurements() -> dict[str, str]:
    return {"from_": RANGE["from"], "to": RANGE["to"]}


def test_a_dry_run_shows_what_would_change(tenant: Any) -> None:
    tenant.measured("d1", AT, 68, metric="Warmth")
    map_warmth(tenant)

    made = tenant.post(path(tenant), {**RANGE, "dry_run": True})
    work(tenant)
    done = tenant.get(f"{path(tenant)}/{made['id']}")

    assert done["counts"]["recorded"] == done["counts"]["withdrawn"] == 1
    changes = {each["change"]: each for each in done["examples"]}
    assert changes["recorded"]["after"]["value"] == 20
    assert changes["withdrawn"]["before"]["metric"] == "relayr.Warmth"
    assert list(tenant.get(tenant.device("relayr:d1"))["metrics"]) == ["relayr.Warmth"]


def test_orders_are_listed_newest_first(tenant: Any) -> None:
    made = []
    for _ in range(3):
        made.append(tenant.post(path(tenant), RANGE)["id"])
        work(tenant)

    assert [row["id"] for row in tenant.all(path(tenant), limit=2)] == made[::-1]


def test_a_second_order_is_refused_while_one_is_under_way(tenant: Any) -> None:
    tenant.post(path(tenant), RANGE)

    assert tenant.refused("POST", path(tenant), RANGE)["status"] == 409
    work(tenant)
    tenant.post(path(tenant), RANGE)


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({"from": RANGE["to"], "to": RANGE["from"]}, 400, None),
        ({"from": RANGE["from"]}, 422, "/to"),
        ({**RANGE, "from": "2026-01-01"}, 422, "/from"),
        ({**RANGE, "from": 5}, 422, "/from"),
        ({**RANGE, "dry_run": "yes"}, 422, "/dry_run"),
        ({**RANGE, "start": 5}, 422, "/start"),
        ({"start": 5, "to": RANGE["to"]}, 422, "/from"),
    ],
)
def test_a_wrong_order_is_refused(tenant: Any, body: Any, status: int, pointer: str | None) -> None:
    problem = tenant.refused("POST", path(tenant), body)

    assert problem["status"] == status
    assert pointer in {None, *(each["pointer"] for each in problem.get("errors", ()))}
    assert tenant.all(path(tenant)) == []


def test_an_empty_range_is_done_and_finds_nothing(tenant: Any) -> None:
    tenant.measured("d1", AT, 68)

    made = tenant.post(path(tenant), {"from": RANGE["from"], "to": RANGE["from"]})
    work(tenant)

    done = tenant.get(f"{path(tenant)}/{made['id']}")
    assert (done["state"], done["counts"]["payloads"]) == ("done", 0)


def test_only_admins_may(tenant: Any) -> None:
    other = tenant.key_of("read", "write")

    assert other.refused("POST", path(tenant), RANGE)["status"] == 403
    assert other.refused("GET", path(tenant))["status"] == 403


@pytest.mark.parametrize(
    "identity", ["nothing", "rnm_x_1", "rnm_x_\u0661", "1", "rnm_x_" + "9" * 30]
)
def test_an_id_of_nothing_is_404(tenant: Any, identity: str) -> None:
    tenant.post(path(tenant), RANGE)

    assert tenant.refused("GET", f"{path(tenant)}/{identity}")["status"] == 404


def test_another_tenants_orders_stay_its_own(tenant: Any, new_tenant: Callable[[], Any]) -> None:
    made = tenant.post(path(tenant), RANGE)
    other = new_tenant()

    assert other.refused("GET", path(tenant))["status"] == 404
    assert other.refused("GET", f"{path(tenant)}/{made['id']}")["status"] == 404
    assert other.refused("GET", f"{path(other)}/{made['id']}")["status"] == 404
