"""Into the sync queue: the messages that name what is to be done at vendors, and nothing else.

``{"tenant", "command"}`` asks for a command to be sent.  Work for one connection shares a message group,
so that a vendor which is slow delays itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from chalicelib import queues
from chalicelib.model.commands import Command

if TYPE_CHECKING:
    from chalicelib.aws import Hub

LONGEST_DELAY = 900
"""Seconds for which the queue can hold a message back."""


def send_commands(hub: Hub, commands: Iterable[tuple[str, Command]], delay: int = 0) -> None:
    """Ask for commands (each with its tenant) to be sent, after so many seconds."""
    seconds = min(max(delay, 0), LONGEST_DELAY)
    messages = (
        queues.Message(
            json.dumps({"tenant": tenant, "command": command.id}), command.connection_id, seconds
        )
        for tenant, command in commands
    )
    queues.send(hub, hub.config.sync_url, messages)
