"""Standard Webhooks: the three headers by which a receiver knows that a request is ours."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping

from chalicelib.security import PRIVATE, SYMMETRIC, scheme_of

Secrets = Iterable[tuple[str, int | None]]
"""Signing secrets (``whsec_…`` or ``whsk_…``) and the moment (ms) at which each ends, if it does."""


def headers(webhook_id: str, body: bytes, secrets: Secrets, now: int) -> Mapping[str, str]:
    """Return the headers that sign a body at a moment with every secret that is live then."""
    timestamp = str(now // 1000)
    content = f"{webhook_id}.{timestamp}.".encode() + body
    signatures = [_signature(secret, content) for secret in _live(secrets, now)]
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


def _signature(secret: str, content: bytes) -> str:
    if scheme_of(secret) == "ed25519":
        return f"v1a,{base64.b64encode(_ed25519(secret, content)).decode()}"
    return f"v1,{base64.b64encode(_hmac(secret, content)).decode()}"


def _hmac(secret: str, content: bytes) -> bytes:
    # As the reference library reads it: padding is optional.
    key = base64.b64decode(secret.removeprefix(SYMMETRIC) + "==")
    return hmac.new(key, content, hashlib.sha256).digest()


def _ed25519(secret: str, content: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415 - 20 ms to import
        Ed25519PrivateKey,
    )

    pair = base64.b64decode(secret.removeprefix(PRIVATE))
    return Ed25519PrivateKey.from_private_bytes(pair[:32]).sign(content)
