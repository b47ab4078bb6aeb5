"""The HTTP server hands requests over as they were sent, quickly and to loopback only."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from infra.local import ports
from infra.local.gateway import Answer, Request
from infra.local.server import HttpServer


def echo(request: Request) -> Answer:
    said = [request.method, request.path, request.query, len(request.body), dict(request.headers)]
    return Answer(200, [("content-type", "application/json")], json.dumps(said).encode())


@pytest.fixture(scope="module")
def server() -> Iterator[HttpServer]:
    made = HttpServer(ports.bound(0, ""), echo)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def http(server: HttpServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, trust_env=False) as made:
        yield made


def raw(server: HttpServer, request: bytes) -> bytes:
    port = int(server.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(request)
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer


def test_path_and_query_are_not_decoded(http: httpx.Client) -> None:
    said = http.get("/a%2Fb%20c?x=%20y&x=2").json()

    assert said[:3] == ["GET", "/a%2Fb%20c", "x=%20y&x=2"]


def test_an_absolute_target_is_its_path(server: HttpServer) -> None:
    said = raw(server, b"GET http://h/p?q=http://x HTTP/1.0\r\nHost: h\r\n\r\n")

    assert b'["GET", "/p", "q=http://x"' in said


def test_a_body_may_come_in_chunks(http: httpx.Client) -> None:
    said = http.post("/", content=(b"x" * 1000 for _ in range(3))).json()

    assert said[3] == 3000


def test_a_body_beyond_every_limit_still_gets_its_answer(http: httpx.Client) -> None:
    assert http.post("/", content=b"x" * 20_000_000).json()[3] == 20_000_000


def test_head_has_the_headers_and_no_body(http: httpx.Client) -> None:
    answer = http.head("/")

    assert int(answer.headers["content-length"]) > 0
    assert answer.content == b""
    assert http.get("/").status_code == 200


def test_a_kept_connection_does_not_stall(http: httpx.Client) -> None:
    http.get("/")
    began = time.monotonic()
    for _ in range(50):
        http.post("/", content=b"x" * 2000)

    assert (time.monotonic() - began) / 50 < 0.02


@pytest.mark.parametrize(
    "request_",
    [
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, x\r\n\r\n0\r\n\r\n",
        b"NONSENSE\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused_as_a_problem(server: HttpServer, request_: bytes) -> None:
    head, _, body = raw(server, request_).partition(b"\r\n\r\n")

    assert head.split()[1] in {b"400", b"501"}
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] in {400, 501}


def test_ending_finishes_the_request_in_hand() -> None:
    def slow(request: Request) -> Answer:
        time.sleep(0.3)
        return echo(request)

    made = HttpServer(ports.bound(0, ""), slow)
    made.start()
    port = int(made.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        time.sleep(0.1)
        made.stop()
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
