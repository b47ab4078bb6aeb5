"""HTTP requests as values: what is to be sent, made by those who never send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from chalicelib.model.certificates import Certificate


@dataclass(frozen=True, slots=True)
class Grant:
    """OAuth 2.0 client credentials: whoever sends first asks for a token there."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request to be sent, without the headers that signing and a grant add."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    grant: Grant | None = None
    certificate: Certificate | None = None
    """Whom the hub is to the endpoint, where that asks."""
    within: float | None = None
    """Seconds for the whole exchange, where less than usual are left."""
