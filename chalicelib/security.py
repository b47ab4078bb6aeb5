"""Secrets: made, hashed, compared.  Nothing here logs or returns a stored secret."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string

_ALPHABET = string.ascii_lowercase + string.digits


def new_id(prefix: str) -> str:
    """Return an id nobody can guess, such as ``con_`` and 16 letters or digits (82 bits)."""
    return f"{prefix}_{''.join(secrets.choice(_ALPHABET) for _ in range(16))}"


def new_secret(prefix: str = "") -> str:
    """Return a secret of 256 bits that survives URLs, headers and topics."""
    return prefix + secrets.token_urlsafe(32)


def hashed(secret: str) -> str:
    """Return what is stored of a secret that only has to be recognised.

    A plain SHA-256 suffices: the secrets are 256 random bits, which no dictionary holds.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def same(left: str, right: str) -> bool:
    """Compare two texts in a time that does not tell where they differ."""
    return hmac.compare_digest(left.encode("utf-8", "replace"), right.encode("utf-8", "replace"))
