from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chalicelib.model import certificates
from chalicelib.model.addresses import Address, permitted
from chalicelib.model.certificates import Certificate
from chalicelib.model.requests import Request
from chalicelib.outbound.connections import tls_context
from chalicelib.outbound.http import Limits, Outcome, Sender
from chalicelib.resolution import checked
from tests.support.endpoint import Endpoint, answer
from tests.support.names import PUBLIC, Names

QUICK = Limits(total=0.4, connect=0.3, after_success=0.2)


@pytest.fixture
def sender() -> Iterator[Sender]:
    made = Sender("loopback", QUICK)
    yield made
    made.close()


def post(sender: Sender, endpoint: Endpoint, body: bytes = b"{}") -> Outcome:
    return sender(Request("POST", endpoint.url, {"Content-Type": "text/x", "X-Own": "1"}, body))


def test_a_request_is_sent_as_it_was_made(sender: Sender, endpoint: Endpoint) -> None:
    assert post(sender, endpoint, b"hello").delivered

    (request,) = endpoint.requests
    assert request.line == "POST /hook HTTP/1.1"
    assert request.body == b"hello"
    assert request.headers["host"] == f"127.0.0.1:{endpoint.port}"
    assert request.headers["content-type"] == "text/x"
    assert request.headers["x-own"] == "1"


@pytest.mark.parametrize(
    ("status", "delivered"),
    [
        ("200 OK", True),
        ("202 Accepted", True),
        ("204 No Content", True),
        ("299 Fine", True),
        ("301 Moved", False),
        ("302 Found", False),
        ("304 Not Modified", False),
        ("400 Bad Request", False),
        ("401 Unauthorized", False),
        ("404 Not Found", False),
        ("410 Gone", False),
        ("429 Too Many Requests", False),
        ("500 Error", False),
        ("503 Unavailable", False),
        ("999 What", False),
    ],
)
def test_only_2xx_is_delivered(
    sender: Sender, endpoint: Endpoint, status: str, *, delivered: bool
) -> None:
    endpoint.script = [answer(status, b"why", Location="http://169.254.169.254/")]

    outcome = post(sender, endpoint)

    assert outcome.delivered is delivered
    assert outcome.status == int(status[:3])
    assert outcome.error is None
    assert len(endpoint.requests) == 1


def test_a_connection_is_used_again_but_not_once_it_was_closed(
    sender: Sender, endpoint: Endpoint
) -> None:
    endpoint.script = [answer(), answer("204 Done"), answer(Connection="close"), answer(body=b"{}")]

    for _ in range(4):
        assert post(sender, endpoint).delivered

    assert [request.connection for request in endpoint.requests] == [1, 1, 1, 2]


def test_a_refused_address_is_an_outcome_that_names_its_kind(endpoint: Endpoint) -> None:
    outcome = post(Sender("refuse"), endpoint)

    assert outcome.error == "plain http is refused: use https"
    secure = Request("POST", f"https://127.0.0.1:{endpoint.port}/", {}, b"")
    assert Sender("refuse")(secure).error == "address refused: loopback"
    assert not endpoint.connections


def test_a_name_that_moves_to_a_private_address_is_refused_when_dialled() -> None:
    names = Names(x_example=[PUBLIC, "10.1.2.3"])
    target = permitted("https://x.example/", "refuse")
    assert checked(target, "refuse", 1, names)  # as when its integration was made

    outcome = Sender("refuse", resolve=names)(Request("POST", "https://x.example/", {}, b""))

    assert outcome.error == "address refused: private"
    assert names.asked == ["x.example"] * 2


def test_a_name_that_moves_between_the_check_and_the_connection_is_dialled_where_it_was_checked(
    endpoint: Endpoint,
) -> None:
    names = Names(x_example=["127.0.0.1", "169.254.169.254"])
    sender = Sender("loopback", QUICK, resolve=names)
    request = Request("POST", f"http://x.example:{endpoint.port}/", {}, b"")
    endpoint.script = [answer(Connection="close")]

    first, second = sender(request), sender(request)

    assert first.delivered  # resolved once, and that very address was dialled
    assert second.error == "address refused: metadata"
    assert names.asked == ["x.example"] * 2
    assert endpoint.connections == 1


def test_the_checked_address_is_dialled_under_the_name(endpoint: Endpoint) -> None:
    asked: list[str] = []

    def here(host: str, _port: int, _seconds: float) -> Sequence[Address]:
        asked.append(host)
        return [ipaddress.ip_address("127.0.0.1")]

    sender = Sender("loopback", QUICK, resolve=here)
    outcome = sender(Request("POST", f"http://hub.example:{endpoint.port}/", {}, b""))
    sender.close()

    assert outcome.delivered
    assert asked == ["hub.example"]
    assert endpoint.requests[0].headers["host"] == f"hub.example:{endpoint.port}"


def never(_: socket.socket, over: threading.Event) -> None:
    over.wait()


