"""Examples for the OpenAPI document: a value for every schema, made of what members are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DEVICE = "haltian:TSAR01EKF200000001"
_CONNECTION = "con_8k2v5m1q9x3c7b4z"
_RECEIPT = "rcp_19c13a1bc80_8k2v5m1q9x3c7b4z_3f1d0c9b7a5e2846"
_INTEGRATION = "int_4t7w2n6r1y8p5d3h"

MEMBERS: Mapping[str, Any] = {
    "adapter_version": 1,
    "api_key": "trb_Jk3vT9xQ1mZ7cW5yB2nR8pL4sD6fH0gA",
    "attributes": {},
    "base_url": "https://example.com/api",
    "before": None,
    "after": None,
    "body_base64": "AAE=",
    "config": {"url": "https://example.com/hook"},
    "connection_id": _CONNECTION,
    "content": {},
    "cursor": "eyJhZnRlciI6WzFdfQ",
    "data": {},
    "description": "A measurement was stored.",
    "detail": "What is wrong, and what to do.",
    "device_id": _DEVICE,
    "devices": [_DEVICE],
    "event_id": "k7p2m5q8x1c4v6b9n3t0w2r5y8",
    "event_ids": ["k7p2m5q8x1c4v6b9n3t0w2r5y8"],
    "expected_interval_seconds": 600,
    "external_id": None,
    "filter": {"types": ["alert.*"]},
    "firmware": "2026.3",
    "integration_id": _INTEGRATION,
    "key": "overheated",
    "latitude": 48.137,
    "longitude": 11.575,
    "metric": "temperature",
    "metrics": ["temperature"],
    "model": "Thingsee AIR",
    "mqtt_topic_prefix": f"hub/{_CONNECTION}/",
    "name": "Entrance",
    "native_id": "TSAR01EKF200000001",
    "openapi": "3.1.0",
    "parent_id": None,
    "path": "$[0]",
    "pointer": "/name",
    "public_key": None,
    "reason": "tsmTuid is missing or no text",
    "receipt_id": _RECEIPT,
    "reference": "clips/8201058b.wav",
    "remedy": "Send the parameter once.",
    "secret": "shown-this-once",
    "settings": {},
    "template": "{{summary}}",
    "timezone": "Europe/Berlin",
    "transform": None,
    "type": "measurement.recorded",
    "unit": "Cel",
    "url": "https://example.com/hook",
    "value": 21.5,
    "vendor": "haltian",
    "webhook_url": f"https://hub.example.com/webhooks/{_CONNECTION}",
}
"""What stands for a member wherever it occurs, where its own schema has no example."""

IDS: Mapping[str, str] = {
    "Accepted": "job_6m1q9x3c7b4z8k2v",
    "Alert": "alt_y7va7l4nkzkqqn55lfdc7u5es4",
    "ApiKey": "key_5q9x3c7b4z8k2v1m",
    "Connection": _CONNECTION,
    "ConnectionWithSecret": _CONNECTION,
    "Delivery": "dlv_1q9x3c7b4z8k2v5m",
    "Device": _DEVICE,
    "Integration": _INTEGRATION,
    "IntegrationChanged": _INTEGRATION,
    "IntegrationWithSecret": _INTEGRATION,
    "KeyWithSecret": "key_5q9x3c7b4z8k2v1m",
    "Receipt": _RECEIPT,
    "TenantCreated": "ten_9x3c7b4z8k2v5m1q",
}
"""Ids by the model that has them; of all others they look like a digest."""
_DIGEST = "k7p2m5q8x1c4v6b9n3t0w2r5y8"
_MOMENT = "2026-01-31T12:00:00.000Z"


def example(  # noqa: PLR0911 - one return a kind of schema
    schema: Mapping[str, Any], definitions: Mapping[str, Any], name: str = "", owner: str = ""
) -> Any:
    """Return a value that a schema allows; ``name`` is the member's and ``owner`` the model it is of."""
    if "$ref" in schema:
        model = schema["$ref"].rsplit("/", 1)[1]
        return example(definitions[model], definitions, owner=model)
    if schema.get("examples"):
        return schema["examples"][0]
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if name == "id":
        return IDS.get(owner, _DIGEST)
    if "properties" in schema:
        title = schema.get("title", owner)
        return {
            each: example(inner, definitions, each, title)
            for each, inner in schema["properties"].items()
        }
    if name in MEMBERS and _fits(MEMBERS[name], schema):
        return MEMBERS[name]
    for each in schema.get("anyOf", ()):
        if each.get("type") != "null":
            return example(each, definitions, name, owner)
    return _plain(schema, definitions, name)


def _fits(value: Any, schema: Mapping[str, Any]) -> bool:
    types: set[str | None] = set()
    for each in schema.get("anyOf", [schema]):
        stated = each.get("type")
        types |= set(stated) if isinstance(stated, list) else {stated}
    return bool(types & {None, *_TYPES[type(value)]})


_TYPES: Mapping[type, tuple[str, ...]] = {
    dict: ("object",),
    list: ("array",),
    str: ("string",),
    int: ("integer", "number"),
    float: ("number",),
    type(None): ("null",),
}


def _plain(  # noqa: PLR0911 - one return a type
    schema: Mapping[str, Any], definitions: Mapping[str, Any], name: str
) -> Any:
    if "default" in schema:
        return schema["default"]
    match schema.get("type"):
        case "array":
            return [example(schema["items"], definitions, name)] if "items" in schema else []
        case "object":
            inner = schema.get("additionalProperties")
            return {"temperature": example(inner, definitions)} if isinstance(inner, dict) else {}
        case "integer" | "number":
            return max(schema.get("minimum", 0), schema.get("exclusiveMinimum", 0)) or 1
        case "boolean":
            return True
        case "string":
            return (
                _MOMENT if schema.get("format") == "date-time" else name.replace("_", " ") or "text"
            )
        case _:
            return None
