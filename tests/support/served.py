"""The API on a real socket: the local run's server and API Gateway's part, above a hub of a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from chalice.app import Request as ChaliceRequest

from chalicelib.api import entry
from chalicelib.aws import Hub
from infra.local.gateway import Answer, Request, event_of
from infra.local.ports import bound
from infra.local.server import HttpServer


@contextmanager
def served(hub: Hub) -> Iterator[str]:
    """Serve a hub's API; yield its base URL."""

    def answer(request: Request) -> Answer:
        said = entry.answer(ChaliceRequest(event_of(request)), hub)
        headers = [(name, str(value)) for name, value in said.headers.items()]
        return Answer(said.status_code, headers, str(said.body).encode())

    server = HttpServer(bound(0, ""), answer, threads=1)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()
