"""The catalogue, the OpenAPI document, and the border to Chalice."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chalice.app import Request as ChaliceRequest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from chalicelib.api import entry
from chalicelib.api.table import ROUTES
from infra import problems_page


@pytest.fixture
def document(nobody: Any) -> Any:
    return nobody.get("/v1/openapi.json")


def test_the_document_is_valid(document: Any) -> None:
    OpenAPIV31SpecValidator(document).validate()


def test_the_document_has_every_route_and_no_other(document: Any) -> None:
    found = {(method.upper(), path) for path, item in document["paths"].items() for method in item}

    assert found == {(route.method, route.template) for route in ROUTES}


def operations(document: Any) -> Iterator[tuple[str, Any]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method} {path}", operation


def test_every_body_has_an_example_that_is_one(document: Any) -> None:
    seen = 0
    for name, operation in operations(document):
        answers = [each for status, each in operation["responses"].items() if status < "400"]
        for body in [operation.get("requestBody", {}), *answers]:
            for media in body.get("content", {}).values():
                schema = {**media["schema"], "components": document["components"]}
                errors = Draft202012Validator(schema).iter_errors(media["example"])
                assert [(name, each.json_path, each.message) for each in errors] == []
                seen += 1
    assert seen > len(ROUTES)


def test_links_lead_from_an_id_to_what_can_be_done_with_it(document: Any) -> None:
    named = {operation["operationId"]: operation for _, operation in operations(document)}
    seen = set()
    for name, operation in operations(document):
        for answer in operation["responses"].values():
            for link in answer.get("links", {}).values():
                target = named[link["operationId"]]
                needed = {each["name"] for each in target["parameters"] if each["in"] == "path"}
                assert set(link["parameters"]) == needed, name
                seen.add((operation["operationId"], link["operationId"]))
    assert {
        ("connections_create", "connections_read"),
        ("devices_list_devices", "measurements_in_range"),
        ("renormalizations_begin", "renormalizations_read"),
        ("recovery_replay", "recovery_read"),
        ("deliveries_of_integration", "deliveries_retry"),
    } <= seen


def test_no_two_operations_share_a_name(document: Any) -> None:
    names = [each["operationId"] for item in document["paths"].values() for each in item.values()]

    assert len(names) == len(set(names))


def test_the_page_of_problems_is_what_the_code_says() -> None:
    assert problems_page.PAGE.read_text("utf-8") == problems_page.page()


def test_every_type_of_problem_explains_itself(nobody: Any) -> None:
    problem = nobody.refused("GET", "/v1/health", no="1")

    explained = nobody.get(problem["type"])

    assert explained["type"] == problem["type"]
    assert (explained["status"], explained["title"]) == (400, "Unknown parameter")
    assert explained["remedy"]
    assert explained in nobody.get("/problems")["data"]
    assert nobody.refused("GET", "/problems/nothing")["status"] == 404


def test_a_mistake_in_a_name_is_told_with_what_was_meant(tenant: Any) -> None:
    parameter = tenant.refused("GET", "/v1/devices", vendro="haltian")
    metric = tenant.refused("GET", "/v1/measurements/latest", device="d", metric="temprature")

    assert parameter["detail"].endswith("Did you mean vendor?")
    assert metric["detail"].endswith("Did you mean temperature?")


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
