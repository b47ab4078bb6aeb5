"""CloudEvents 1.0: the envelope of every change that leaves the hub.

An event is a plain dict in the JSON format's form.  Its ``id`` is the change's id: the same for every
integration, retry and replay, without a dot (Standard Webhooks signs ``id.timestamp.body``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chalicelib.model.digests import digest
from chalicelib.model.times import to_rfc3339

CloudEvent = dict[str, Any]

TYPES = (
    "measurement.recorded",
    "measurement.corrected",
    "event.occurred",
    "alert.raised",
    "alert.acknowledged",
    "alert.cleared",
    "device.registered",
    "device.updated",
    "device.online",
    "device.offline",
    "media.added",
    "command.updated",
    "vendor.schema_drift",
    "integration.test",
    "integration.failing",
    "integration.disabled",
    "integration.recovered",
)
"""Every type that a filter's ``types`` can name."""


def about_device(
    kind: str, identity: str, device_id: str, connection_id: str, *, at: int, data: Any
) -> CloudEvent:
    """Return the event of a change of a device or of a record about one."""
    vendor = device_id.split(":", 1)[0]
    source = f"/vendors/{vendor}/connections/{connection_id}"
    return _event(kind, identity, source, device_id, at=at, data=data)


def test_event(integration_id: str, now: int) -> CloudEvent:
    """Return the event that an operator's test of an integration delivers."""
    identity = digest("integration.test", integration_id, now)
    data = {"integration_id": integration_id, "message": "This is a test."}
    source = f"/integrations/{integration_id}"
    return _event("integration.test", identity, source, integration_id, at=now, data=data)


def about_integration(kind: str, integration_id: str, at: int, data: Any) -> CloudEvent:
    """Return the event of how an integration does."""
    identity = digest(kind, integration_id, at)
    source = f"/integrations/{integration_id}"
    return _event(kind, identity, source, integration_id, at=at, data=data)


def identity(events: Sequence[CloudEvent], *, batch: bool) -> str:
    """Return the id of what is sent: the event's own, or a digest of a batch's ids."""
    return digest("batch", [event["id"] for event in events]) if batch else str(events[0]["id"])


def _event(
    kind: str, identity: str, source: str, subject: str, *, at: int, data: Any
) -> CloudEvent:
    return {
        "specversion": "1.0",
        "id": identity,
        "source": source,
        "type": kind,
        "subject": subject,
        "time": to_rfc3339(at),
        "datacontenttype": "application/json",
        "data": data,
    }
