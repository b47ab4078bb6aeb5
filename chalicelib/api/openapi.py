"""The OpenAPI 3.1 document, made of the routes and of the models that validate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chalicelib.api.examples import example
from chalicelib.api.parameters import Parameter
from chalicelib.api.problems import CONTENT_TYPE, KINDS
from chalicelib.api.routing import Route

VERSION = "2026.11"
_FOLLOWED = {
    **dict.fromkeys(
        ("recovery.replay", "recovery.retry_failed", "recovery.redrive"),
        "/v1/integrations/{integration_id}/replays",
    ),
    "deliveries.of_integration": "/v1/deliveries",
}
"""Below which path the ids of an answer are found, if not below its own."""
_REFS = "#/components/schemas/{model}"


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """Return the document of all routes."""
    from pydantic.json_schema import models_json_schema  # noqa: PLC0415 - for this answer only

    from chalicelib.api.shapes import Problem  # noqa: PLC0415

    routes = list(routes)
    shown = {Problem, *(shape for route in routes if (shape := route.shape()))}
    shown |= {route.shape(route.otherwise[0]) for route in routes if route.otherwise}
    sent = {model for route in routes if (model := route.model())}
    pairs = [(model, "serialization") for model in sorted(shown, key=_name)]
    pairs += [(model, "validation") for model in sorted(sent, key=_name)]
    refs, definitions = models_json_schema(pairs, ref_template=_REFS)  # type: ignore[arg-type]
    schemas: dict[Any, Any] = {model: schema for (model, _), schema in refs.items()}
    models = definitions["$defs"]
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operation = _operation(route, schemas)
        _exemplify(operation, models)
        _link(operation, route, routes)
        paths.setdefault(route.template, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tributary",
            "version": VERSION,
            "description": "Query and admin API of the hub. Errors are problem details (RFC 9457).",
        },
        "paths": paths,
        "components": {
            "schemas": models,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _name(model: Any) -> str:
    return str(model.__name__)


def _operation(route: Route, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    parameters = [_path_parameter(name) for name in route.names]
    parameters += [_query_parameter(each) for each in route.query]
    operation: dict[str, Any] = {
        "operationId": route.handler.replace(".", "_"),
        "summary": route.summary,
        "tags": [route.segments[route.segments[0] == "v1"].removesuffix(".json")],
        "security": [{"key": [route.scope]}] if route.scope else [],
        "responses": _responses(route, schemas),
    }
    if route.scope:
        operation["description"] = f"Needs the scope `{route.scope}`."
    if parameters:
        operation["parameters"] = parameters
    if route.body:
        operation["requestBody"] = {
            "required": not route.body_optional,
            "content": {"application/json": {"schema": schemas[route.model()]}},
        }
    return operation


def _exemplify(operation: dict[str, Any], models: Mapping[str, Any]) -> None:
    """Give every body of an operation an example."""
    bodies = [operation.get("requestBody", {})]
    bodies += [each for status, each in operation["responses"].items() if status < "400"]
    for body in bodies:
        for media in body.get("content", {}).values():
            media["example"] = example(media["schema"], models)


def _link(operation: dict[str, Any], route: Route, routes: Sequence[Route]) -> None:
    """Say which operations the id of an answer leads to: those below the answer's own path."""
    root = f"{_FOLLOWED.get(route.handler, route.template)}/{{"
    where = "$response.body#/data/0/id" if route.listed else "$response.body#/id"
    if route.returns is None or route.method not in {"GET", "POST"}:
        return
    links = {}
    for other in routes:
        new = [each for each in other.names if each not in route.names]
        if other.template.startswith(root) and len(new) == 1:
            known = {each: f"$request.path.{each}" for each in other.names if each in route.names}
            name = other.handler.replace(".", "_")
            links[name] = {"operationId": name, "parameters": {**known, new[0]: where}}
    answer = operation["responses"][str(route.status)]
    if links and "content" in answer:
        answer["links"] = links


def _path_parameter(name: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameter(parameter: Parameter) -> dict[str, Any]:
    schema = dict(parameter.schema)
    found: dict[str, Any] = {
        "name": parameter.name,
        "in": "query",
        "required": parameter.required,
        "description": parameter.description,
        "schema": {"type": "array", "items": schema} if parameter.many else schema,
    }
    if parameter.many:
        found |= {"style": "form", "explode": True}
    return found


def _responses(route: Route, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    successes = [route.status, *(route.otherwise[:1] if route.otherwise else ())]
    return {
        **{str(status): _success(route, schemas, status) for status in sorted(successes)},
        **{str(status): _problem(status) for status in sorted(_refusals(route))},
    }


def _success(route: Route, schemas: Mapping[Any, Any], status: int) -> dict[str, Any]:
    success: dict[str, Any] = {"description": route.summary}
    shape = schemas.get(route.shape(status))
    if shape is not None:
        schema = _listing(shape) if route.listed else shape
        success["content"] = {"application/json": {"schema": schema}}
    return success


def _listing(shape: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "data": {"type": "array", "items": shape},
            "next_cursor": {"type": ["string", "null"]},
        },
        "required": ["data", "next_cursor"],
    }


def _refusals(route: Route) -> set[int]:
    # Every route takes known parameters only, so every route can answer 400.
    statuses = {400, 500}
    if route.scope:
        statuses |= {401, 403}
    if route.names:
        statuses.add(404)
    if route.body:
        statuses |= {413, 422}
    if route.conflicts:
        statuses.add(409)
    return statuses


def _problem(status: int) -> dict[str, Any]:
    titles = [kind.title for kind in KINDS.values() if kind.status == status]
    return {
        "description": ", or ".join(titles),
        "content": {CONTENT_TYPE: {"schema": {"$ref": _REFS.format(model="Problem")}}},
    }
