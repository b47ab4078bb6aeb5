"""Rate limits: how much a key may ask, and how every answer says what is left.

A process counts its own answers exactly.  What others let the same key do it learns from the table, but only
for a key that is busy, and once for many requests: a write costs as much as a request.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache

from chalicelib.api.problems import ProblemError
from chalicelib.aws import Hub
from chalicelib.model.pace import Pace
from chalicelib.store import allowances
from chalicelib.store.access import ApiKey
from chalicelib.store.allowances import Allowance
from chalicelib.store.table import table_of

REQUESTS, SECONDS = 200, 2
"""By default 200 at once, and 100 a second for as long as you like."""
_UNASKED = 20
"""A process lets a twentieth of the allowance through unasked, refilled twenty times slower."""
_SHARE = 10
"""It takes a tenth at a time."""
_MOST_KEYS = 1000


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request may be answered, and what every answer says about the limit."""

    pace: Pace
    left: int
    full_in: int
    wait: int
    """Milliseconds after which to ask again; 0: go on."""

    @property
    def headers(self) -> dict[str, str]:
        """The fields of draft-ietf-httpapi-ratelimit-headers."""
        return {
            "RateLimit": f'"default";r={self.left};t={_seconds(self.full_in)}',
            "RateLimit-Policy": f'"default";q={self.pace.requests};w={self.pace.seconds}',
        }

    def check(self) -> None:
        """Refuse a request that is one too many."""
        if self.wait:
            again = max(1, _seconds(self.wait))
            detail = (
                f"The key may send {self.pace.requests} requests in {self.pace.seconds} seconds."
            )
            raise ProblemError("too-many-requests", detail, headers={"Retry-After": str(again)})


class _Meter:
    """What one process knows of one key's allowance."""

    def __init__(self, requests: int, seconds: int) -> None:
        self._lock = threading.Lock()
        self._here = Pace(requests, seconds)
        unasked = requests // _UNASKED
        self._unasked = Pace(unasked, seconds * _UNASKED) if unasked else None
        self._most = max(1, requests // _SHARE)
        self._together = Allowance(Pace(requests, seconds))
        self._share, self._share_until, self._closed_until = 0, 0, 0

    def ask(self, hub: Hub, tenant: str, key_id: str) -> Verdict:
        """Count one request."""
        with self._lock:
            now = hub.now()
            if wait := self._here.wait(now):
                return Verdict(self._here, 0, self._here.full_in(now), wait)
            if not self._granted(hub, tenant, key_id, now):
                full_in = self._together.pace.full_in(now)
                return Verdict(self._here, 0, full_in, self._closed_until - now)
            self._here = self._here.taken(1, now)
            others = self._share + self._together.pace.left(now)
            left = min(self._here.left(now), others)
            return Verdict(self._here, left, self._here.full_in(now), 0)

    def _granted(self, hub: Hub, tenant: str, key_id: str, now: int) -> bool:
        if self._unasked is not None and self._unasked.left(now):
            self._unasked = self._unasked.taken(1, now)
            return True
        if not self._share or now >= self._share_until:
            if now < self._closed_until:
                return False
            table = table_of(hub)
            self._share, self._together = allowances.take(
                table, tenant, key_id, self._together, self._most
            )
            self._share_until = now + self._here.seconds * 1000
            if not self._share:  # others took it all: ask no more before it is worth a write
                wait = self._together.pace.wait(now, self._most)
                self._closed_until = now + max(1, wait)
                return False
        self._share -= 1
        return True


class Meters:
    """The meters of one process, one a key."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._lock = threading.Lock()
        self._known: dict[tuple[str, int, int], _Meter] = {}

    def ask(self, key: ApiKey) -> Verdict:
        """Count one request of a key and say whether it may be answered."""
        limit = key.rate_limit or {}
        requests, seconds = limit.get("requests", REQUESTS), limit.get("seconds", SECONDS)
        name = (key.id, int(requests), int(seconds))
        with self._lock:
            if name not in self._known:
                if len(self._known) >= _MOST_KEYS:
                    self._known.clear()
                self._known[name] = _Meter(*name[1:])
            meter = self._known[name]
        return meter.ask(self._hub, key.tenant, key.id)


@lru_cache(maxsize=8)
def meters_of(hub: Hub) -> Meters:
    """Return the hub's meters."""
    return Meters(hub)


def _seconds(milliseconds: int) -> int:
    return -(-milliseconds // 1000)
