"""Replies: a device says what came of a command, and the command says it on."""

from __future__ import annotations

from chalicelib import vendors
from chalicelib.model.commands import moved
from chalicelib.store import commands, said
from chalicelib.store.table import Plain, Table


def hear(table: Table, tenant: str, item: Plain) -> None:
    """Take a stored event as the reply to a command, if it is one.  Hearing it again changes nothing."""
    event = said.event_of(item)
    client = vendors.client(event.device_id.split(":", 1)[0])
    if client is None or client.commands is None:
        return
    known, data = client.commands, event.data
    reference = known.replied(event.type, data)
    if reference is None:
        return
    command = commands.referred_to(table, tenant, event.device_id, reference)
    judgement = known.judged(command.order, data) if command is not None else None
    if command is None or judgement is None:
        return
    at = said.provenance_of(item).received_at
    commands.change(table, tenant, command.id, lambda each: moved(each, judgement, at, result=data))
