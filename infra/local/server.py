"""The HTTP server: waitress, on a loopback socket, for any function from request to answer."""

from __future__ import annotations

import http
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import waitress.channel
import waitress.parser
import waitress.server
import waitress.task
import waitress.wasyncore

from infra.local.gateway import Answer, Request, problem

_ACCEPTED = 64 * 1024 * 1024
"""Bytes of a body that are read, so that its sender gets to read our answer to it."""
_FINISH_WITHIN = 5


class HttpServer:
    """Serves from a thread of its own."""

    def __init__(
        self, listener: socket.socket, answer: Callable[[Request], Answer], *, threads: int = 16
    ) -> None:
        logging.getLogger("waitress").setLevel(logging.CRITICAL)
        server: Any = waitress.server.create_server(
            _application(answer),
            sockets=[listener],
            threads=threads,
            ident=None,
            connection_limit=1000,
            recv_bytes=65536,
            channel_timeout=120,
            max_request_body_size=_ACCEPTED,
        )
        server.channel_class = _Channel
        self._server = server
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)
        host, port = listener.getsockname()[:2]
        self.url = f"http://{host}:{port}"

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Accept nothing more and finish the requests in hand."""
        self._stopping.set()
        self._server.pull_trigger()
        self._thread.join()
        self._server.task_dispatcher.shutdown(cancel_pending=True, timeout=5)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._turn()
        waitress.wasyncore.dispatcher.close(self._server)
        until = time.monotonic() + _FINISH_WITHIN
        while self._busy() and time.monotonic() < until:
            self._turn()
        for channel in list(self._server.active_channels.values()):
            channel.handle_close()
        self._server.trigger.close()

    def _turn(self) -> None:
        """Look once at all sockets."""
        waitress.wasyncore.loop(
            timeout=0.2,
            map=self._server._map,  # noqa: SLF001 - waitress's own ``run`` does no more
            use_poll=True,
            count=1,
        )

    def _busy(self) -> bool:
        channels = list(self._server.active_channels.values())
        return any(each.requests or each.total_outbufs_len for each in channels)


class _ErrorTask(waitress.task.ErrorTask):
    """What waitress refuses before any function sees it, as a problem of RFC 9457."""

    def execute(self) -> None:
        task: Any = self  # the stubs know it only in part
        error = task.request.error
        answer = problem(int(error.code), str(error.body).strip() or error.reason)
        self.status = f"{error.code} {error.reason}"
        task.response_headers.extend(answer.headers)
        self.set_close_on_finish()
        self.content_length = len(answer.body)
        self.write(answer.body)


class _Parser(waitress.parser.HTTPRequestParser):
    """Refuses a request that says its length in two ways: the beginning of every smuggling."""

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise waitress.parser.ParsingError("Content-Length beside Transfer-Encoding")


class _Channel(waitress.channel.HTTPChannel):
    error_task_class = _ErrorTask
    parser_class = _Parser


def _application(answer: Callable[[Request], Answer]) -> Callable[..., Iterable[bytes]]:
    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        given = answer(_request(environ))
        status = f"{given.status} {_reason(given.status)}"
        headers = [*given.headers, ("content-length", str(len(given.body)))]
        if given.status in {204, 304}:
            headers.pop()
        start_response(status, headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [given.body]

    return application


def _request(environ: dict[str, Any]) -> Request:
    headers = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.replace("_", "-").lower()] = environ[name]
    target = environ["REQUEST_URI"]
    if "://" in target.split("?", 1)[0] and not target.startswith("/"):
        target = "/" + target.split("://", 1)[1].partition("/")[2]
    path, _, query = target.partition("?")
    return Request(
        environ["REQUEST_METHOD"],
        path.partition("#")[0] or "/",
        query.partition("#")[0],
        headers,
        environ["wsgi.input"].read(),
        environ.get("REMOTE_ADDR", "127.0.0.1"),
    )


def _reason(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
