"""Connections over sockets whose every wait ends at one moment, and answers read to the letter."""

from __future__ import annotations

import contextlib
import math
import select
import socket
import ssl
import time
from functools import lru_cache
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any

from chalicelib.model import certificates
from chalicelib.model.addresses import Address, Target
from chalicelib.model.certificates import Certificate


@lru_cache(maxsize=64)
def tls_context(certificate: Certificate | None = None) -> ssl.SSLContext:
    """Return the context of TLS connections: this machine's authorities, names checked.

    With a certificate it is shown to endpoints that ask for one.  Raises ``ValueError`` for a bad one.
    """
    context = ssl.create_default_context()
    context.sslsocket_class = _Secure
    if certificate is not None:
        certificates.load(context, certificate)
    return context


_MOST_INTERIM_LINES = 200
"""Of all 1xx together; http.client takes 100 headers of the answer itself."""


class IncompleteHeadersError(HTTPException):
    """The answer ended within its headers."""


class EndlessInterimError(HTTPException):
    """The answer never comes to its point: one 1xx follows another."""


class _Plain(socket.socket):
    """A socket whose every wait ends at one moment, however often it is waited."""

    deadline = math.inf

    def recv_into(self, *arguments: Any) -> int:
        """Receive, waiting no longer than until the deadline."""
        _bound(self, self.deadline)
        return super().recv_into(*arguments)

    def sendall(self, *arguments: Any) -> None:
        """Send, waiting no longer than until the deadline."""
        _bound(self, self.deadline)
        super().sendall(*arguments)


class _Secure(ssl.SSLSocket):
    """The same over TLS."""

    deadline = math.inf

    def recv_into(self, *arguments: Any) -> int:
        """Receive, waiting no longer than until the deadline."""
        _bound(self, self.deadline)
        return super().recv_into(*arguments)

    def send(self, *arguments: Any) -> int:
        """Send a part, waiting no longer than until the deadline."""
        _bound(self, self.deadline)
        return super().send(*arguments)


def _bound(sock: socket.socket, deadline: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the deadline has passed")
    sock.settimeout(left if left < math.inf else None)


class Answer(HTTPResponse):
    """An answer that skips every 1xx and knows whether its headers came to an end, and what came after it."""

    def __init__(self, sock: _Plain | _Secure, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self._socket = sock
        self._more = False

    def clean(self) -> bool:
        """Say whether a closed answer had one end that cannot be mistaken, and nothing came behind it."""
        lengths = ("Content-Length", "Transfer-Encoding")
        said = sum(len(self.headers.get_all(name, [])) for name in lengths)
        return said <= 1 and not self._more

    def _close_conn(self) -> None:
        if hasattr(self.fp, "peek"):  # the headers are read
            self._socket.deadline = 0  # only look at what is here already
            with contextlib.suppress(OSError):
                self._more = bool(self.fp.peek(1))
        super()._close_conn()  # type: ignore[misc]

    def begin(self) -> None:
        """Read the header section."""
        if self.headers is not None:
            return
        source = self.fp
        lines = _Lines(source)
        self.fp = lines
        try:
            super().begin()
        finally:
            if self.fp is lines:
                self.fp = source
        if lines.last not in (b"\r\n", b"\n"):
            raise IncompleteHeadersError

    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # type: ignore[misc]
        for _ in range(_MOST_INTERIM_LINES):
            if status >= 200:
                return version, status, reason
            if self.fp.readline(65_537) in (b"\r\n", b"\n", b""):
                version, status, reason = super()._read_status()  # type: ignore[misc]
        raise EndlessInterimError


class _Lines:
    """A reader that remembers the last line it gave."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.last = b""

    def readline(self, limit: int = -1) -> bytes:
        """Read a line."""
        self.last = self._source.readline(limit)
        return self.last

    def close(self) -> None:
        """Close what is read from."""
        self._source.close()


class Connection(HTTPConnection):
    """A connection over a socket that is already connected, to exactly that address."""

    response_class = Answer

    def __init__(self, target: Target, sock: _Plain | _Secure) -> None:
        super().__init__(target.host, target.port)
        self.default_port = 443 if target.scheme == "https" else 80
        self.auto_open = 0  # never dial anew: that address would not have been checked
        self.sock = sock
        self._socket = sock
        self.opened_at = self.used_at = time.time()

    def bound(self, deadline: float) -> None:
        """Set the moment at which every wait ends."""
        self._socket.deadline = deadline

    def silent(self) -> bool:
        """Say whether the other end has neither closed nor spoken out of turn."""
        try:
            self._socket.settimeout(0)
            self._socket.deadline = math.inf
            return not _readable(self._socket)
        except (OSError, ValueError):
            return False


def _readable(sock: socket.socket) -> bool:
    if isinstance(sock, _Secure) and sock.pending():
        return True
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def connected(address: Address, port: int, seconds: float) -> _Plain:
    """Return a socket connected to exactly that address.  Raises ``OSError``."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    sock = _Plain(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(seconds)
        sock.connect((str(address), port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


def secured(raw: _Plain, host: str, context: ssl.SSLContext, until: float) -> _Secure:
    """Return a socket that speaks TLS with a host of that name.  Raises ``OSError``."""
    raw.settimeout(max(until - time.monotonic(), 0.001))
    try:
        sock = context.wrap_socket(raw, server_hostname=host)
    except BaseException:
        raw.close()
        raise
    assert isinstance(sock, _Secure)  # noqa: S101 - the context's own socket class
    return sock
