"""The catalogue, the OpenAPI document, and the border to Chalice."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from chalice.app import Request as ChaliceRequest
from openapi_spec_validator import OpenAPIV31SpecValidator

from chalicelib.api import entry
from chalicelib.api.table import ROUTES


@pytest.fixture
def document(nobody: Any) -> Any:
    return nobody.get("/v1/openapi.json")


def test_the_document_is_valid(document: Any) -> None:
    OpenAPIV31SpecValidator(document).validate()


def test_the_document_has_every_route_and_no_other(document: Any) -> None:
    found = {(method.upper(), path) for path, item in document["paths"].items() for method in item}

    assert found == {(route.method, route.template) for route in ROUTES}


def test_no_two_operations_share_a_name(document: Any) -> None:
    names = [each["operationId"] for item in document["paths"].values() for each in item.values()]

    assert len(names) == len(set(names))


def test_the_version_is_the_projects(nobody: Any) -> None:
    project = Path(__file__).parents[2] / "pyproject.toml"
    version = tomllib.loads(project.read_text())["project"]["version"]

    assert nobody.get("/v1/health") == {"status": "ok", "version": version}


def test_the_catalogue(tenant: Any) -> None:
    vendors = {row["name"] for row in tenant.get("/v1/catalog/vendors")["data"]}
    metrics = {row["name"]: row for row in tenant.get("/v1/catalog/metrics")["data"]}
    kinds = {row["kind"]: row for row in tenant.get("/v1/catalog/destinations")["data"]}
    types = {row["type"] for row in tenant.get("/v1/catalog/event-types")["data"]}

    assert {"haltian", "relayr", "soundsensing", "viziosense", "lightelligence"} <= vendors
    assert metrics["temperature"]["unit"] == "Cel"
    assert metrics["relative_humidity"]["maximum"] == 100
    assert "webhook" in kinds
    assert {"measurement.recorded", "integration.test"} <= types


def event(method: str, path: str, **more: Any) -> ChaliceRequest:
    context = {"httpMethod": method, "resourcePath": "/{path+}"} | more.pop("context", {})
    return ChaliceRequest(
        {
            "multiValueQueryStringParameters": None,
            "headers": {},
            "pathParameters": {"path": path} if path else None,
            "requestContext": context,
            "body": None,
            "stageVariables": None,
            **more,
        }
    )


@pytest.mark.parametrize(
    ("headers", "context", "expected"),
    [
        ({"Host": "hub.example"}, {}, "https://hub.example"),
        ({"Host": "127.0.0.1:8080"}, {}, "http://127.0.0.1:8080"),
        ({"Host": "localhost:80"}, {}, "http://localhost:80"),
        ({"Host": "[::1]:80"}, {}, "http://[::1]:80"),
        ({"Host": "hub.example", "X-Forwarded-Proto": "http"}, {}, "http://hub.example"),
        ({"Host": "hub.example", "X-Forwarded-Proto": "gopher"}, {}, "https://hub.example"),
        ({"Host": 'evil/"><'}, {}, "http://localhost"),
        ({}, {"domainName": "x.execute-api", "path": "/api/v1/x"}, "https://x.execute-api/api"),
        ({"Host": "hub.example"}, {"path": "/v1/x"}, "https://hub.example"),
    ],
)
def test_the_base_url_is_how_the_caller_reached_the_hub(
    headers: dict[str, str], context: dict[str, str], expected: str
) -> None:
    request = event("GET", "v1/x", headers=headers, context=context)

    assert entry.read(request).base_url == expected


def test_chalices_request_is_read_whole() -> None:
    query = {"metric": ["a", "b"], "limit": ["1"]}
    request = event(
        "POST",
        "v1/a%2Fb",
        headers={"Authorization": "x"},
        multiValueQueryStringParameters=query,
        body="{}",
    )

    read = entry.read(request)

    assert (read.method, read.path, read.body) == ("POST", "v1/a%2Fb", b"{}")
    assert read.query == query
    assert read.headers == {"authorization": "x"}


def test_a_problem_reaches_chalice_as_one(hub: Any) -> None:
    response = entry.answer(event("GET", ""), hub)

    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"
    assert json.loads(response.body)["status"] == 404


def test_an_empty_answer_has_no_content_type(tenant: Any, hub: Any) -> None:
    connection = tenant.connection()
    headers = {"Authorization": f"Bearer {tenant.key}"}

    response = entry.answer(event("DELETE", f"v1/connections/{connection}", headers=headers), hub)

    assert (response.status_code, response.body) == (204, "")
    assert "Content-Type" not in response.headers


def operations(document: Any) -> list[tuple[str, Any]]:
    return [
        (method.upper(), each)
        for item in document["paths"].values()
        for method, each in item.items()
    ]


def test_every_post_takes_an_idempotency_key_and_says_what_may_come_of_it(document: Any) -> None:
    reference = {"$ref": "#/components/parameters/Idempotency-Key"}
    for method, operation in operations(document):
        assert (reference in operation.get("parameters", [])) == (method == "POST")
        if method == "POST":
            assert {"409", "422", "429"} <= set(operation["responses"])


def test_every_answer_to_a_key_tells_the_rate_limit(document: Any) -> None:
    for _, operation in operations(document):
        for status, answer in operation["responses"].items():
            told = {"RateLimit", "RateLimit-Policy"} <= set(answer.get("headers", {}))
            assert told == (bool(operation["security"]) and status != "401")
        if operation["security"]:
            assert "Retry-After" in operation["responses"]["429"]["headers"]
