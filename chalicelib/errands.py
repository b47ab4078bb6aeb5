"""Into the sync queue: the messages that name what is to be done at vendors, and nothing else.

``{"tenant", "command"}`` asks for a command to be sent, ``{"tenant", "connection", "sync", "slice"}`` for a
slice of a sync: once the job is further on, the message is outdated and means nothing.  Work for one
connection shares a message group, so that a vendor which is slow delays itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from chalicelib import queues
from chalicelib.model.commands import Command
from chalicelib.model.times import DAY
from chalicelib.security import new_id
from chalicelib.store import syncs
from chalicelib.store.connections import Connection
from chalicelib.store.jobs import Job
from chalicelib.store.table import table_of

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


_REACH, _OVERLAP = 7 * DAY, 3_600_000
"""How far back (ms) a sync looks for what was missed, and how far into what was fetched already."""


def begin_sync(hub: Hub, connection: Connection) -> Job | None:
    """Begin a sync of a connection and return it; ``None`` if one is under way."""
    now = hub.now()
    job = Job(new_id("syn"), connection.tenant, connection.id, syncs.KIND, now)
    stored = syncs.begin(table_of(hub), job, now - _REACH, _OVERLAP)
    if stored is not None:
        hand_on(hub, stored)
    return stored


def hand_on(hub: Hub, job: Job, delay: int = 0) -> None:
    """Name the next slice of a sync, to be received after so many seconds."""
    body = {"tenant": job.tenant, "connection": job.owner, "sync": job.id, "slice": job.slice}
    message = queues.Message(json.dumps(body), job.owner, min(delay, LONGEST_DELAY))
    queues.send(hub, hub.config.sync_url, [message])
