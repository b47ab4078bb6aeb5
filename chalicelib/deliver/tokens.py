"""Access tokens of OAuth 2.0 client credentials: fetched when needed, kept until shortly before they end."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from threading import Lock
from urllib.parse import quote_plus, urlencode

from chalicelib.model.certificates import Certificate
from chalicelib.model.requests import Grant, Request
from chalicelib.outbound.http import Send

_EARLY = 30_000
"""Milliseconds before its end from which a token is not used any more."""
_DEFAULT = 300
"""Seconds for which a token is kept that says nothing of its end."""
_LONGEST = 86_400
_MOST = 1000
_Key = tuple[Grant, Certificate | None]


class TokenError(Exception):
    """No token: the text says why and holds no secret."""


class Tokens:
    """The tokens of one process."""

    def __init__(self, send: Send, now: Callable[[], int], clock: Callable[[], float]) -> None:
        self._send = send
        self._clock = clock
        self._now = now
        self._known: dict[_Key, tuple[str, int]] = {}
        self._locks: dict[_Key, Lock] = {}
        self._lock = Lock()

    def token(
        self, grant: Grant, certificate: Certificate | None, until: float
    ) -> tuple[str, bool]:
        """Return a token, and whether it was fetched just now.

        Raises ``TokenError``, also where there is none ``until`` then (seconds of the clock).
        """
        key = (grant, certificate)
        with self._lock:
            if len(self._locks) > _MOST:
                self._known.clear()
                self._locks.clear()
            one_at_a_time = self._locks.setdefault(key, Lock())
        if not one_at_a_time.acquire(timeout=max(0.0, until - self._clock())):
            raise TokenError("no token: timeout")
        try:
            known = self._known.get(key)
            if known is not None and self._now() < known[1]:
                return known[0], False
            token, seconds = self._fetched(grant, certificate, until - self._clock())
            self._known[key] = (token, self._now() + round(seconds * 1000) - _EARLY)
            return token, True
        finally:
            one_at_a_time.release()

    def forget(self, grant: Grant, certificate: Certificate | None, token: str) -> None:
        """Forget a token that was refused, unless there is another by now."""
        known = self._known.get((grant, certificate))
        if known is not None and known[0] == token:
            self._known.pop((grant, certificate), None)

    def _fetched(
        self, grant: Grant, certificate: Certificate | None, within: float
    ) -> tuple[str, float]:
        form = {"grant_type": "client_credentials"} | (
            {"scope": grant.scope} if grant.scope else {}
        )
        # RFC 6749, 2.3.1: both parts are encoded as a form before they are joined.
        pair = f"{quote_plus(grant.client_id)}:{quote_plus(grant.client_secret)}"
        headers = {
            "User-Agent": "Tributary/1",
            "Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}",
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        body = urlencode(form).encode()
        asked = Request("POST", grant.token_url, headers, body, None, certificate, within)
        outcome = self._send(asked)
        if not outcome.delivered:
            raise TokenError(f"no token: {outcome.error or f'status {outcome.status}'}")
        try:
            answer = json.loads(outcome.content)
            token = answer["access_token"]
            seconds = float(answer.get("expires_in") or _DEFAULT)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise TokenError("no token: the answer holds no access_token") from None
        if (
            not isinstance(token, str)
            or not token.isascii()
            or not token.isprintable()
            or not token
        ):
            raise TokenError("no token: the answer holds no access_token")
        if str(answer.get("token_type", "Bearer")).lower() != "bearer":
            raise TokenError("no token: its type is not Bearer")
        return token, min(max(seconds, 0.0), _LONGEST)
