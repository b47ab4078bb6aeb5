"""Secrets planted everywhere, and everything that the hub says or stores looked through for them."""

from __future__ import annotations

import io
import json
import logging
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from chalicelib import telemetry
from chalicelib.aws import Hub
from chalicelib.config import Config
from chalicelib.deliver.courier import Courier, Hands
from chalicelib.deliver.entry import deliver
from chalicelib.ingress.http import receive
from chalicelib.outbound.http import Sender
from chalicelib.security import hashed
from chalicelib.store import integrations
from chalicelib.store.table import table_of
from tests.support.endpoint import Endpoint
from tests.support.fake_aws import FakeAws, Faults, error
from tests.support.names import Names
from tests.support.requests import request
from tests.support.world import Middle, record

ROOT_KEY = "the root key"
HEADERS = {"Authorization": "Bearer MARK-bearer", "X-Key": 'MARK "quoted" key'}
MARKS = ("MARK-", 'MARK "', 'MARK \\"', 'MARK \\\\"')
ONCE = re.compile(r"whsec_[\w+/=]+|whsk_[\w+/=]+")


@pytest.fixture
def hub(aws: FakeAws, names: Names) -> Hub:
    """A hub that may send to loopback and gives up at once."""
    config = Config(
        "hub", "inbound", "deliveries", "dead", "archive", "ordered.fifo", hashed(ROOT_KEY)
    )
    config = replace(config, private_targets="loopback", retry_schedule=(1,))
    return Hub(config, aws.client, aws.clock, names)


@pytest.fixture
def logged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[[], str]]:
    """Return everything that was logged or printed, at the most talkative level."""
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    telemetry.logger.cache_clear()
    stream, logger = io.StringIO(), telemetry.logger()
    before = logger.log_level
    logger.setLevel("DEBUG")  # one that was made before keeps its level
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logger.registered_formatter)
    logger.addHandler(handler)
    yield lambda: stream.getvalue() + "".join(capsys.readouterr())
    logging.getLogger("tributary").removeHandler(handler)
    logger.setLevel(before)
    telemetry.logger.cache_clear()


@pytest.fixture
def echo() -> Iterator[Endpoint]:
    """An endpoint that fails and says back every header it was sent, as JSON."""
    with Endpoint() as endpoint:

        def play(connection: Any, _: threading.Event) -> None:
            body = json.dumps(endpoint.requests[-1].headers).encode()
            head = f"HTTP/1.1 500 No\r\nX-Echo: MARK-\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)

        endpoint.script = [play]
        yield endpoint


class Broken(Faults):
    """KMS refuses."""

    def before(self, operation: str) -> None:
        raise error("KMSInternalException", operation)


def work(tenant: Any) -> None:
    """Have every queued delivery attempted, by a process that knows nothing yet."""
    hub = Hub(tenant.hub.config, tenant.aws.client, tenant.clock)
    sender = Sender("loopback")
    queue = tenant.aws.sqs.queues.get("deliveries", {})
    for message in list(queue.values()):
        message.received += 1
        answer = deliver([record(message)], Courier(hub, Hands(sender, Middle(), lambda _: None)))
        if not answer["batchItemFailures"]:
            del queue[message.id]
    sender.close()


@dataclass
class Planted:
    """A tenant with secrets of every kind, and what it was answered after they were shown once."""

    tenant: Any
    connection: dict[str, Any]
    made: list[dict[str, Any]]
    secrets: set[str]
    said: list[str] = field(default_factory=list)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        response = self.tenant.send(method, path, body)
        self.said.append(response.text)
        return response.value

    def knock(self, token: str) -> None:
        """Knock at the vendors' door, with a token in two places."""
        where = self.connection["id"]
        for door in (
            request(where, b"[]", headers={"Authorization": f"Bearer {token}"}),
            request(where, b"[]", query={"token": token}),
        ):
            self.said.append(str(receive(door, self.tenant.hub).body))

    def nothing_shows(self, logs: str) -> None:
        """Look through everything that was said, logged, queued and stored."""
        aws = self.tenant.aws
        places = {
            "answers": "\n".join(self.said),
            "logs": logs,
            "table": repr(aws.dynamodb.items) + repr(aws.dynamodb.stream),
            "queues": repr(aws.sqs.queues),
            "archive": repr(aws.s3.objects),
        }
        for place, text in places.items():
            assert not [each for each in (*self.secrets, *MARKS) if each in text], place
            assert not ONCE.search(text), place


