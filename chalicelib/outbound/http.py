"""One HTTP request to a stranger's endpoint, within limits that the stranger cannot stretch.

The address that was checked is the address that is dialled.  No redirects, no proxies, no cookies; the
whole exchange has a deadline on the wall clock, however slowly bytes drip; little of an answer is read.
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse, RemoteDisconnected
from typing import TYPE_CHECKING, Any, cast

from chalicelib.model.addresses import BadTargetError, Target, permitted
from chalicelib.model.certificates import Certificate
from chalicelib.model.requests import Request
from chalicelib.outbound.connections import Connection, connected, secured, tls_context
from chalicelib.resolution import Resolve, checked, resolve

if TYPE_CHECKING:
    from chalicelib.outbound.connections import Answer

READ_LIMIT = 16 * 1024
EXCERPT_LIMIT = 4 * 1024
_DELIVERED = range(200, 300)
_IDLE = 2.0
"""Seconds for which an idle connection is kept: less than servers do, so none is used as it closes."""
_AGE = 60.0
"""Seconds after which a connection is not used again: a name may have moved meanwhile."""
_MOST_IDLE = 8
_Door = tuple[str, str, int, Certificate | None]
"""Where a connection leads, and as whom: nobody's connection is used in another's name."""
_OPEN = ("content-type", "user-agent", "webhook-")
"""Headers, or how they begin, that hold no secret."""
_SHORTEST_SECRET = 6
"""Characters: what is shorter stands in innocent text by chance."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds by the wall clock."""

    total: float = 15.0
    connect: float = 5.0
    """Of the total, for the name, the connection and TLS together."""
    after_success: float = 1.0
    """For the body of an answer whose headers already said that all is well."""
    content: int = READ_LIMIT
    """Bytes of a body that are read."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one try led to: a complete header section has a ``status``, anything else an ``error``."""

    status: int | None
    latency_ms: int
    excerpt: str = ""
    error: str | None = None
    retry_after: str | None = None
    content: bytes = field(default=b"", repr=False, compare=False)
    """The beginning of the answer's body."""
    unsent: str | None = None
    """Why nothing was sent, where that is right so."""
    begun: bool = True
    """Whether the endpoint may have seen some of the request; no: it was never connected to."""

    @property
    def delivered(self) -> bool:
        """Whether the endpoint took it, or there was nothing for it to take."""
        return self.status in _DELIVERED or self.unsent is not None


Send = Callable[[Request], Outcome]


