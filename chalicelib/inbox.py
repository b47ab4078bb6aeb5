"""Into the inbound queue, beside payloads: work on history, which must not hold up what arrives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chalicelib import queues
from chalicelib.store.renormalizations import Renormalization

if TYPE_CHECKING:
    from chalicelib.aws import Hub

_WORK = '{"job": '


def work_on(hub: Hub, job: Renormalization) -> None:
    """Ask for the next slice of a job."""
    work = {
        "tenant": job.tenant,
        "connection": job.connection_id,
        "id": job.id,
        "slices": job.slices,
    }
    message = queues.Message(json.dumps({"job": work}), job.connection_id)
    queues.send(hub, hub.config.inbound_url, [message])


def work_of(text: str) -> Mapping[str, Any] | None:
    """Return the work that a message asks for, ``None`` for a payload."""
    if not text.startswith(_WORK):
        return None
    found: Mapping[str, Any] = json.loads(text)["job"]
    return found
