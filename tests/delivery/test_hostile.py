"""An endpoint that does everything wrong: what is made of it, and that the next request fares well."""

from __future__ import annotations

import datetime as dt
import gzip
import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import format_datetime
from typing import Any

import pytest

from chalicelib.deliver.courier import Courier, Hands
from chalicelib.deliver.entry import deliver
from chalicelib.model.requests import Request
from chalicelib.outbound.http import EXCERPT_LIMIT, Limits, Outcome, Sender
from tests.support.endpoint import Endpoint, answer
from tests.support.world import QUEUE, Middle, World, record

QUICK = Limits(total=1.0, connect=0.8, after_success=0.2)
TIMEOUT = "timeout: no complete answer within 1 s"
NO_ANSWER = "connection closed without an answer"
Script = Callable[[socket.socket, threading.Event], None]


@pytest.fixture
def sender() -> Iterator[Sender]:
    made = Sender("loopback", QUICK)
    yield made
    made.close()


def post(sender: Sender, endpoint: Endpoint, **headers: str) -> Outcome:
    return sender(Request("POST", endpoint.url, headers, b"{}"))


@dataclass(frozen=True)
class Ending:
    """A script that ends with its connection, unannounced."""

    play: Script

    def __call__(self, connection: socket.socket, over: threading.Event) -> None:
        self.play(connection, over)


def say(text: bytes) -> Script:
    """Say something and hang up."""
    return Ending(lambda connection, _: connection.sendall(text))


