"""From events to what is sent for an integration: its transform, its texts, its destination's form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib import destinations
from chalicelib.config import Config
from chalicelib.destinations import AwsCall, Destination, Form
from chalicelib.model.cloudevents import CloudEvent
from chalicelib.model.requests import Request
from chalicelib.store.integrations import Integration


def rendered(
    integration: Integration,
    events: Sequence[CloudEvent],
    *,
    batch: bool,
    settings: Config,
    device: Mapping[str, Any] | None,
) -> Request | AwsCall | None:
    """Return what is to be sent; ``None`` if nothing of it is for that place.

    ``device`` is the first event's, as the API shows it, where a text may name it.  Raises
    ``ProjectionError`` where the integration's own expression does not fit the data.
    """
    destination = destinations.destination(integration.kind)
    transform = integration.transform or {}
    expression = transform.get("jmespath")
    if expression is not None:
        from chalicelib.model.projections import projected  # noqa: PLC0415 - few have one

        made = projected(expression, [event["data"] for event in events])
        events = [{**event, "data": data} for event, data in zip(events, made, strict=True)]
    form = Form(
        batch=batch,
        texts=_texts(destination, transform, events[0], device),
        tenant=integration.tenant,
        given=getattr(settings, destination.needs) if destination.needs else "",
    )
    return destination.render(events, integration.config, form)


def _texts(
    destination: Destination,
    transform: Mapping[str, Any],
    event: CloudEvent,
    device: Mapping[str, Any] | None,
) -> Mapping[str, str]:
    if not destination.texts:
        return {}
    from chalicelib.model import templates  # noqa: PLC0415 - time zones: 10 ms that webhooks spare

    facts = templates.facts_of(event, device, transform.get("timezone") or "UTC")
    return {
        name: templates.filled(transform.get(name) or template, facts)
        for name, template in destination.texts.items()
    }