def test_a_request_may_have_less_time_than_usual() -> None:
    sender = Sender("loopback", Limits(total=60, connect=60))

    with Endpoint() as endpoint:
        endpoint.script = [never]
        outcome = sender(Request("POST", endpoint.url, {}, b"{}", within=0.2))

    assert outcome.error == "timeout: no complete answer within 60 s"
    assert outcome.latency_ms < 30_000


def test_a_name_nobody_answers_for_ends_in_time() -> None:
    def silent(_host: str, _port: int, _seconds: float) -> Sequence[Address]:
        raise TimeoutError

    outcome = Sender("loopback", QUICK, resolve=silent)(
        Request("POST", "http://x.example/", {}, b"")
    )

    assert outcome.error == "timeout: no connection within 0.3 s"


def test_tls_is_spoken_with_the_name_and_checked_against_it(tmp_path: Path) -> None:
    server, authority = certificate(tmp_path, "hub.example")

    with Endpoint(server) as endpoint:
        limits = Limits(total=5)
        trusted = Sender("loopback", limits, here, lambda _: trusting(authority))
        good = trusted(Request("POST", f"https://hub.example:{endpoint.port}/", {}, b"{}"))
        other = trusted(Request("POST", f"https://other.example:{endpoint.port}/", {}, b"{}"))
        stranger = Sender("loopback", limits, here)(
            Request("POST", f"https://hub.example:{endpoint.port}/", {}, b"{}")
        )
        trusted.close()

    assert good.delivered
    assert endpoint.requests[0].headers["host"] == f"hub.example:{endpoint.port}"
    assert len(endpoint.requests) == 1
    assert other.error == "TLS: CERTIFICATE_VERIFY_FAILED"
    assert stranger.error == "TLS: CERTIFICATE_VERIFY_FAILED"


def test_a_client_certificate_is_shown_and_its_connections_are_no_others(tmp_path: Path) -> None:
    server, authority = certificate(tmp_path, "hub.example")
    (tmp_path / "client").mkdir()
    _, ours = certificate(tmp_path / "client", "tributary")
    mine = Certificate(ours.read_text(), (ours.parent / "key.pem").read_text())
    server.load_verify_locations(ours)
    server.verify_mode = ssl.CERT_OPTIONAL

    with Endpoint(server) as endpoint:
        sender = Sender("loopback", Limits(total=5), here, lambda shown: trusting(authority, shown))
        request = Request("POST", f"https://hub.example:{endpoint.port}/", {}, b"{}")
        known, unknown = replace(request, certificate=mine), request
        outcomes = [sender(each) for each in (known, unknown, known, unknown)]
        sender.close()

    assert [each.delivered for each in outcomes] == [True] * 4
    assert [each.client for each in endpoint.requests] == ["tributary", None, "tributary", None]
    assert [each.connection for each in endpoint.requests] == [1, 2, 1, 2]


def test_a_key_of_another_certificate_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    _, one = certificate(tmp_path, "one")
    _, other = certificate(tmp_path / "other", "other")
    key = (tmp_path / "key.pem").read_text()

    assert certificates.problem(Certificate(one.read_text(), key)) is None
    mismatch = certificates.problem(Certificate(other.read_text(), key))
    assert mismatch == "the key is not the certificate's"
    assert certificates.problem(Certificate(key, key)) == "not readable as PEM"


def test_an_encrypted_key_is_a_problem_and_asks_nobody_for_its_password(tmp_path: Path) -> None:
    _, chain = certificate(tmp_path, "one")
    key = serialization.load_pem_private_key((tmp_path / "key.pem").read_bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"word"),
    )

    found = certificates.problem(Certificate(chain.read_text(), locked.decode()))

    assert found == "not readable as PEM"


def test_a_certificate_that_has_expired_is_refused(tmp_path: Path) -> None:
    server, authority = certificate(tmp_path, "hub.example", days=30)

    with Endpoint(server) as endpoint:
        sender = Sender("loopback", Limits(total=5), here, lambda _: trusting(authority))
        outcome = sender(Request("POST", f"https://hub.example:{endpoint.port}/", {}, b"{}"))

    assert outcome.error == "TLS: CERTIFICATE_VERIFY_FAILED"
    assert not endpoint.requests


def test_a_tls_handshake_that_never_ends_is_a_timeout_of_connecting(endpoint: Endpoint) -> None:
    sender = Sender("loopback", QUICK)

    outcome = sender(Request("POST", f"https://127.0.0.1:{endpoint.port}/", {}, b"{}"))

    assert outcome.error == "timeout: no connection within 0.3 s"


def here(_host: str, _port: int, _seconds: float) -> Sequence[Address]:
    return [ipaddress.ip_address("127.0.0.1")]


def trusting(authority: Path, shown: Certificate | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority))
    context.sslsocket_class = tls_context().sslsocket_class
    if shown is not None:
        certificates.load(context, shown)
    return context


def certificate(folder: Path, name: str, days: int = 36_500) -> tuple[ssl.SSLContext, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begin = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain, private = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, private)
    return context, chain
