"""Time-outs: commands of which nobody told the end in time."""

from __future__ import annotations

from chalicelib import aws
from chalicelib.model.commands import Command, moved
from chalicelib.store import commands
from chalicelib.store.table import table_of


def sweep(hub: aws.Hub | None = None) -> int:
    """End every command for which waiting has ended; return how many."""
    table = table_of(hub or aws.hub())
    now = table.hub.now()

    def ended(command: Command) -> Command:
        if command.deadline is None or command.deadline > now:
            return command
        result = command.result or {"reason": _REASONS.get(command.state, "")}
        return moved(command, "timed_out", now, result=result)

    found = 0
    for tenant, identity in commands.overdue(table, now):
        done = commands.change(table, tenant, identity, ended)
        found += done is not None and done.state == "timed_out"
    return found


_REASONS = {
    "queued": "it was not sent in time",
    "sent": "nobody knows whether the vendor took it",
    "accepted": "the device did not answer in time",
}
