"""Accounts at vendors: credentials opened, sessions kept in this process, requests sent in their name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any

from chalicelib import vendors
from chalicelib.model.clients import Account, Client
from chalicelib.model.fields import declared
from chalicelib.model.requests import Request
from chalicelib.store import connections
from chalicelib.store.connections import Connection
from chalicelib.store.table import table_of

if TYPE_CHECKING:
    from chalicelib.aws import Hub
    from chalicelib.outbound.http import Outcome, Send

_UNAUTHORIZED = 401
_FORBIDDEN = frozenset({400, 401, 403})
_EARLY = 30_000
"""Milliseconds before its end from which a token is not used any more."""
_MOST = 1000


class NoAccountError(Exception):
    """The connection lets nobody in, and trying again does not help: the text says why."""


class NotNowError(Exception):
    """The vendor cannot be asked now; nothing was asked."""

    def __init__(self, reason: str, retry_after: str | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Accounts:
    """What one process knows of accounts."""

    def __init__(self, hub: Hub, send: Send) -> None:
        self._hub = hub
        self._send = send
        self._tokens: dict[tuple[str, int], tuple[str, int]] = {}
        self._lock = Lock()

    def open(self, connection: Connection) -> Account:
        """Return a connection's account in a session.  Raises ``NoAccountError`` or ``NotNowError``."""
        client = client_of(connection)
        credentials = connections.credentials(table_of(self._hub), connection)
        if not credentials:
            raise NoAccountError("the connection has no credentials")
        if declared(client.credentials, credentials):
            raise NoAccountError("the connection's credentials are not those that the vendor needs")
        base_url = connection.settings.get("base_url") or client.base_url
        if not base_url:
            raise NoAccountError("the connection has no settings.base_url")
        account = Account(base_url, credentials, connection.settings)
        return self._in_session(connection, client, account)

    def ask(
        self, connection: Connection, account: Account, request: Callable[[Account], Request]
    ) -> Outcome:
        """Send a request in an account's name.  A kept token that is refused is fetched anew, once.

        Raises ``NoAccountError`` or ``NotNowError`` if there is no new one.
        """
        client = client_of(connection)
        outcome = self._send(_shown(request(account), client, account))
        if outcome.status != _UNAUTHORIZED or client.login is None:
            return outcome
        with self._lock:
            self._tokens.pop(_door(connection), None)
        fresh = self._in_session(connection, client, account)
        return self._send(_shown(request(fresh), client, fresh))

    def _in_session(self, connection: Connection, client: Client, account: Account) -> Account:
        if client.login is None or client.session is None:
            return account
        with self._lock:
            token, until = self._tokens.get(_door(connection), ("", 0))
        if self._hub.now() < until:
            return replace(account, token=token)
        outcome = self._send(client.login(account))
        if outcome.status in _FORBIDDEN:
            raise NoAccountError(f"the vendor refuses the credentials: {outcome.status}")
        if not outcome.delivered:
            reason = outcome.error or f"status {outcome.status}"
            raise NotNowError(f"no session: {reason}", outcome.retry_after)
        try:
            session = client.session(json_of(outcome))
        except ValueError as error:
            raise NotNowError(f"no session: {error}") from None
        until = self._hub.now() + round(session.seconds * 1000) - _EARLY
        with self._lock:
            if len(self._tokens) >= _MOST:
                self._tokens.clear()
            self._tokens[_door(connection)] = session.token, until
        return replace(account, token=session.token)


def client_of(connection: Connection) -> Client:
    """Return what is known of a vendor's API.  Raises ``NoAccountError`` where that is nothing."""
    client = vendors.client(connection.vendor)
    if client is None:
        raise NoAccountError(f"{connection.vendor} has no API that the hub knows")
    return client


def json_of(outcome: Outcome) -> Any:
    """Return the JSON of an answer, ``None`` where it is none."""
    try:
        return json.loads(outcome.content)
    except ValueError:
        return None


def _door(connection: Connection) -> tuple[str, int]:
    # Another version may have other credentials.
    return connection.id, connection.version


def _shown(request: Request, client: Client, account: Account) -> Request:
    return replace(request, headers={**request.headers, **client.headers(account)})
