"""Into the inbound queue: payloads, wherever they came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib import archive, queues
from chalicelib.model.envelope import Envelope

if TYPE_CHECKING:
    from chalicelib.aws import Hub

_ENVELOPE_LIMIT = queues.MESSAGE_LIMIT - 1024


def put(hub: Hub, envelope: Envelope) -> None:
    """Put a payload on the queue; one too large for a message waits in the archive bucket."""
    text = envelope.to_json()
    if len(text) > _ENVELOPE_LIMIT:
        pointer = archive.park(hub, envelope.receipt_id, envelope.body)
        text = envelope.pointing(pointer).to_json()
    queues.send(hub, hub.config.inbound_url, [queues.Message(text)])
