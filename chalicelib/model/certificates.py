"""Client certificates: whom the hub is to an endpoint that asks (mutual TLS)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

LONGEST = 32 * 1024
"""Characters of a PEM text."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate (and its chain) and its private key, both PEM."""

    chain: str = field(repr=False)
    key: str = field(repr=False)


def load(context: ssl.SSLContext, certificate: Certificate) -> None:
    """Let a context present a certificate.  Raises ``ValueError`` saying what is wrong with it."""
    import tempfile  # noqa: PLC0415 - few endpoints ask for a certificate
    from pathlib import Path  # noqa: PLC0415
    from ssl import SSLError  # noqa: PLC0415

    # OpenSSL takes files only.  The folder is the process's own, and gone when this returns.
    with tempfile.TemporaryDirectory() as folder:
        chain, key = Path(folder, "chain.pem"), Path(folder, "key.pem")
        chain.write_text(certificate.chain, "ascii", "replace")
        key.touch(0o600)
        key.write_text(certificate.key, "ascii", "replace")
        try:
            # An encrypted key would ask for its password on the terminal.
            context.load_cert_chain(chain, key, password=lambda: "")
        except SSLError as error:
            mismatch = error.reason == "KEY_VALUES_MISMATCH"
            what = "the key is not the certificate's" if mismatch else "not readable as PEM"
            raise ValueError(what) from None


def problem(certificate: Certificate) -> str | None:
    """Say what is wrong with a certificate, or ``None``."""
    import ssl  # noqa: PLC0415

    try:
        load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate)
    except ValueError as error:
        return str(error)
    return None
