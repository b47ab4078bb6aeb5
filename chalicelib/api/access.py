"""Who calls: bearer keys, remembered for moments, and their scopes."""

from __future__ import annotations

import base64
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

from chalicelib.api.http import Request
from chalicelib.api.problems import ProblemError
from chalicelib.api.routing import Route
from chalicelib.aws import Hub
from chalicelib.security import hashed, same
from chalicelib.store import access as keys
from chalicelib.store.access import ApiKey
from chalicelib.store.table import table_of

_MEMORY_MS = 3000
"""A revoked key must stop working within 5 s, in every process."""
_MEMORY_KEYS = 1000


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf a request runs."""

    tenant: str
    key_id: str
    name: str


NOBODY = Caller("", "", "")
"""The caller of a public route."""
PREFIX = "trb_"
"""How API keys begin."""
_KEY = re.compile(PREFIX + "[A-Za-z0-9_-]{43}")
_ROOT = ApiKey("root", "", "root key", ("root",), 0, "")
"""The key above all tenants."""


class Memory:
    """Keys found a moment ago, so that a burst of calls reads its key once."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._found: dict[str, tuple[int, ApiKey]] = {}

    def find(self, digest: str) -> ApiKey | None:
        """Return a live key by its SHA-256, or ``None``."""
        now = self._hub.now()
        until, key = self._found.get(digest, (0, None))
        if key is None or not now < until <= now + _MEMORY_MS:
            key = keys.find(table_of(self._hub), digest)
            if key is None:
                self._found.pop(digest, None)
                return None
            if len(self._found) >= _MEMORY_KEYS:
                self._found.clear()
            self._found[digest] = (now + _MEMORY_MS, key)
        return key if key.expires_at is None or now < key.expires_at else None

    def forget(self) -> None:
        """Forget all: a key has just changed in this very process."""
        self._found.clear()


@lru_cache(maxsize=8)
def memory_of(hub: Hub) -> Memory:
    """Return the hub's memory of keys."""
    return Memory(hub)


def identified(hub: Hub, request: Request, *, basic: bool = False) -> ApiKey | None:
    """Return the live key that a request presents, or ``None``; ``basic``: also as a password."""
    presented = _presented(request, basic=basic)
    digest = hashed(presented)
    if hub.config.root_key_sha256 and same(digest, hub.config.root_key_sha256):
        return _ROOT
    # A guess that cannot be a key costs no read.  One that could be has 256 bits to hit.
    return memory_of(hub).find(digest) if _KEY.fullmatch(presented) else None


def authorized(key: ApiKey | None, route: Route) -> Caller:
    """Return who calls, or refuse the request with 401 or 403."""
    if key is None:
        detail = "Send Authorization: Bearer and a live API key."
        raise ProblemError("unauthorized", detail, headers=_challenge(route))
    if route.scope not in key.scopes:
        what = "root key" if route.scope == "root" else f"scope {route.scope!r}"
        detail = f"This call needs the {what}; the key has: {', '.join(key.scopes)}."
        raise ProblemError("missing-scope", detail)
    return Caller(key.tenant, key.id, key.name)


def _presented(request: Request, *, basic: bool) -> str:
    """Return the key that a request presents, or nothing."""
    scheme, _, rest = request.headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if basic and scheme.lower() == "basic":
        with suppress(ValueError):
            pair = base64.b64decode(rest.strip(), validate=True).decode()
            return pair.partition(":")[2]
    return ""


def _challenge(route: Route) -> dict[str, str]:
    schemes = ["Bearer", "Basic"] if route.basic else ["Bearer"]
    return {"WWW-Authenticate": ", ".join(f'{each} realm="tributary"' for each in schemes)}
