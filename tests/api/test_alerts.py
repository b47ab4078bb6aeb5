"""Alerts: listings, acknowledge and clear."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.model.times import from_rfc3339, to_rfc3339


@pytest.fixture
def alert(tenant: Any) -> str:
    """An active alert; returns its path."""
    tenant.alerted("a", "leak", tenant.clock.now - 60_000)
    return f"/v1/alerts/{tenant.get('/v1/alerts')['data'][0]['id']}"


def test_acknowledging_keeps_who_when_and_note(tenant: Any, alert: str) -> None:
    now = to_rfc3339(tenant.clock.now)

    answer = tenant.post(f"{alert}/acknowledge", {"note": "on my way"})

    mark = {"at": now, "by": "first key", "note": "on my way"}
    assert (answer["state"], answer["acknowledged"]) == ("active", mark)
    assert tenant.get(alert) == answer


@pytest.mark.parametrize("action", ["acknowledge", "clear"])
def test_repeats_change_nothing_and_keep_the_first_note(
    tenant: Any, alert: str, action: str
) -> None:
    first = tenant.post(f"{alert}/{action}", {"note": "first"})
    tenant.clock.forward(1000)

    assert tenant.post(f"{alert}/{action}", {"note": "second"}) == first
    assert tenant.get(alert) == first


def test_clearing_keeps_who_when_and_note(tenant: Any, alert: str) -> None:
    now = to_rfc3339(tenant.clock.now)

    answer = tenant.post(f"{alert}/clear")

    assert answer["state"] == "cleared"
    assert answer["cleared_at"] == now
    assert answer["cleared"] == {"at": now, "by": "first key", "note": None}


def test_a_vendors_clear_has_nobodys_name(tenant: Any, alert: str) -> None:
    tenant.alerted("a", "leak", tenant.clock.now, "clear")

    assert tenant.get(alert)["cleared"]["by"] is None


def test_acknowledging_what_was_cleared_unacknowledged_is_409(tenant: Any, alert: str) -> None:
    tenant.post(f"{alert}/clear")

    assert tenant.refused("POST", f"{alert}/acknowledge")["status"] == 409


def test_acknowledging_again_after_the_clear_is_fine(tenant: Any, alert: str) -> None:
    tenant.post(f"{alert}/acknowledge", {"note": "seen"})
    tenant.post(f"{alert}/clear")

    assert tenant.post(f"{alert}/acknowledge")["acknowledged"]["note"] == "seen"


def test_a_repeated_raise_leaves_a_cleared_alert_cleared(tenant: Any, alert: str) -> None:
    raised_at = from_rfc3339(tenant.get(alert)["raised_at"])
    tenant.post(f"{alert}/clear")
    tenant.alerted("a", "leak", raised_at)

    assert [row["state"] for row in tenant.get("/v1/alerts")["data"]] == ["cleared"]


def test_a_later_raise_of_a_clock_that_is_behind_is_a_new_alert(tenant: Any, alert: str) -> None:
    raised_at = from_rfc3339(tenant.get(alert)["raised_at"])
    tenant.post(f"{alert}/clear")
    assert raised_at is not None
    tenant.alerted("a", "leak", raised_at + 1000)

    states = [row["state"] for row in tenant.get("/v1/alerts")["data"]]
    assert states == ["active", "cleared"]


def test_a_later_raise_is_a_new_alert(tenant: Any, alert: str) -> None:
    tenant.post(f"{alert}/clear")
    tenant.clock.forward(1000)
    tenant.alerted("a", "leak", tenant.clock.now)

    states = [row["state"] for row in tenant.get("/v1/alerts")["data"]]
    assert states == ["active", "cleared"]


def test_an_alert_of_a_clock_that_runs_ahead_can_be_cleared(tenant: Any) -> None:
    tenant.alerted("a", "leak", tenant.clock.now + 600_000)
    (alert,) = tenant.get("/v1/alerts")["data"]

    cleared = tenant.post(f"/v1/alerts/{alert['id']}/clear")

    assert cleared["cleared_at"] == alert["raised_at"]


def test_a_vendors_clear_that_comes_late_does_not_undo_the_acknowledgement(
    tenant: Any, alert: str
) -> None:
    tenant.post(f"{alert}/acknowledge", {"note": "seen"})
    tenant.alerted("a", "leak", tenant.clock.now - 30_000, "clear")

    row = tenant.get(alert)

    assert (row["state"], row["acknowledged"]["note"]) == ("cleared", "seen")


@pytest.mark.parametrize("body", [{"note": 1}, {"notes": "x"}, {"note": "x" * 1025}, []])
def test_a_wrong_note_is_422(tenant: Any, alert: str, body: Any) -> None:
    assert tenant.refused("POST", f"{alert}/acknowledge", body)["status"] == 422


@pytest.fixture
def several(tenant: Any) -> Any:
    body = {"settings": {"severity_map": {"fire": "critical", "draught": "info"}}}
    tenant.patch(f"/v1/connections/{tenant.connection()}", body)
    for number, (device, name) in enumerate(
        [("a", "fire"), ("a", "draught"), ("b", "fire"), ("b", "leak")]
    ):
        tenant.alerted(device, name, tenant.clock.now - 100_000 + number * 1000)
    tenant.alerted("b", "leak", tenant.clock.now, "clear")
    fire = tenant.get("/v1/alerts", device="relayr:a", severity="critical")["data"][0]
    tenant.post(f"/v1/alerts/{fire['id']}/acknowledge")
    return tenant


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["b leak", "b fire", "a draught", "a fire"]),
        ({"state": "active"}, ["b fire", "a draught", "a fire"]),
        ({"state": "cleared"}, ["b leak"]),
        ({"severity": ["critical", "info"]}, ["b fire", "a draught", "a fire"]),
        ({"device": "relayr:a"}, ["a draught", "a fire"]),
        ({"device": ["relayr:a", "relayr:b"], "severity": "critical"}, ["b fire", "a fire"]),
        ({"device": "relayr:nobody"}, []),
        ({"vendor": "haltian"}, []),
        ({"vendor": "relayr", "state": "cleared"}, ["b leak"]),
        ({"acknowledged": "true"}, ["a fire"]),
        ({"acknowledged": "false", "device": "relayr:a"}, ["a draught"]),
    ],
)
@pytest.mark.parametrize("limit", [1, 100])
def test_filters_narrow(
    several: Any, query: dict[str, Any], expected: list[str], limit: int
) -> None:
    rows = several.all("/v1/alerts", limit=limit, **query)

    found = [f"{row['device_id'].removeprefix('relayr:')} {row['key']}" for row in rows]
    assert found == expected


def test_alerts_are_filtered_by_the_moment_they_were_raised(several: Any) -> None:
    moments = [row["raised_at"] for row in several.all("/v1/alerts")]
    expected = moments[1:3]

    for query in ({}, {"device": ["relayr:a", "relayr:b"]}):
        rows = several.all("/v1/alerts", from_=moments[2], to=moments[0], **query)
        assert [row["raised_at"] for row in rows] == expected
