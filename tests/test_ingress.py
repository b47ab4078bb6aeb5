"""The HTTP door: who may enter, what is refused, and that nothing accepted is lost or told."""

from __future__ import annotations

import base64
import json
import random
from dataclasses import replace
from typing import Any

import pytest
from chalice.app import Response

from chalicelib import archive
from chalicelib.aws import Hub
from chalicelib.ingress.http import receive
from chalicelib.model.decode import BODY_LIMIT, compress
from chalicelib.model.envelope import Envelope, from_json
from chalicelib.model.receipts import parse
from chalicelib.model.times import DAY
from chalicelib.normalize import entry as normalize
from chalicelib.queues import MESSAGE_LIMIT
from chalicelib.security import hashed
from chalicelib.store import connections, quarantine
from chalicelib.store.connections import Connection
from chalicelib.store.table import table_of
from tests.support.fake_aws import FakeAws, Faults
from tests.support.requests import request
from tests.support.simulation import CONFIG, INBOUND

SECRET = "s3cr3t-of-the-connection"
BEARER = {"Authorization": f"Bearer {SECRET}"}
BODY = b'[{"name": "temperature", "value": 21.5, "timestamp": 1769860800000}]'
PATH = "con_a/devices/d1/measurements"


class Door:
    """A hub with one connection."""

    def __init__(self, **settings: Any) -> None:
        self.aws = FakeAws()
        self.hub = Hub(CONFIG, self.aws.client, self.aws.clock)
        secrets = ((hashed(SECRET), None),)
        self.connection = Connection("con_a", "ten", "relayr", "x", 1, settings, secrets)
        self.save(self.connection)

    def save(self, connection: Connection) -> None:
        connections.save(table_of(self.hub), connection)
        found = connections.find(table_of(self.hub), connection.id)
        assert found is not None
        self.connection = found

    def knock(self, path: str = PATH, body: bytes = BODY, **more: Any) -> Response:
        return receive(request(path, body, **more), self.hub)

    def queued(self) -> list[Envelope]:
        return [
            from_json(message.body) for message in self.aws.sqs.queues.get(INBOUND, {}).values()
        ]

    def normalize(self) -> dict[str, Any]:
        messages = self.aws.sqs.queues[INBOUND].values()
        return normalize.run(
            {"Records": [{"messageId": m.id, "body": m.body} for m in messages]}, self.hub
        )


@pytest.fixture
def door() -> Door:
    return Door()


def basic(text: str) -> dict[str, str]:
    return {"authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


def problem(response: Response) -> tuple[int, str]:
    body = json.loads(response.body)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert body["status"] == response.status_code
    assert body["title"]
    assert body["detail"]
    return response.status_code, body["type"]


@pytest.mark.parametrize(
    "proof",
    [
        {"headers": BEARER},
        {"headers": {"AUTHORIZATION": f"bearer  {SECRET} "}},
        {"headers": basic(f"anyone:{SECRET}")},
        {"headers": basic(f":{SECRET}")},
        {"query": {"token": SECRET}},
        {"headers": {"x-hub-key": SECRET}},
        {"headers": {"Authorization": "Bearer wrong", "X-Hub-Key": SECRET}},
    ],
)
def test_the_secret_opens_in_any_of_its_places(proof: dict[str, Any]) -> None:
    door = Door(auth_header="X-Hub-Key")

    response = door.knock(**proof)

    assert response.status_code == 202
    assert [each.body for each in door.queued()] == [BODY]


@pytest.mark.parametrize(
    "proof",
    [
        {},
        {"headers": {"Authorization": "Bearer wrong"}},
        {"headers": {"Authorization": "Bearer"}},
        {"headers": {"Authorization": SECRET}},
        {"headers": {"Authorization": f"Digest {SECRET}"}},
        {"headers": {"Authorization": "Basic not base64 ü"}},
        {"headers": basic(SECRET)},
        {"headers": {"Authorization": "Basic /zp4"}},
        {"headers": {"x-hub-key": SECRET}},
        {"headers": {"Authorization": f"Bearer {hashed(SECRET)}"}},
        {"query": {"token": ""}},
        {"query": {"token": SECRET + " "}},
        {"query": {"Token": SECRET}},
    ],
)
def test_without_the_secret_nothing_enters(door: Door, proof: dict[str, Any]) -> None:
    response = door.knock(**proof)

    assert problem(response) == (401, "/problems/unauthorized")
    assert "WWW-Authenticate" in response.headers
    assert door.queued() == []


def test_during_a_rotation_both_secrets_open_and_afterwards_only_the_new(door: Door) -> None:
    now = door.aws.clock()
    secrets = ((hashed("new"), None), (hashed(SECRET), now + DAY))
    door.save(replace(door.connection, secrets=secrets))

    both = [door.knock(query={"token": token}).status_code for token in ("new", SECRET)]
    door.aws.clock.forward(DAY)
    later = [door.knock(query={"token": token}).status_code for token in ("new", SECRET)]

    assert (both, later) == ([202, 202], [202, 401])


@pytest.mark.parametrize(
    "path", ["con_b", "con_b/topic", "CON_A", "", "con_a%00", "x" * 5000, "%ff%fe"]
)
def test_an_unknown_connection_is_not_found(door: Door, path: str) -> None:
    assert problem(door.knock(path, headers=BEARER)) == (404, "/problems/not-found")


def test_a_deleted_connection_is_not_found(door: Door) -> None:
    door.save(connections.deleted(door.connection, door.aws.clock()))

    assert problem(door.knock(headers=BEARER)) == (404, "/problems/not-found")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "HEAD"])
