"""Commands: ordered by operators, sent off the request, followed to their end."""

from __future__ import annotations

from typing import Any

from chalicelib import vendors
from chalicelib.api.calls import Call
from chalicelib.api.problems import FieldError, ProblemError, invalid_fields, not_found
from chalicelib.api.routes import devices
from chalicelib.api.routes.connections import check_account
from chalicelib.model.clients import Account, Client, Commands
from chalicelib.model.commands import Command, moved
from chalicelib.store import commands, connections


def order(call: Call) -> Any:
    """Order a command for a device; it is sent a moment later."""
    device = devices.existing(call)
    made = commands.find(call.table, call.tenant, call.created_id) if call.reserved else None
    if made is not None:
        return made.as_json()  # by a call that died before its answer: it must not be sent twice
    client = vendors.client(device.vendor)
    known = _commands(client, device.vendor, call.body.name)
    connection = connections.find(call.table, device.connection_id)
    if connection is None or connection.deleted_at is not None:
        raise ProblemError("conflict", "The device's connection was deleted.")
    now = call.hub.now()
    command = Command(
        id=call.created_id,
        device_id=device.id,
        connection_id=connection.id,
        name=call.body.name,
        payload=call.body.payload,
        requested_at=now,
        updated_at=now,
        deadline=now + known.patience * 1000,
    )
    # Nobody is asked here, so the account needs no secrets.
    account = Account("", settings=connection.settings)
    found = [FieldError(*each) for each in known.check(command.order, account)]
    if found:
        raise invalid_fields(found)
    check_account(client, connection)
    return commands.create(call.table, call.tenant, command).as_json()


def of_device(call: Call) -> Any:
    """List a device's commands, newest first."""
    device = devices.existing(call)
    page = commands.commands(call.table, call.tenant, device.id, limit=call.limit, after=call.after)
    found = [commands.command_of(item) for item in page.items]
    return call.page([each.as_json() for each in found], page.after)


def read(call: Call) -> Any:
    """Read one command."""
    found = commands.find(call.table, call.tenant, call.path["command_id"])
    if found is None:
        raise not_found("command")
    return found.as_json()


def cancel(call: Call) -> Any:
    """Cancel a command that was not sent yet.  Repeating it changes nothing."""
    now = call.hub.now()
    found = commands.change(
        call.table, call.tenant, call.path["command_id"], lambda each: moved(each, "cancelled", now)
    )
    if found is None:
        raise not_found("command")
    if found.state != "cancelled":
        detail = f"The command is {found.state}: only one that is queued can be cancelled."
        raise ProblemError("conflict", detail)
    return found.as_json()


def _commands(client: Client | None, vendor: str, name: str) -> Commands:
    known = client.commands if client is not None else None
    if known is None:
        raise ProblemError("command-not-supported", f"{vendor} takes no commands.")
    if not known.takes(name):
        detail = f"{vendor} takes these commands: {', '.join(known.names)}."
        raise ProblemError("command-not-supported", detail)
    return known
