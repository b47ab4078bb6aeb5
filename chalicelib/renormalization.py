"""Onto the inbound queue: the messages that name the next step of a renormalization.

A step is a slice of work.  A message whose order is further on means nothing, so one too many does no
harm, and one too few is made good by the sweep.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from chalicelib import queues
from chalicelib.store.renormalizations import Renormalization

if TYPE_CHECKING:
    from chalicelib.aws import Hub

_MARK = '{"renormalize":'


class Step(NamedTuple):
    """What a message names."""

    tenant: str
    connection_id: str
    number: int
    step: int


def enqueue(hub: Hub, order: Renormalization) -> None:
    """Name an order's next step to the queue.  Raises ``QueueError`` if it cannot be put there."""
    step = Step(order.tenant, order.connection_id, order.number, order.step)
    text = json.dumps({"renormalize": step}, separators=(",", ":"))
    queues.send(hub, hub.config.inbound_url, [queues.Message(text)])


def named(text: str) -> Step | None:
    """Return the step that a message of the inbound queue names; ``None``: it is a payload."""
    return Step(*json.loads(text)["renormalize"]) if text.startswith(_MARK) else None