def test_another_method_is_answered_with_the_allowed_ones(door: Door, method: str) -> None:
    response = door.knock(headers=BEARER, method=method)

    assert problem(response) == (405, "/problems/method-not-allowed")
    assert response.headers["Allow"] == "GET, POST"


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip"])
def test_an_unknown_encoding_is_refused_and_told_which_is_known(door: Door, encoding: str) -> None:
    response = door.knock(headers={**BEARER, "Content-Encoding": encoding})

    assert problem(response) == (415, "/problems/unsupported-content-encoding")
    assert response.headers["Accept-Encoding"] == "gzip"


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip"])
def test_a_gzip_body_is_queued_unpacked(door: Door, encoding: str) -> None:
    response = door.knock(body=compress(BODY), headers={**BEARER, "Content-Encoding": encoding})

    assert response.status_code == 202
    assert door.queued()[0].body == BODY


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"x" * (BODY_LIMIT + 1), {}),
        (compress(b"x" * (BODY_LIMIT + 1)), {"Content-Encoding": "gzip"}),
        (compress(b"\0" * (200 * 1024 * 1024)), {"Content-Encoding": "gzip"}),
        (compress(b"x" * BODY_LIMIT) + compress(b"x"), {"Content-Encoding": "gzip"}),
    ],
    ids=["plain", "gzip", "bomb", "members"],
)
def test_a_body_above_the_limit_is_refused(
    door: Door, body: bytes, headers: dict[str, str]
) -> None:
    response = door.knock(body=body, headers={**BEARER, **headers})

    assert problem(response) == (413, "/problems/payload-too-large")
    assert door.queued() == []


@pytest.mark.parametrize("body", [compress(BODY)[:-4], b"\x1f\x8bnonsense", BODY, b"\xff\xfe\x00"])
def test_damaged_gzip_is_accepted_as_it_came(door: Door, body: bytes) -> None:
    response = door.knock(body=body, headers={**BEARER, "Content-Encoding": "gzip"})

    assert response.status_code == 202
    assert door.queued()[0].body == body


@pytest.mark.parametrize(
    "body", [b"{", b"\xff\xfe", b"[" * 10_000, compress(BODY)[:-4], b"null", b'"x"']
)
@pytest.mark.usefixtures("quiet")
def test_what_cannot_be_read_is_accepted_and_quarantined_with_its_receipt(
    door: Door, body: bytes
) -> None:
    receipt_id = json.loads(door.knock(body=body, headers=BEARER).body)["receipt_id"]

    answer = door.normalize()

    rows = quarantine.quarantined(
        table_of(door.hub), "ten", start=None, end=None, limit=9, after=None, matches=lambda _: True
    ).items
    assert answer == {"batchItemFailures": []}
    assert [quarantine.as_json(row)["receipt_id"] for row in rows] == [receipt_id]


def test_any_content_type_is_accepted(door: Door) -> None:
    for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded", ""):
        assert door.knock(headers={**BEARER, "Content-Type": kind}).status_code == 202


