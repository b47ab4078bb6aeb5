"""Commands: rows of their device, found by id through a pointer and, while awaited, by their deadline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

from chalicelib.model.commands import Command
from chalicelib.model.times import DAY, to_rfc3339
from chalicelib.store import keys
from chalicelib.store.listing import Page, within
from chalicelib.store.table import VERSION, ConflictError, Key, Plain, Table, pack, unpack

RETENTION = 400 * DAY
_AWAITED = "COMMANDS"
"""The partition of ``by_state`` that lists commands by the moment at which waiting ends."""
_RECENT = 100
"""A device's newest commands among which an answer's is looked for."""
_KEPT_APART = ("id", "device_id", "version")


def create(table: Table, tenant: str, command: Command) -> Command:
    """Write a new command; the stream has it sent."""
    where = _key(tenant, command)
    # The pointer first: one that leads nowhere is no command.
    pointer: Plain = {"d": pack([where.pk, where.sk]), **_expiry(table, command)}
    table.put(keys.command_pointer(tenant, command.id), pointer)
    return save(table, tenant, command)


def find(table: Table, tenant: str, identity: str) -> Command | None:
    """Return a command as it is now, or ``None``."""
    pointer = table.get(keys.command_pointer(tenant, identity))
    item = table.get(Key(*unpack(pointer["d"]))) if pointer else None
    return command_of(item) if item else None


def change(
    table: Table, tenant: str, identity: str, change: Callable[[Command], Command]
) -> Command | None:
    """Write what ``change`` makes of a command and return it; ``None`` if there is no such command.

    Where it changes nothing, nothing is written.  It may be called again: somebody else may write first.
    """
    while True:
        command = find(table, tenant, identity)
        if command is None:
            return None
        changed = change(command)
        if changed == command:
            return command
        try:
            return save(table, tenant, changed)
        except ConflictError:
            continue


def commands(table: Table, tenant: str, device_id: str, *, limit: int, after: Plain | None) -> Page:
    """Return a page of a device's commands, newest first."""
    low, high = _bounds()
    partition = keys.device_pk(tenant, device_id)
    return within(
        table, partition, low, high, limit=limit, after=after, descending=True, consistent=True
    )


def referred_to(table: Table, tenant: str, device_id: str, reference: str) -> Command | None:
    """Return the command of which a device's message speaks, if it is one of the newest."""
    low, high = _bounds()
    partition = keys.device_pk(tenant, device_id)
    items, _ = table.query(partition, low, high, descending=True, limit=_RECENT, consistent=True)
    found = (command_of(item) for item in items)
    return next((each for each in found if each.reference == reference), None)


def overdue(table: Table, now: int) -> Iterator[tuple[str, str]]:
    """Yield tenant and id of every command for which waiting has ended."""
    for item in table.walk(_AWAITED, "0", f"{to_rfc3339(now)}#~", index="by_state"):
        yield keys.device_of(item["pk"])[0], item["sk"].rsplit("#", 1)[1]


def command_of(item: Mapping[str, Any]) -> Command:
    """Return the command that a stored item holds."""
    _, device_id = keys.device_of(item["pk"])
    identity = item["sk"].rsplit("#", 1)[1]
    body: Plain = unpack(item["d"])
    return Command(id=identity, device_id=device_id, version=int(item[VERSION]), **body)


def save(table: Table, tenant: str, command: Command) -> Command:
    """Write a command and return it as stored.  Raises ``ConflictError`` if it changed since it was read."""
    body = {name: value for name, value in asdict(command).items() if name not in _KEPT_APART}
    item: Plain = {"d": pack(body), **_expiry(table, command)}
    if command.deadline is not None:
        item |= {"g2pk": _AWAITED, "g2sk": f"{to_rfc3339(command.deadline)}#{command.id}"}
    read = {VERSION: command.version} if command.version else None
    table.replace(_key(tenant, command), item, read)
    return replace(command, version=command.version + 1)


def _expiry(table: Table, command: Command) -> Plain:
    if table.hub.config.keep_all:
        return {}
    return {"expires_at": (command.requested_at + RETENTION) // 1000}


def _key(tenant: str, command: Command) -> Key:
    return keys.command(tenant, command.device_id, command.requested_at, command.id)


def _bounds() -> tuple[str, str]:
    return keys.COMMAND, keys.COMMAND + "~"
