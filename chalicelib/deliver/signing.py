"""Standard Webhooks: the three headers by which a receiver knows that a request is ours."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping

Secrets = Iterable[tuple[str, int | None]]
"""Signing secrets (``whsec_`` and base 64) and the moment (ms) at which each ends, if it does."""
_PREFIX = "whsec_"


def headers(webhook_id: str, body: bytes, secrets: Secrets, now: int) -> Mapping[str, str]:
    """Return the headers that sign a body at a moment with every secret that is live then."""
    timestamp = str(now // 1000)
    content = f"{webhook_id}.{timestamp}.".encode() + body
    signatures = [f"v1,{_hmac(secret, content)}" for secret in _live(secrets, now)]
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(signatures),
    }


def _live(secrets: Secrets, now: int) -> list[str]:
    """Return live secrets, the one without an end (the newest) first."""
    live = [(secret, until) for secret, until in secrets if until is None or until > now]
    live.sort(key=lambda row: (row[1] is not None, -(row[1] or 0)))
    return [secret for secret, _ in live]


def _hmac(secret: str, content: bytes) -> str:
    # As the reference library reads it: padding is optional.
    key = base64.b64decode(secret.removeprefix(_PREFIX) + "==")
    return base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