@pytest.fixture
def planted(tenant: Any, echo: Endpoint) -> Planted:
    connection = tenant.post("/v1/connections", {"vendor": "relayr", "name": "x"})
    made = [
        tenant.post(
            "/v1/integrations",
            {
                "name": scheme,
                "kind": "webhook",
                "config": {"url": echo.url, "headers": HEADERS, "signature": scheme},
            },
        )
        for scheme in ("hmac", "ed25519")
    ]
    rotated = tenant.post(f"/v1/integrations/{made[0]['id']}/rotate-secret")["secret"]
    key = tenant.post("/v1/api-keys", {"name": "x", "scopes": ["read"]})["key"]
    secrets = {connection["secret"], rotated, key, tenant.key, ROOT_KEY}
    for each in made:
        found = integrations.find(table_of(tenant.hub), tenant.id, each["id"])
        assert found is not None
        for secret, _ in found.secrets:
            secrets |= {secret, secret.partition("_")[2]}
    return Planted(tenant, connection, made, secrets)


WRONG: list[Any] = [
    {"url": "https://MARK-user:MARK-word@example.com/"},
    {"url": "https://10.0.0.1/MARK-path"},
    {"headers": "MARK-text"},
    {"headers": {"X-Key": ["MARK-list"]}},
    {"headers": {"X-Key": "MARK-line\r\nX: y"}},
    {"signature": "MARK-signature"},
    {"colour": "MARK-colour"},
]


def test_no_refusal_repeats_a_secret(planted: Planted, logged: Callable[[], str]) -> None:
    good = {"url": "https://example.com/"}
    path = f"/v1/integrations/{planted.made[0]['id']}"

    for wrong in WRONG:
        body = {"name": "x", "kind": "webhook", "config": good | wrong}
        assert planted.call("POST", "/v1/integrations", body)["status"] == 422
        assert planted.call("PATCH", path, {"config": good | wrong})["status"] == 422
    others: list[tuple[str, str, Any]] = [
        ("POST", "/v1/integrations", {"name": ["MARK-a"], "kind": "MARK-b", "config": "MARK-c"}),
        ("POST", "/v1/integrations", b'{"config": {"headers": {"X-Key": "MARK-cut'),
        ("POST", "/v1/connections", {"vendor": "MARK-d", "settings": {"token": "MARK-e"}}),
        ("PATCH", path, {"secrets": ["MARK-f"]}),
    ]
    for other in others:
        assert planted.call(*other)["status"] >= 400
    planted.knock("MARK-token")

    planted.nothing_shows(logged())


def test_no_delivery_listing_or_failure_shows_a_secret(
    planted: Planted, logged: Callable[[], str]
) -> None:
    tenant = planted.tenant
    planted.knock(planted.connection["secret"])
    for each in planted.made:
        planted.call("POST", f"/v1/integrations/{each['id']}/test")
    for _ in range(3):
        work(tenant)
        tenant.clock.forward(2000)
    for each in planted.made:
        path = f"/v1/integrations/{each['id']}"
        (row,) = planted.call("GET", f"{path}/deliveries")["data"]
        assert (row["state"], len(row["attempts"])) == ("dead", 2)
        assert "********" in row["attempts"][0]["response_excerpt"]
        planted.call("GET", f"/v1/deliveries/{row['id']}")
        planted.call("GET", path)
        planted.call("PATCH", path, {"name": "renamed"})
        planted.call("POST", f"{path}/test")
    for name in ("integrations", "connections", "api-keys", "openapi.json", "catalog/destinations"):
        planted.call("GET", f"/v1/{name}")
    assert len(tenant.aws.sqs.queues["dead"]) == len(planted.made)

    tenant.aws.kms.faults = Broken()
    failed = tenant.elsewhere().send("GET", "/v1/integrations")
    planted.said.append(failed.text)
    work(tenant)

    assert failed.status == 500
    logs = logged()
    for name in ("delivery.attempted", "deliver.failed", "api.failed", "payload.accepted"):
        assert name in logs
    planted.nothing_shows(logs)


def test_what_holds_secrets_says_none_of_them_when_it_is_printed(tenant: Any) -> None:
    body = {
        "name": "x",
        "kind": "webhook",
        "config": {"url": "https://example.com/MARK-path", "headers": HEADERS},
    }
    made = tenant.post("/v1/integrations", body)

    found = integrations.find(table_of(tenant.hub), tenant.id, made["id"])

    assert "MARK" not in repr(found)
    assert made["secret"] not in repr(found)