def stall(text: bytes) -> Script:
    """Say something, then nothing, for ever."""

    def script(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(text)
        over.wait(10)

    return script


def drip(text: bytes, drop: bytes = b"x") -> Script:
    """Say something, then one drop after another, so that no single wait is long."""

    def script(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(text)
        while not over.wait(0.05):
            connection.sendall(drop)

    return script


def flood(text: bytes, wave: bytes) -> Script:
    """Say something, then as much as the other end takes."""

    def script(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(text)
        while not over.is_set():
            connection.sendall(wave)

    return script


def reset(text: bytes = b"") -> Script:
    """Say something and tear the connection down."""

    def script(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(text)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()

    return Ending(script)


def incomplete(kind: str) -> str:
    return f"not a complete HTTP answer: {kind}"


OK, NO = b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 500 No\r\n"
BOMB = gzip.compress(b"0" * 10_000_000)
CASES: dict[str, tuple[Script, int | None, str | None]] = {
    # --- no complete header section: a failure
    "says nothing": (stall(b""), None, TIMEOUT),
    "stalls within the status line": (stall(b"HTTP/1.1 20"), None, TIMEOUT),
    "stalls within the headers": (stall(OK + b"X: y\r\n"), None, TIMEOUT),
    "drips its headers": (drip(OK + b"X: "), None, TIMEOUT),
    "drips header after header": (drip(OK, b"X: y\r\n"), None, TIMEOUT),
    "hangs up": (say(b""), None, NO_ANSWER),
    "hangs up within the status line": (
        say(b"HTTP/1.1 200 OK"), None, incomplete("IncompleteHeadersError"),
    ),
    "hangs up within the headers": (
        say(OK + b"X: y\r\n"), None, incomplete("IncompleteHeadersError"),
    ),
    "is no HTTP server": (say(b"SSH-2.0-OpenSSH\r\n"), None, incomplete("BadStatusLine")),
    "speaks HTTP/0.9": (say(b"<html>hello</html>"), None, incomplete("BadStatusLine")),
    "speaks HTTP/2": (say(b"HTTP/2 200\r\n\r\n"), None, incomplete("UnknownProtocol")),
    "has a status beyond all numbers": (
        say(b"HTTP/1.1 99999 X\r\n\r\n"), None, incomplete("BadStatusLine"),
    ),
    "has a status line without end": (flood(b"HTTP/1.1 200 ", b"x" * 4096), None, incomplete("LineTooLong")),
    "has a header without end": (flood(OK + b"X: ", b"x" * 4096), None, incomplete("LineTooLong")),
    "has headers without end": (flood(OK, b"X: y\r\n" * 99), None, incomplete("HTTPException")),
    "says 1xx without end": (
        flood(b"", b"HTTP/1.1 102 Wait\r\n\r\n" * 99), None, incomplete("EndlessInterimError"),
    ),
    "says one 1xx with headers without end": (
        flood(b"HTTP/1.1 103 Hints\r\n", b"Link: x\r\n" * 99), None, incomplete("EndlessInterimError"),
    ),
    "says 103 and hangs up": (say(b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"), None, NO_ANSWER),
    # --- a complete header section decides, whatever the body does
    "says 100 first": (say(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 Done\r\n\r\n"), 204, None),
    "says 103 first": (say(b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + OK + b"\r\n"), 200, None),
    "speaks HTTP/1.0": (say(b"HTTP/1.0 200 OK\r\n\r\nhello"), 200, None),
    "promises more than it sends, and hangs up": (say(OK + b"Content-Length: 99\r\n\r\nshort"), 200, None),
    "promises more than it sends, and stalls": (stall(OK + b"Content-Length: 99\r\n\r\nshort"), 200, None),
    "promises less than it sends": (
        stall(OK + b"Content-Length: 2\r\n\r\nokHTTP/1.1 500 Smuggled\r\n\r\n"), 200, None,
    ),
    "promises a length that is no number": (say(OK + b"Content-Length: lies\r\n\r\n"), 200, None),
    "promises a negative length": (say(OK + b"Content-Length: -1\r\n\r\nhello"), 200, None),
    "promises two lengths": (
        stall(OK + b"Content-Length: 2\r\nContent-Length: 99\r\n\r\nok"), 200, None,
    ),
    "promises more than there is in the world": (
        stall(OK + b"Content-Length: 999999999999999999999\r\n\r\nhello"), 200, None,
    ),
    "has chunks that are none": (say(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"), 200, None),
    "has a chunk size without end": (
        flood(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 4096), 200, None,
    ),
    "has trailers without end": (
        flood(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 99), 200, None,
    ),
    "has both a length and chunks": (
        stall(OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"), 200, None,
    ),
    "drips a good body": (drip(OK + b"Content-Length: 1000000\r\n\r\n"), 200, None),
    "drips a bad body": (drip(NO + b"Content-Length: 1000000\r\n\r\n"), 500, None),
    "has a body without end": (flood(NO + b"Connection: close\r\n\r\n", b"y" * 65_536), 500, None),
    "has a good body without end": (flood(OK + b"\r\n", b"y" * 65_536), 200, None),
    "resets within the body": (reset(OK + b"Content-Length: 99\r\n\r\nshort"), 200, None),
    "sends a bomb": (
        say(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB), 200, None,
    ),
    "answers in another alphabet": (say(NO + b"\r\n\xff\xfe\x00\x80"), 500, None),
    # --- redirects are never followed
    "redirects to the metadata": (
        say(b"HTTP/1.1 302 Go\r\nLocation: http://169.254.169.254/latest/meta-data/\r\n\r\n"), 302, None,
    ),
    "redirects to itself": (say(b"HTTP/1.1 307 Go\r\nLocation: /hook\r\n\r\n"), 307, None),
    "asks to refresh": (say(b"HTTP/1.1 200 OK\r\nRefresh: 0; url=http://10.0.0.1/\r\n\r\n"), 200, None),
    "wants a password": (
        say(b"HTTP/1.1 401 Who\r\nWWW-Authenticate: Basic realm=x\r\n\r\n"), 401, None,
    ),
    "wants a proxy": (say(b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=x\r\n\r\n"), 407, None),
    "wants another protocol": (
        say(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n\x81\x05hello"), None, incomplete("BadStatusLine"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_endpoint_is_an_outcome_and_the_next_request_fares_well(
    sender: Sender, endpoint: Endpoint, case: str
) -> None:
    script, status, error = CASES[case]
    endpoint.script = [script, answer(body=b"all is well")]

    outcome = post(sender, endpoint)
    assert not isinstance(script, Ending) or endpoint.hung_up.wait(5)
    after = post(sender, endpoint)

    assert (outcome.status, outcome.error) == (status, error)
    assert outcome.delivered is (status in range(200, 300))
    assert len(outcome.excerpt.encode()) <= EXCERPT_LIMIT
    assert "smuggled" not in outcome.excerpt.lower()
    assert (after.status, after.excerpt) == (200, "all is well")
    assert [request.line for request in endpoint.requests] == ["POST /hook HTTP/1.1"] * 2


def test_a_reset_and_a_closed_port_are_failures(sender: Sender, endpoint: Endpoint) -> None:
    endpoint.script = [reset()]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    refused = sender(Request("POST", f"http://127.0.0.1:{port}/", {}, b""))

    assert post(sender, endpoint).error in {"connection reset", NO_ANSWER}
    assert refused.error == "connection refused"


def test_an_endpoint_that_never_reads_is_a_timeout(sender: Sender) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"

        outcome = sender(Request("POST", url, {}, b"x" * 20_000_000))

    assert outcome.error == TIMEOUT


def test_a_huge_body_is_read_no_further_than_its_beginning(
    sender: Sender, endpoint: Endpoint
) -> None:
    endpoint.script = [flood(NO + b"\r\n", b"y" * 65_536)]

    assert post(sender, endpoint).excerpt == "y" * EXCERPT_LIMIT


def test_a_compressed_body_is_asked_for_by_nobody_and_kept_as_it_came(
    sender: Sender, endpoint: Endpoint
) -> None:
    endpoint.script = [answer("500 No", BOMB, Content_Encoding="gzip")]

    outcome = post(sender, endpoint)

    assert endpoint.requests[0].headers["accept-encoding"] == "identity"
    assert "0000" not in outcome.excerpt


def test_a_connection_that_was_closed_unannounced_is_not_used_again(
    sender: Sender, endpoint: Endpoint
) -> None:
    endpoint.script = [answer(), say(answer()), answer()]

    outcomes = [post(sender, endpoint) for _ in range(2)]
    assert endpoint.hung_up.wait(5)
    outcomes.append(post(sender, endpoint))

    assert all(outcome.delivered for outcome in outcomes)
    assert [request.connection for request in endpoint.requests] == [1, 1, 2]


def test_secrets_that_an_endpoint_says_back_are_not_kept(
    sender: Sender, endpoint: Endpoint
) -> None:
    secrets = {"Authorization": "Bearer tok-123456", "X-Key": 'quoted "key" 7'}
    said = b'{"auth": "Bearer tok-123456", "token": "tok-123456", "key": "quoted \\"key\\" 7"} 503'
    endpoint.script = [answer("503 No", said), answer("503 No", b"z" * 4090 + b"tok-123456")]

    outcomes = [
        post(sender, endpoint, **secrets, **{"User-Agent": "Tributary/1"}) for _ in range(2)
    ]

    for outcome, part in itertools.product(outcomes, ("tok-", '"key" 7', '"key\\" 7')):
        assert part not in outcome.excerpt
    assert outcomes[0].excerpt.startswith('{"auth": "****')
    assert outcomes[0].excerpt.endswith("503")
    assert outcomes[1].excerpt == "z" * 4090 + "******"


# --- what follows, with the courier above the real sender -----------------------------------------


@pytest.fixture
def attempted(world: World, endpoint: Endpoint) -> Callable[[bytes], Any]:
    """Return what becomes of an event whose first attempt is answered so."""

    def attempt(said: bytes) -> Any:
        endpoint.script = [said]
        world.integrate(config={"url": endpoint.url})
        world.enqueue(1)
        sender = Sender("loopback")
        messages = [record(message) for message in world.aws.sqs.visible(QUEUE)]
        deliver(messages, Courier(world.hub, Hands(sender, Middle())))
        sender.close()
        return world.row(1)

    return attempt


def test_410_disables_the_integration_for_good(
    world: World, attempted: Callable[[bytes], Any]
) -> None:
    row = attempted(answer("410 Gone"))

    found = world.find()
    assert found is not None
    assert (row.state, found.enabled) == ("dead", False)
    assert found.disabled is not None
    assert found.disabled["reason"] == "the endpoint answered 410 Gone"
    assert found.secrets  # disabling opens and seals them again


@pytest.mark.parametrize("status", ["429 Slow", "503 Busy"])
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured_in_both_forms(
    world: World, attempted: Callable[[bytes], Any], status: str, form: str
) -> None:
    begun = world.aws.clock() // 1000 * 1000
    date = time_in_http(begun + 120_000)

    row = attempted(answer(status, Retry_After="120" if form == "seconds" else date))

    assert row.state == "pending"
    assert row.next_attempt_at >= begun + 120_000
    assert row.next_attempt_at <= begun + 120_000 * 1.3 + 1000


@pytest.mark.parametrize("nonsense", ["-5", "", "soon", "1e9", "Wed, 99 Foo 2026 00:00:00 GMT"])
def test_a_nonsensical_retry_after_means_the_schedule(
    world: World, attempted: Callable[[bytes], Any], nonsense: str
) -> None:
    row = attempted(answer("429 Slow", Retry_After=nonsense))

    assert row.next_attempt_at - world.aws.clock() <= 2400  # the first of 2, 4, 8 seconds


def time_in_http(moment: int) -> str:
    return format_datetime(dt.datetime.fromtimestamp(moment / 1000, dt.UTC), usegmt=True)
