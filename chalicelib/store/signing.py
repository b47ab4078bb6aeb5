"""The hub's own signing secret: made once, by whichever process needs it first."""

from __future__ import annotations

import secrets
from contextlib import suppress
from weakref import WeakKeyDictionary

from chalicelib.store.table import ConflictError, Key, Table

_KEY = Key("HUB", "SIGNING")
_known: WeakKeyDictionary[Table, bytes] = WeakKeyDictionary()


def secret(table: Table) -> bytes:
    """Return the secret that seals cursors: the same in every process of the hub, for ever."""
    found = _known.get(table)
    if found is None:
        found = _known[table] = _load(table)
    return found


def _load(table: Table) -> bytes:
    item = table.get(_KEY)
    if item is None:
        with suppress(ConflictError):  # another process was first, and its secret counts
            table.replace(_KEY, {"d": secrets.token_bytes(32)}, None)
        item = table.get(_KEY)
    if item is None:
        raise LookupError("the signing secret vanished")
    found: bytes = item["d"]
    return found
