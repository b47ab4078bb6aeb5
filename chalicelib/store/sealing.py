"""Secrets at rest: sealed under a data key that only KMS opens, and bound to whom they belong to.

A data key is a row that holds the key as KMS encrypted it.  A process has KMS open it when it first
needs it; what it sealed names it, so an older key is still found after a new one was made.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from chalicelib.model.times import DAY
from chalicelib.store.table import ConflictError, Key, Table

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_PARTITION, _PREFIX = "HUB", "DATAKEY#"
_CONTEXT = {"purpose": "tributary-secrets"}
"""What KMS binds data keys to; not the table's name, which a restored table changes."""
_YEAR = 365 * DAY
_FORMAT = b"\x01"
_NUMBER, _NONCE = 8, 12
"""Bytes."""


class SealError(Exception):
    """What was sealed is damaged, or belongs to somebody else."""


def seal(table: Table, owner: Sequence[str], value: Any) -> bytes:
    """Return a JSON value as only :func:`unseal` with the same owner reads it.

    ``owner`` is the kind, tenant and id of what the value belongs to.
    """
    number, cipher = _keys_of(table).current()
    head = _FORMAT + number.to_bytes(_NUMBER) + secrets.token_bytes(_NONCE)
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    return head + cipher.encrypt(head[-_NONCE:], text, _bound(head, owner))


def unseal(table: Table, owner: Sequence[str], sealed: bytes) -> Any:
    """Return what was sealed for an owner.  Raises :class:`SealError`."""
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - see _cipher

    head, rest = sealed[: 1 + _NUMBER + _NONCE], sealed[1 + _NUMBER + _NONCE :]
    if head[:1] != _FORMAT:
        raise SealError("sealed in an unknown way")
    cipher = _keys_of(table).key(int.from_bytes(head[1 : 1 + _NUMBER]))
    try:
        text = cipher.decrypt(head[-_NONCE:], rest, _bound(head, owner))
    except InvalidTag:
        raise SealError("sealed for somebody else, or damaged") from None
    return json.loads(text)


class _Keys:
    """The data keys that one process has had opened."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._opened: dict[int, AESGCM] = {}
        self._newest = 0

    def current(self) -> tuple[int, AESGCM]:
        """Return the newest key and its number, one that is less than a year old."""
        if self._outdated():
            self._look()
        if self._outdated():
            self._make()
            self._look()
        return self._newest, self.key(self._newest)

    def key(self, number: int) -> AESGCM:
        """Return a key by its number.  Raises :class:`SealError` for one that is not there."""
        if number not in self._opened:
            row = self._table.get(_row(number))
            if row is None:
                raise SealError("the data key is gone")
            answer = self._table.hub.kms.decrypt(
                CiphertextBlob=row["d"], EncryptionContext=_CONTEXT
            )
            self._opened[number] = _cipher(answer["Plaintext"])
        return self._opened[number]

    def _outdated(self) -> bool:
        return not self._newest or self._table.hub.now() - self._newest >= _YEAR

    def _look(self) -> None:
        rows, _ = self._table.query(
            _PARTITION, _PREFIX, _PREFIX + "~", descending=True, limit=1, consistent=True
        )
        self._newest = int(rows[0]["sk"].removeprefix(_PREFIX)) if rows else 0

    def _make(self) -> None:
        hub = self._table.hub
        made = hub.kms.generate_data_key(
            KeyId=hub.config.secrets_key, KeySpec="AES_256", EncryptionContext=_CONTEXT
        )
        with suppress(ConflictError):  # another process was first, and its key counts
            self._table.replace(_row(hub.now()), {"d": made["CiphertextBlob"]}, None)


_known: WeakKeyDictionary[Table, _Keys] = WeakKeyDictionary()


def _keys_of(table: Table) -> _Keys:
    return _known.setdefault(table, _Keys(table))


def _row(number: int) -> Key:
    """Where a data key is; its number is the moment (ms) at which it was made."""
    return Key(_PARTITION, f"{_PREFIX}{number:016}")


def _bound(head: bytes, owner: Sequence[str]) -> bytes:
    return head + json.dumps(list(owner)).encode()


def _cipher(key: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - 20 ms to import

    return AESGCM(key)
