"""Commands: what an operator asks of a device, and how far that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from chalicelib.model.clients import Order
from chalicelib.model.times import to_rfc3339

State = Literal["queued", "sent", "accepted", "succeeded", "failed", "timed_out", "cancelled"]
STATES: Mapping[State, frozenset[State]] = {
    "queued": frozenset({"sent", "failed", "timed_out", "cancelled"}),
    # What the vendor turned away unread waits again.
    "sent": frozenset({"queued", "accepted", "succeeded", "failed", "timed_out"}),
    "accepted": frozenset({"succeeded", "failed", "timed_out"}),
    # A device that slept may still answer: the end of waiting is a guess.
    "timed_out": frozenset({"succeeded", "failed"}),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}
"""Every state, and those that may follow it."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command for one device.  Moments in milliseconds.

    ``deadline`` is when waiting ends, ``None`` once there is nothing to wait for; ``reference`` is the
    name under which the vendor's messages speak of it.
    """

    id: str
    device_id: str
    connection_id: str
    name: str
    payload: Any
    requested_at: int
    updated_at: int
    deadline: int | None
    state: State = "queued"
    result: Any = None
    reference: str = ""
    attempts: int = 0
    version: int = 0

    @property
    def order(self) -> Order:
        """The command as the vendor is told of it."""
        native = self.device_id.split(":", 1)[1]
        return Order(self.id, native, self.name, self.payload, self.deadline or self.requested_at)

    def as_json(self) -> dict[str, Any]:
        """Return the command as the API and deliveries show it."""
        return {
            "id": self.id,
            "device_id": self.device_id,
            "name": self.name,
            "payload": self.payload,
            "state": self.state,
            "requested_at": to_rfc3339(self.requested_at),
            "updated_at": to_rfc3339(self.updated_at),
            "result": self.result,
        }


def moved(command: Command, state: State, now: int, **changes: Any) -> Command:
    """Return the command in another state, or as it is where that state may not follow."""
    if state not in STATES[command.state]:
        return command
    over = not STATES[state] or state == "timed_out"
    changed = replace(command, state=state, updated_at=max(now, command.updated_at), **changes)
    return replace(changed, deadline=None) if over else changed
