"""Secrets: made, hashed, compared.  Nothing here logs or returns a stored secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import string

SYMMETRIC, PRIVATE, PUBLIC = "whsec_", "whsk_", "whpk_"
"""How Standard Webhooks marks the keys of HMAC, and the private and public keys of Ed25519."""
_ALPHABET = string.ascii_lowercase + string.digits


def new_id(prefix: str) -> str:
    """Return an id nobody can guess, such as ``con_`` and 16 letters or digits (82 bits)."""
    return f"{prefix}_{new_name()}"


def new_name() -> str:
    """Return what sets an id apart: 16 letters or digits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(16))


def new_secret(prefix: str = "") -> str:
    """Return a secret of 256 bits that survives URLs, headers and topics."""
    return prefix + secrets.token_urlsafe(32)


def new_signing_secret(scheme: str) -> str:
    """Return a secret that signs deliveries by ``hmac`` or by ``ed25519`` (then a key pair)."""
    if scheme == "hmac":
        return SYMMETRIC + base64.b64encode(secrets.token_bytes(32)).decode()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415 - 20 ms to import
        Ed25519PrivateKey,
    )

    key = Ed25519PrivateKey.generate()
    pair = key.private_bytes_raw() + key.public_key().public_bytes_raw()
    return PRIVATE + base64.b64encode(pair).decode()


def scheme_of(secret: str) -> str:
    """Return how a signing secret signs: ``hmac`` or ``ed25519``."""
    return "ed25519" if secret.startswith(PRIVATE) else "hmac"


def verifying_key(secret: str) -> str:
    """Return what a receiver verifies with: an HMAC secret itself, or the public half of a key pair."""
    if scheme_of(secret) == "hmac":
        return secret
    pair = base64.b64decode(secret.removeprefix(PRIVATE))
    return PUBLIC + base64.b64encode(pair[32:]).decode()


def hashed(secret: str) -> str:
    """Return what is stored of a secret that only has to be recognised.

    A plain SHA-256 suffices: the secrets are 256 random bits, which no dictionary holds.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def same(left: str, right: str) -> bool:
    """Compare two texts in a time that does not tell where they differ."""
    return hmac.compare_digest(left.encode("utf-8", "replace"), right.encode("utf-8", "replace"))
