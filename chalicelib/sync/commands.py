"""Commands on their way to the vendor: each sent once at most, unless it is certain that nobody read it.

Vendors promise nothing for a request that comes twice.  So a command is marked as sent before it goes; where
nobody knows whether the vendor took it, it stays so until the device answers or waiting ends.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chalicelib import errands, telemetry, vendors
from chalicelib.model.clients import Commands
from chalicelib.model.commands import Command, moved
from chalicelib.store import commands, connections
from chalicelib.store.connections import Connection
from chalicelib.store.table import ConflictError, Table, table_of
from chalicelib.sync.accounts import NoAccountError, NotNowError, json_of

if TYPE_CHECKING:
    from chalicelib.aws import Hub
    from chalicelib.model.clients import Account
    from chalicelib.outbound.http import Outcome
    from chalicelib.sync.accounts import Accounts

_UNREAD = frozenset({429, 503})
"""Statuses by which a vendor says that it did nothing."""
_REFUSED = range(400, 500)
_FIRST, _LONGEST = 2, 60
"""Seconds until a command that nobody read is sent again; they double."""


def send(hub: Hub, tenant: str, identity: str, accounts: Accounts) -> None:
    """Send a queued command.  One that is on its way, done or cancelled is left alone."""
    table = table_of(hub)
    command = commands.find(table, tenant, identity)
    if command is None or command.state != "queued":
        return
    if command.deadline is not None and command.deadline <= hub.now():
        return  # the sweep says so
    connection = connections.find(table, command.connection_id)
    known = _commands_of(connection)
    if connection is None or known is None:
        _end(table, tenant, command, "the connection is gone")
        return
    try:
        account = accounts.open(connection)
        _attempt(table, tenant, command, connection, known, accounts, account)
    except NoAccountError as error:
        _end(table, tenant, command, str(error))
    except NotNowError as error:
        _again(table, tenant, command, str(error), error.retry_after)


def _attempt(
    table: Table,
    tenant: str,
    command: Command,
    connection: Connection,
    known: Commands,
    accounts: Accounts,
    account: Account,
) -> None:
    order, now = command.order, table.hub.now
    if known.check(order, account):  # the connection's settings have changed since
        _end(table, tenant, command, "the connection's settings do not allow it any more")
        return
    claim = {"attempts": command.attempts + 1, "reference": known.reference(order)}
    try:
        sent = commands.save(table, tenant, moved(command, "sent", now(), result=None, **claim))
    except ConflictError:
        return  # cancelled, or another process has it
    outcome = accounts.ask(connection, account, lambda each: known.request(order, each))
    telemetry.logger().info(
        "command.sent",
        extra={
            "command": command.id,
            "vendor": connection.vendor,
            "attempt": sent.attempts,
            "status": outcome.status,
            "error": outcome.error,
            "milliseconds": outcome.latency_ms,
        },
    )
    _settle(table, tenant, sent, known, outcome)


def _settle(table: Table, tenant: str, command: Command, known: Commands, outcome: Outcome) -> None:
    """Write what an attempt led to."""
    if outcome.delivered:
        taken = known.taken(command.order, json_of(outcome))
        reference = taken.reference or command.reference
        deadline = command.deadline if known.answers and reference else None
        _write(
            table, tenant, command, "accepted",
            reference=reference, deadline=deadline, result=taken.result,
        )  # fmt: skip
    elif not outcome.begun or outcome.status in _UNREAD:
        reason = outcome.error or f"the vendor answered {outcome.status}"
        _again(table, tenant, command, reason, outcome.retry_after)
    elif outcome.status in _REFUSED:
        refused = {"status": outcome.status, "answer": outcome.excerpt}
        _end(table, tenant, command, "the vendor refused it", **refused)
    else:
        reason = outcome.error or f"the vendor answered {outcome.status}"
        result = {"reason": f"nobody knows whether the vendor took it: {reason}"}
        commands.change(table, tenant, command.id, lambda each: _told(each, result))


def _told(command: Command, result: Any) -> Command:
    return replace(command, result=result) if command.state == "sent" else command


def _again(
    table: Table, tenant: str, command: Command, reason: str, retry_after: str | None
) -> None:
    """Have a command that nobody read sent again a little later."""
    hub = table.hub
    wait = min(_FIRST * 2 ** min(command.attempts, 10), _LONGEST)
    if retry_after is not None and retry_after.isascii() and retry_after.isdigit():
        wait = min(max(int(retry_after), 1), errands.LONGEST_DELAY)
    result = {"reason": f"not sent yet: {reason}"}

    def waiting(found: Command) -> Command:
        if found.state == "queued":
            return replace(found, attempts=command.attempts + 1, result=result)
        return moved(found, "queued", hub.now(), result=result)

    found = commands.change(table, tenant, command.id, waiting)
    if found is not None and found.state == "queued":
        errands.send_commands(hub, [(tenant, found)], wait)


def _end(table: Table, tenant: str, command: Command, reason: str, **more: Any) -> None:
    _write(table, tenant, command, "failed", result={"reason": reason, **more})


def _write(table: Table, tenant: str, command: Command, state: Any, **changes: Any) -> None:
    now = table.hub.now()
    commands.change(table, tenant, command.id, lambda each: moved(each, state, now, **changes))


def _commands_of(connection: Connection | None) -> Commands | None:
    if connection is None or connection.deleted_at is not None:
        return None
    client = vendors.client(connection.vendor)
    return client.commands if client is not None else None