@pytest.mark.usefixtures("quiet")
def test_the_largest_body_travels_as_a_pointer_and_is_found_whole(door: Door) -> None:
    body = b'["' + random.Random(1).randbytes(BODY_LIMIT // 2 - 2).hex().encode() + b'"]'  # noqa: S311

    response = door.knock(body=body, headers=BEARER)

    (message,) = door.aws.sqs.queues[INBOUND].values()
    assert response.status_code == 202
    assert len(body) == BODY_LIMIT
    assert len(message.body) < 1000
    receipt_id = json.loads(response.body)["receipt_id"]
    assert door.normalize() == {"batchItemFailures": []}
    found = archive.find(door.hub, "ten", receipt_id)
    assert found is not None
    assert found.body == body


@pytest.mark.parametrize("size", [700_000, 780_000, 790_000, 1_100_000])
def test_no_message_is_larger_than_the_queue_takes(door: Door, size: int) -> None:
    body = random.Random(size).randbytes(size)  # noqa: S311

    door.knock(body=body, headers=BEARER)

    (message,) = door.aws.sqs.queues[INBOUND].values()
    assert len(message.body) <= MESSAGE_LIMIT
    assert archive.whole(door.hub, from_json(message.body)).body == body


def test_a_keepalive_is_a_get_with_its_parameters_but_not_its_token(door: Door) -> None:
    response = door.knock("con_a", b"", method="GET", query={"token": SECRET, "deviceId": "d1"})

    (envelope,) = door.queued()
    assert response.status_code == 202
    assert (envelope.body, dict(envelope.query)) == (b"", {"deviceId": "d1"})


@pytest.mark.parametrize(
    ("path", "topic"),
    [
        ("con_a", ""),
        ("con_a/", ""),
        ("con_a/devices/d1/", "devices/d1"),
        ("con_a/a%20b/%C3%BC", "a b/ü"),
    ],
)
def test_what_follows_the_connection_is_the_vendors_topic(
    door: Door, path: str, topic: str
) -> None:
    door.knock(path, headers=BEARER)

    assert door.queued()[0].topic == topic


@pytest.mark.usefixtures("quiet")
def test_the_receipt_names_connection_and_arrival_and_finds_the_payload(door: Door) -> None:
    receipt_id = json.loads(door.knock(headers=BEARER).body)["receipt_id"]

    door.normalize()

    receipt, found = parse(receipt_id), archive.find(door.hub, "ten", receipt_id)
    assert receipt is not None
    assert (receipt.connection_id, receipt.received_at) == ("con_a", door.aws.clock())
    assert found is not None
    assert (found.body, found.topic) == (BODY, "devices/d1/measurements")


@pytest.mark.parametrize(
    "proof", [{"headers": BEARER}, {"headers": basic(f"u:{SECRET}")}, {"query": {"token": SECRET}}]
)
def test_the_secret_is_neither_queued_nor_logged(
    door: Door,
    proof: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("LOG_LEVEL", raising=False)

    response = door.knock(**proof)

    (message,) = door.aws.sqs.queues[INBOUND].values()
    printed = capsys.readouterr()
    assert json.loads(response.body)["receipt_id"] in printed.out
    for text in (message.body, printed.out, printed.err, str(response.body)):
        assert SECRET not in text
        assert base64.b64encode(f"u:{SECRET}".encode()).decode() not in text


class Failing(Faults):
    """SQS that is down."""

    down = False

    def before(self, operation: str) -> None:
        if self.down and operation == "SendMessageBatch":
            raise TimeoutError(operation)


def test_without_the_queue_nothing_is_acknowledged(door: Door) -> None:
    faults = Failing()
    door.aws.sqs.faults = faults
    faults.down = True

    with pytest.raises(TimeoutError):
        door.knock(headers=BEARER)

    assert door.queued() == []


def test_a_connection_is_read_once_in_two_seconds(door: Door) -> None:
    reads: list[str] = []

    class Counting(Faults):
        def before(self, operation: str) -> None:
            reads.append(operation)

    door.aws.dynamodb.faults = Counting()
    for _ in range(3):
        door.knock(headers=BEARER)
    door.aws.clock.forward(2000)
    door.knock(headers=BEARER)

    assert reads == ["GetItem", "GetItem"]
