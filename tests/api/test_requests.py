"""What every route has in common: routing, parameters, bodies and the form of problems."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.api import Request, handle, problems, routing
from chalicelib.api.table import ROUTES
from chalicelib.aws import Hub

RANGE = {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"}


def slug(problem: dict[str, Any]) -> str:
    return str(problem["type"]).removeprefix("/problems/")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.template}")
def test_every_row_names_code_that_exists(route: routing.Route) -> None:
    assert callable(route.function())
    if route.body:
        assert route.model().model_config["extra"] == "forbid"


@pytest.mark.parametrize("path", ["", "v1", "v1/", "v1/nothing", "v1/devices/", "v2/devices"])
def test_an_unknown_route_is_404(nobody: Any, path: str) -> None:
    assert slug(nobody.refused("GET", path)) == "unknown-route"


def test_a_wrong_method_is_405_and_says_what_is_allowed(nobody: Any) -> None:
    response = nobody.send("DELETE", "/v1/devices/x")

    assert response.status == 405
    assert response.headers["Allow"] == "GET, HEAD, PATCH"
    assert response.content_type == "application/problem+json"


def test_head_is_answered_as_get_without_a_body(nobody: Any) -> None:
    response = nobody.send("HEAD", "/v1/health")

    assert (response.status, response.text) == (200, "")


def test_segments_are_decoded_after_splitting(tenant: Any) -> None:
    tenant.receives({"deviceId": "a/b c", "name": "temperature", "value": 20})

    assert tenant.get("/v1/devices/relayr%3Aa%2Fb%20c")["native_id"] == "a/b c"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"colour": "red"}, "unknown-parameter"),
        ({"q": ["a", "b"]}, "repeated-parameter"),
        ({"limit": ["1", "1"]}, "repeated-parameter"),
        ({"presence": "asleep"}, "invalid-parameter"),
        ({"vendor": "acme"}, "invalid-parameter"),
        ({"limit": "0"}, "invalid-parameter"),
        ({"limit": "501"}, "invalid-parameter"),
        ({"limit": "1e2"}, "invalid-parameter"),
        ({"limit": "-1"}, "invalid-parameter"),
        ({"limit": ""}, "invalid-parameter"),
        ({"tag": ""}, "invalid-parameter"),
        ({"tag": "x" * 1901}, "invalid-parameter"),
        ({"tag": ["x"] * 501}, "invalid-parameter"),
        ({"cursor": "nonsense"}, "invalid-cursor"),
        ({"cursor": ""}, "invalid-cursor"),
        ({"cursor": "é"}, "invalid-cursor"),
    ],
)
def test_bad_parameters_are_400(tenant: Any, query: dict[str, Any], expected: str) -> None:
    problem = tenant.refused("GET", "/v1/devices", **query)

    assert (problem["status"], slug(problem)) == (400, expected)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"from": "2026-01-01"}, "invalid-parameter"),
        ({"from": "2026-01-01T00:00:00"}, "invalid-parameter"),
        ({"to": "yesterday"}, "invalid-parameter"),
        ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "reversed-range"),
        ({"severity": "awful"}, "invalid-parameter"),
        ({"acknowledged": "yes"}, "invalid-parameter"),
        ({"state": "open"}, "invalid-parameter"),
    ],
)
def test_bad_filters_of_alerts_are_400(tenant: Any, query: dict[str, str], expected: str) -> None:
    assert slug(tenant.refused("GET", "/v1/alerts", **query)) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, "missing-parameter"),
        ({"from": RANGE["from"]}, "missing-parameter"),
        ({**RANGE, "metric": "warmth"}, "unknown-metric"),
        ({**RANGE, "metric": "acme.warmth"}, "unknown-metric"),
        ({**RANGE, "metric": "relayr."}, "unknown-metric"),
        ({**RANGE, "order": "up"}, "invalid-parameter"),
    ],
)
def test_bad_parameters_of_measurements_are_400(
    tenant: Any, query: dict[str, str], expected: str
) -> None:
    assert slug(tenant.refused("GET", "/v1/devices/x/measurements", **query)) == expected


def test_a_plus_sign_lost_on_the_way_is_explained(tenant: Any) -> None:
    problem = tenant.refused("GET", "/v1/alerts", from_="2026-01-01T00:00:00 02:00")

    assert "%2B" in problem["detail"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff", b'{"name": NaN}', b'{"name": 1e999}', b"[" * 100_000, b"{'a': 1}"],
)
def test_malformed_json_is_400(tenant: Any, body: bytes) -> None:
    problem = tenant.refused("POST", "/v1/connections", body)

    assert (problem["status"], slug(problem)) == (400, "malformed-json")


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ([], [""]),
        ("text", [""]),
        (None, None),
        ({}, ["/name", "/vendor"]),
        ({"vendor": "relayr", "name": 1}, ["/name"]),
        ({"vendor": "relayr", "name": " "}, ["/name"]),
        ({"vendor": "relayr", "name": "x", "colour": 1}, ["/colour"]),
        ({"vendor": "relayr", "name": "x", "a/b~": 1}, ["/a~1b~0"]),
        ({"vendor": "acme", "name": "x"}, ["/vendor"]),
        ({"vendor": "relayr", "name": "x", "settings": []}, ["/settings"]),
        ({"vendor": "relayr", "name": "x", "settings": {"colour": 1}}, ["/settings/colour"]),
    ],
)
def test_wrong_fields_are_422_with_pointers(
    tenant: Any, body: Any, pointers: list[str] | None
) -> None:
    problem = tenant.refused("POST", "/v1/connections", b"null" if body is None else body)

    assert problem["status"] == 422
    assert sorted(error["pointer"] for error in problem["errors"]) == (pointers or [""])


def test_a_lone_surrogate_in_a_body_is_stored_as_a_replacement(tenant: Any) -> None:
    body = b'{"vendor": "relayr", "name": "a\\ud800"}'

    assert tenant.send("POST", "/v1/connections", body).value["name"] == "a\ufffd"


def test_a_huge_body_is_413(tenant: Any) -> None:
    assert tenant.refused("POST", "/v1/connections", b" " * 1_100_000)["status"] == 413


@pytest.mark.parametrize("kind", ["devices", "alerts", "connections", "integrations"])
def test_an_id_longer_than_any_is_404(tenant: Any, kind: str) -> None:
    assert tenant.refused("GET", f"/v1/{kind}/{'ä' * 4000}")["status"] == 404


def test_what_nobody_foresaw_is_a_500_that_tells_nothing(tenant: Any, hub: Hub) -> None:
    def broken(service: str) -> Any:
        raise LookupError(f"secret detail of {service}")

    request = Request("GET", "v1/devices", headers={"authorization": f"Bearer {tenant.key}"})
    response = handle(Hub(hub.config, broken, hub.now), request)

    assert response.status == 500
    assert "secret" not in response.text
    assert slug(response.value) == "internal-error"


def test_every_problem_has_a_status_that_its_slug_keeps() -> None:
    for name, kind in problems.KINDS.items():
        response = problems.response(problems.ProblemError(name, "x"))
        assert response.value["status"] == response.status == kind.status
