"""The catalogue: what the hub knows, and how to ask it."""

from __future__ import annotations

import math
from typing import Any

from chalicelib import vendors as known_vendors
from chalicelib.api.calls import Call
from chalicelib.api.openapi import VERSION
from chalicelib.api.problems import KINDS, not_found, type_of
from chalicelib.model.cloudevents import TYPES
from chalicelib.model.fields import Field
from chalicelib.model.metrics import METRICS

_EVENT_TYPES = {
    "measurement.recorded": "A measurement was stored.",
    "measurement.corrected": "A stored measurement reads otherwise since its payload was normalised again.",
    "event.occurred": "Something happened that is not a number.",
    "alert.raised": "A condition began.",
    "alert.acknowledged": "An operator took note of an alert.",
    "alert.cleared": "A condition ended, by the vendor or by an operator.",
    "device.registered": "A device was heard of for the first time.",
    "device.updated": "A slow fact of a device changed.",
    "device.online": "A device is heard of again.",
    "device.offline": "A device has been silent too long, or its vendor says so.",
    "media.added": "A recording or picture can be fetched.",
    "command.updated": "A command changed its state.",
    "vendor.schema_drift": "A vendor's payloads no longer look as they did.",
    "integration.test": "An operator tests an integration.",
    "integration.failing": "Deliveries to an integration keep failing.",
    "integration.disabled": "The hub disabled an integration.",
    "integration.recovered": "Deliveries to an integration succeed again.",
}


def vendors(call: Call) -> Any:
    """List vendors."""
    return _all(_vendor(name) for name in call.vendors)


def metrics(_call: Call) -> Any:
    """List the metric vocabulary."""
    return _all(
        {
            "name": row.name,
            "unit": row.unit,
            "kind": row.kind,
            "minimum": row.low if math.isfinite(row.low) else None,
            "maximum": row.high if math.isfinite(row.high) else None,
        }
        for row in METRICS.values()
    )


def destinations(call: Call) -> Any:
    """List kinds of destination and their config."""
    from chalicelib import destinations as kinds  # noqa: PLC0415 - only this listing needs them
    from chalicelib.api.routes.integrations import available  # noqa: PLC0415

    found = [(name, kinds.destination(name)) for name in kinds.names()]
    return _all(
        {
            "kind": name,
            "title": each.title,
            "fields": [_field(field) for field in each.fields],
            "available": available(each, call.hub.config),
            "ordered": each.ordered,
            "max_records": each.batches.records if each.batches else None,
            "templates": dict(each.texts),
        }
        for name, each in found
    )


def event_types(_call: Call) -> Any:
    """List CloudEvents types."""
    return _all({"type": each, "description": _EVENT_TYPES[each]} for each in TYPES)


def problems(_call: Call) -> Any:
    """List every kind of problem."""
    return _all(_problem(slug) for slug in KINDS)


def problem(call: Call) -> Any:
    """Explain one kind of problem."""
    slug = call.path["problem"]
    if slug not in KINDS:
        raise not_found("kind of problem")
    return _problem(slug)


def _problem(slug: str) -> dict[str, Any]:
    kind = KINDS[slug]
    return {"type": type_of(slug), **kind._asdict()}


def health(_call: Call) -> Any:
    """Say that the API answers."""
    return {"status": "ok", "version": VERSION}


def openapi(_call: Call) -> Any:
    """Return the OpenAPI document."""
    from chalicelib.api.openapi import document  # noqa: PLC0415 - it imports every model
    from chalicelib.api.table import ROUTES  # noqa: PLC0415

    return document(ROUTES)


def _vendor(name: str) -> dict[str, Any]:
    client = known_vendors.client(name)
    commands = client.commands.names if client and client.commands else {}
    return {
        "name": name,
        "adapter_version": known_vendors.adapter(name).version,
        "credentials": [_field(field) for field in client.credentials] if client else [],
        "commands": [{"name": each, "description": text} for each, text in commands.items()],
    }


def _field(field: Field) -> dict[str, Any]:
    return {
        "name": field.name,
        "description": field.description,
        "required": field.required,
        "sensitive": field.sensitive,
    }


def _all(rows: Any) -> dict[str, Any]:
    return {"data": list(rows), "next_cursor": None}
