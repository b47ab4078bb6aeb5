"""Whether a request comes from the vendor: the connection's secret, in any of four places."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping

from chalicelib.security import hashed, same
from chalicelib.store.connections import Connection


def authentic(
    connection: Connection, headers: Mapping[str, str], token: str | None, now: int
) -> bool:
    """Say whether a request carries a live secret of the connection (header names in lower case).

    Every presented text is compared with every live secret, in constant time.
    """
    live = [secret for secret, until in connection.secrets if until is None or now < until]
    found = False
    for text in _presented(connection, headers, token):
        for secret in live:
            found |= same(hashed(text), secret)
    return found


def _presented(
    connection: Connection, headers: Mapping[str, str], token: str | None
) -> Iterator[str]:
    scheme, _, value = headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer":
        yield value.strip()
    if scheme.lower() == "basic":
        yield _basic_password(value.strip())
    named = connection.settings.get("auth_header")
    if isinstance(named, str) and named.lower() in headers:
        yield headers[named.lower()].strip()
    if token is not None:
        yield token


def _basic_password(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[2]
    except ValueError:  # not base 64, not ASCII, not UTF-8
        return ""
