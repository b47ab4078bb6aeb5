"""A scripted HTTP endpoint on loopback: a real socket, so that answers can be as bad as they come."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self


@dataclass
class Request:
    """What arrived."""

    line: str
    headers: dict[str, str]
    body: bytes
    connection: int
    client: str | None = None
    """The common name of the client's certificate."""


Answer = bytes | Callable[[socket.socket, threading.Event], None]
"""Bytes to write, or a function that misbehaves (until the event says that the test is over)."""


def answer(status: str = "200 OK", body: bytes = b"", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _name(connection: socket.socket) -> str | None:
    shown: Any = connection.getpeercert() if isinstance(connection, ssl.SSLSocket) else None
    return shown["subject"][0][0][1] if shown else None


class Endpoint:
    """Answers one request after another as its script says; the last line of it is repeated."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.script: list[Answer] = [answer()]
        self.requests: list[Request] = []
        self.connections = 0
        self.hung_up = threading.Event()
        """A script came to its end, and the connection with it."""
        self._context = context
        self._over = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        scheme = "https" if self._context else "http"
        return f"{scheme}://127.0.0.1:{self.port}/hook"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        for thread in self._threads:
            thread.join(5)
        self._socket.close()

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._over.is_set():
            connection, _ = self._socket.accept()
            self.connections += 1
            self._start(self._serve, connection, self.connections)

    def _serve(self, connection: socket.socket, number: int) -> None:
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.suppress(OSError))
            stack.enter_context(connection)
            connection.settimeout(0.1)
            if self._context is not None:
                connection.settimeout(5)
                connection = self._context.wrap_socket(connection, server_side=True)
                stack.enter_context(connection)
                connection.settimeout(0.1)
            while (request := self._read(connection, number)) is not None:
                self.requests.append(request)
                step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
                connection.settimeout(5)
                if not isinstance(step, bytes):
                    stack.callback(self.hung_up.set)
                    stack.enter_context(connection)  # closed before anybody is told
                    step(connection, self._over)
                    return
                connection.sendall(step)
                connection.settimeout(0.1)

    def _read(self, connection: socket.socket, number: int) -> Request | None:
        data = b""
        while b"\r\n\r\n" not in data:
            if not (more := self._more(connection)):
                return None
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        line, *rows = head.decode("latin-1").split("\r\n")
        headers = {n.lower(): v for n, v in (row.split(": ", 1) for row in rows)}
        while len(body) < int(headers.get("content-length", 0)):
            if not (more := self._more(connection)):
                return None
            body += more
        return Request(line, headers, body, number, _name(connection))

    def _more(self, connection: socket.socket) -> bytes:
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                return connection.recv(65_536)
        return b""
