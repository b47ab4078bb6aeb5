"""Loopback sockets, bound before anything is started."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from infra.local.mistakes import MistakeError


def bound(port: int, switch: str) -> socket.socket:
    """Return a socket bound to a loopback port.  Raises :class:`MistakeError` if it is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        why = "is taken" if not isinstance(error, PermissionError) else "is not allowed"
        raise MistakeError(f"port {port} {why}: choose another one with {switch}=") from error
    return listener


def reachable(url: str, switch: str) -> None:
    """Raise :class:`MistakeError` if nobody listens where a URL points."""
    parts = urlsplit(url)
    try:
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        socket.create_connection((parts.hostname or "", port), timeout=5).close()
    except (OSError, ValueError) as error:
        raise MistakeError(f"{switch}: nobody answers at {url}: {error}") from error


def again(url: str | None) -> socket.socket:
    """Return a socket on the port of a former URL, or on any free one."""
    if url:
        try:
            return bound(int(url.rsplit(":", 1)[1]), "")
        except (MistakeError, ValueError):
            pass
    return bound(0, "")
