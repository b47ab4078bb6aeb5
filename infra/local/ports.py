"""Loopback sockets, bound before anything is started."""

from __future__ import annotations

import socket

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


def again(url: str | None) -> socket.socket:
    """Return a socket on the port of a former URL, or on any free one."""
    if url:
        try:
            return bound(int(url.rsplit(":", 1)[1]), "")
        except (MistakeError, ValueError):
            pass
    return bound(0, "")