class Sender:
    """Sends requests, and keeps a few connections for the next ones."""

    def __init__(
        self,
        private_targets: str,
        limits: Limits | None = None,
        resolve: Resolve = resolve,
        context: Callable[[Certificate | None], ssl.SSLContext] = tls_context,
    ) -> None:
        self._private_targets = private_targets
        self._limits = limits or Limits()
        self._resolve = resolve
        self._context = context
        self._idle: dict[_Door, list[Connection]] = {}
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Outcome:
        """Send a request.  Never raises for anything that an endpoint or a network can do."""
        started = time.monotonic()
        begun = False
        try:
            target = permitted(request.url, self._private_targets)
            door = (*target[:3], request.certificate)
            total = self._limits.total
            deadline = started + (total if request.within is None else min(total, request.within))
            connection = self._kept(door) or self._dial(
                target, started, deadline, request.certificate
            )
            begun = True
            status, retry_after, content = self._exchange(
                request, target, door, connection, deadline
            )
        except Exception as error:  # noqa: BLE001 - an endpoint's failure is an outcome, whatever it is
            return Outcome(None, _since(started), error=self._named(error), begun=begun)
        excerpt = _excerpt(content, request)
        return Outcome(status, _since(started), excerpt, None, retry_after, content)

    def close(self) -> None:
        """Close what is kept."""
        with self._lock:
            idle = [each for kept in self._idle.values() for each in kept]
            self._idle.clear()
        for connection in idle:
            connection.close()

    def _exchange(
        self,
        request: Request,
        target: Target,
        door: _Door,
        connection: Connection,
        deadline: float,
    ) -> tuple[int, str | None, bytes]:
        connection.bound(deadline)
        try:
            connection.request(request.method, target.path, request.body, request.headers)
            response = cast("Answer", connection.getresponse())
        except BaseException:
            connection.close()
            raise
        if response.status in _DELIVERED:
            connection.bound(min(deadline, time.monotonic() + self._limits.after_success))
        content = _content(response, self._limits.content)
        whole = response.isclosed() or response.length == 0
        response.close()
        if whole and not response.will_close and response.clean():
            self._keep(door, connection)
        else:
            connection.close()
        return response.status, response.headers.get("Retry-After"), content

    def _dial(
        self, target: Target, started: float, deadline: float, certificate: Certificate | None
    ) -> Connection:
        until = min(started + self._limits.connect, deadline)
        wait = until - time.monotonic()
        try:
            addresses = checked(target, self._private_targets, wait, self._resolve)
        except TimeoutError:
            raise _ConnectTimeoutError from None
        failure: OSError = OSError("the name has no address")
        for left in range(len(addresses), 0, -1):
            address = addresses[-left]
            share = (until - time.monotonic()) / left  # a dead address leaves time for the next
            if share <= 0:
                break
            try:
                raw = connected(address, target.port, share)
            except OSError as error:
                failure = error
                continue
            if target.scheme == "http":
                return Connection(target, raw)
            try:
                sock = secured(raw, target.host, self._context(certificate), until)
            except TimeoutError:
                raise _ConnectTimeoutError from None
            return Connection(target, sock)
        if isinstance(failure, TimeoutError) or until <= time.monotonic():
            raise _ConnectTimeoutError
        raise failure

    def _kept(self, door: _Door) -> Connection | None:
        now = time.time()
        while True:
            with self._lock:
                idle = self._idle.get(door)
                if not idle:
                    return None
                connection = idle.pop()
            young = now - connection.used_at < _IDLE and now - connection.opened_at < _AGE
            if young and connection.silent():
                return connection
            connection.close()

    def _keep(self, door: _Door, connection: Connection) -> None:
        connection.used_at = time.time()
        with self._lock:
            idle = self._idle.setdefault(door, [])
            if len(idle) < _MOST_IDLE:
                idle.append(connection)
                return
        connection.close()

    def _named(self, error: Exception) -> str:
        if isinstance(error, _ConnectTimeoutError):
            return f"timeout: no connection within {self._limits.connect:g} s"
        if isinstance(error, TimeoutError):
            return f"timeout: no complete answer within {self._limits.total:g} s"
        for kind, name in _NAMES:
            if isinstance(error, kind):
                return name(error)[:_LONGEST_ERROR]
        return f"not sent: {type(error).__name__}"


class _ConnectTimeoutError(Exception):
    """The time for connecting was not enough."""


_LONGEST_ERROR = 200
_NAMES: tuple[tuple[type[Exception], Callable[[Any], str]], ...] = (
    (BadTargetError, str),
    (socket.gaierror, lambda _: "the name cannot be resolved"),
    (ssl.SSLError, lambda error: f"TLS: {error.reason or type(error).__name__}"),
    (ConnectionRefusedError, lambda _: "connection refused"),
    (RemoteDisconnected, lambda _: "connection closed without an answer"),
    (ConnectionError, lambda _: "connection reset"),
    (HTTPException, lambda error: f"not a complete HTTP answer: {type(error).__name__.strip('_')}"),
    (OSError, lambda error: f"network: {error.strerror or error}"),
)
"""How errors are told in the log: the first kind that fits."""


def _content(response: HTTPResponse, most: int) -> bytes:
    """Read the beginning of a body; what goes wrong there no longer matters."""
    parts: list[bytes] = []
    left = most
    try:
        while left > 0 and (part := response.read1(left)):
            parts.append(part)
            left -= len(part)
    except (OSError, HTTPException, ValueError):
        pass
    return b"".join(parts)


def _excerpt(content: bytes, request: Request) -> str:
    """Return the beginning of an answer without the secrets that an endpoint may have said back."""
    text = content[:READ_LIMIT].decode("utf-8", "replace")
    for secret in _secrets(request):
        text = text.replace(
            secret, "*" * len(secret)
        )  # as long: a later one must not move into view
    return text.encode()[:EXCERPT_LIMIT].decode("utf-8", "ignore")


def _secrets(request: Request) -> list[str]:
    """Return the header values that nobody may read in a log, as text and as JSON says them."""
    found: set[str] = set()
    for name, value in request.headers.items():
        if not name.lower().startswith(_OPEN):
            for each in (value, value.rpartition(" ")[2]):  # Authorization: a scheme and a secret
                found |= {each, json.dumps(each)[1:-1]}
    return sorted((each for each in found if len(each) >= _SHORTEST_SECRET), key=len, reverse=True)


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
