"""Events and media."""

from __future__ import annotations

from typing import Any

from chalicelib.api.calls import Call
from chalicelib.api.routes.devices import existing
from chalicelib.model.assembly import EventRecord
from chalicelib.store import occurrences


def of_device(call: Call) -> Any:
    """List a device's events, newest first."""
    return _events(call, existing(call).id)


def of_tenant(call: Call) -> Any:
    """List the events of all devices, newest first."""
    return _events(call, None)


def media_of_device(call: Call) -> Any:
    """List a device's media, newest first."""
    device = existing(call)
    if call.nothing:
        return call.page([], None)
    page = occurrences.media(
        call.table,
        call.tenant,
        device=device.id,
        start=call.query["from"],
        end=call.query["to"],
        limit=call.limit,
        after=call.after,
    )
    return call.page([occurrences.media_as_json(item) for item in page.items], page.after)


def _events(call: Call, device: str | None) -> Any:
    if call.nothing:
        return call.page([], None)
    types, vendors = call.query["type"], call.query.get("vendor")

    def keep(event: EventRecord) -> bool:
        vendor = event.device_id.split(":", 1)[0]
        return (not types or event.type in types) and (not vendors or vendor in vendors)

    page = occurrences.events(
        call.table,
        call.tenant,
        device=device,
        start=call.query["from"],
        end=call.query["to"],
        limit=call.limit,
        after=call.after,
        keep=keep,
    )
    return call.page([occurrences.event_as_json(item) for item in page.items], page.after)
