"""The API above moto's AWS: what DynamoDB itself checks, which the fakes take on trust."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from chalicelib import archive
from chalicelib.api import Request, Response, handle
from chalicelib.aws import Hub
from chalicelib.config import Config
from chalicelib.model.envelope import Envelope, arrived
from chalicelib.model.state import Heard
from chalicelib.normalize.payloads import put_through
from chalicelib.project.fold import fold
from chalicelib.security import hashed
from chalicelib.store import alerts, connections
from chalicelib.store.table import table_of
from infra.local import template
from infra.local.provision import provision
from tests.support.fake_aws import Clock
from tests.support.names import Names

ROOT = "root"


class Operator:
    """Somebody with a key."""

    def __init__(self, hub: Hub, key: str) -> None:
        self.hub = hub
        self.key = key

    def send(self, method: str, path: str, body: Any = None, **query: Any) -> Response:
        headers = {"authorization": f"Bearer {self.key}"}
        values = {name.rstrip("_"): [str(value)] for name, value in query.items()}
        data = b"" if body is None else json.dumps(body).encode()
        return handle(self.hub, Request(method, path, values, headers, data))

    def rows(self, path: str, **query: Any) -> list[Any]:
        found: list[Any] = []
        while True:
            answer = self.send("GET", path, **query)
            assert answer.status == 200, answer.text
            found += answer.value["data"]
            if answer.value["next_cursor"] is None:
                return found
            query["cursor"] = answer.value["next_cursor"]


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with pytest.MonkeyPatch.context() as environment, mock_aws():
        environment.setenv("AWS_ACCESS_KEY_ID", "testing")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        session = boto3.Session(region_name="eu-west-1")
        made = provision(session, template.load(), "api")
        config = Config(
            made.table,
            made.queues["InboundQueue"].url,
            made.queues["DeliveriesQueue"].url,
            made.queues["DeliveriesDeadLetters"].url,
            made.bucket,
            made.queues["OrderedQueue"].url,
            hashed(ROOT),
            made.secrets_key,
        )
        clients: dict[str, Any] = {
            "dynamodb": session.client("dynamodb"),
            "sqs": session.client("sqs"),
            "s3": session.client("s3"),
            "kms": session.client("kms"),
        }
        yield Hub(config, clients.__getitem__, Clock(), Names())


@pytest.fixture
def operator(hub: Hub) -> Operator:
    made = Operator(hub, ROOT).send("POST", "v1/tenants", {"name": "some tenant"})
    return Operator(hub, made.value["api_key"])


@pytest.fixture
def filled(operator: Operator) -> Operator:
    """Three devices with a value, a log entry and an alert each, and one bad payload."""
    body = {"vendor": "relayr", "name": "relayr"}
    connection = operator.send("POST", "v1/connections", body).value["id"]
    now = operator.hub.now()
    for number, device in enumerate("abc"):
        at = now - 60_000 + number
        for topic, item in (
            ("measurements", {"name": "temperature", "value": number, "timestamp": at}),
            ("logs", {"message": "x", "timestamp": at}),
            ("alerts", {"name": "leak", "state": "set", "timestamp": at}),
        ):
            data = json.dumps([item]).encode()
            receive(operator.hub, arrived(connection, at, data, f"devices/{device}/{topic}"))
    receive(operator.hub, arrived(connection, now, b"{", ""))
    return operator


def receive(hub: Hub, envelope: Envelope) -> None:
    """Do what the stages do with a payload."""
    table = table_of(hub)
    connection = connections.find(table, envelope.connection_id)
    assert connection is not None
    archive.keep(hub, connection.tenant, [envelope])
    assembly = put_through(table, connection, envelope)
    where = (envelope.received_at, envelope.connection_id)
    for each in assembly.segments:
        heard = Heard((each.first,), *where, each.kind, each.points, each.facts)
        fold(table, connection.tenant, each.device_id, [heard])
    for signal in assembly.signals:
        alerts.refold(table, connection.tenant, signal.device_id, signal.key, signal.at)


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("v1/devices", 3),
        ("v1/events", 3),
        ("v1/alerts", 3),
        ("v1/quarantine", 1),
        ("v1/connections", 1),
        ("v1/api-keys", 1),
        ("v1/integrations", 0),
        ("v1/devices/relayr:a/events", 1),
        ("v1/devices/relayr:a/media", 0),
    ],
)
def test_listings_come_in_pages(filled: Operator, path: str, count: int) -> None:
    rows = filled.rows(path, limit=1)

    assert len(rows) == count
    assert rows == filled.rows(path)


@pytest.mark.parametrize(
    "query", [{"state": "active"}, {"device": "relayr:a"}, {"state": "cleared"}]
)
def test_alerts_through_every_index(filled: Operator, query: dict[str, str]) -> None:
    expected = {"state=active": 3, "device=relayr:a": 1, "state=cleared": 0}
    ((name, value),) = query.items()

    assert len(filled.rows("v1/alerts", limit=1, **query)) == expected[f"{name}={value}"]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_measurements(filled: Operator, order: str) -> None:
    query = {"from_": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z", "order": order}

    (row,) = filled.rows("v1/devices/relayr:b/measurements", **query)

    assert row["value"] == 1


def test_an_alert_is_acknowledged_and_cleared(filled: Operator) -> None:
    identity = filled.rows("v1/alerts")[0]["id"]
    for action in ("acknowledge", "clear"):
        assert filled.send("POST", f"v1/alerts/{identity}/{action}").status == 200

    alert = filled.send("GET", f"v1/alerts/{identity}").value

    assert (alert["state"], alert["acknowledged"]["by"]) == ("cleared", "first key")
    assert len(filled.rows("v1/alerts", state="active")) == 2


def test_things_are_changed_and_deleted(filled: Operator) -> None:
    connection = filled.rows("v1/connections")[0]["id"]
    hook = {"name": "x", "kind": "webhook", "config": {"url": "https://example.com"}}
    integration = filled.send("POST", "v1/integrations", hook).value["id"]
    for path in (f"v1/connections/{connection}", f"v1/integrations/{integration}"):
        assert filled.send("PATCH", path, {"name": "other"}).value["name"] == "other"
        assert filled.send("POST", f"{path}/rotate-secret").status == 200
        assert filled.send("DELETE", path).status == 204
        assert filled.send("GET", path).status == 404
    device = filled.send("PATCH", "v1/devices/relayr:a", {"expected_interval_seconds": 5})
    assert device.value["expected_interval_seconds"] == 5


def test_a_key_is_rotated_and_revoked(operator: Operator) -> None:
    body = {"name": "x", "scopes": ["read"]}
    made = operator.send("POST", "v1/api-keys", body).value
    path = f"v1/api-keys/{made['id']}"
    new = operator.send("POST", f"{path}/rotate", {"overlap_seconds": 60}).value

    old_and_new = [Operator(operator.hub, each["key"]) for each in (made, new)]

    assert [each.send("GET", "v1/devices").status for each in old_and_new] == [200, 200]
    assert operator.send("DELETE", path).status == 204
    assert [each.send("GET", "v1/devices").status for each in old_and_new] == [401, 401]


def test_a_quarantined_item_is_redriven(filled: Operator) -> None:
    (row,) = filled.rows("v1/quarantine")

    assert filled.send("POST", f"v1/quarantine/{row['id']}/redrive").status == 202
    assert filled.send("GET", f"v1/receipts/{row['receipt_id']}").value["quarantine"] == [row]


READABLE = (
    "v1/devices/{}",
    "v1/devices/{}/state",
    "v1/devices/{}/events",
    "v1/alerts/{}",
    "v1/connections/{}",
    "v1/integrations/{}",
    "v1/integrations/{}/deliveries",
    "v1/deliveries/{}",
    "v1/receipts/{}",
    "v1/quarantine/{}",
)
IDS = ("x", "%20", "a%00b", "%ED%A0%80", "%E2%82%AC" * 333, "%E2%82%AC" * 1000, "x" * 999)


@pytest.mark.parametrize("path", READABLE)
def test_any_text_as_an_id_is_404(operator: Operator, path: str) -> None:
    assert {operator.send("GET", path.format(each)).status for each in IDS} == {404}


@pytest.mark.parametrize("device", ["x" * 1900, "\u20ac" * 633, "a\0b"])
def test_any_text_as_a_device_filter_is_answered(operator: Operator, device: str) -> None:
    assert operator.send("GET", "v1/alerts", device=device).value["data"] == []
    assert operator.send("GET", "v1/measurements/latest", device=device).value["data"] == []


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"])
def test_the_ends_of_time_are_times(filled: Operator, moment: str) -> None:
    other = "2026-06-01T00:00:00Z"
    start, end = sorted([moment, other])
    for path in (
        "v1/alerts",
        "v1/events",
        "v1/quarantine",
        "v1/devices/relayr:a/events",
        "v1/devices/relayr:a/measurements",
    ):
        assert filled.send("GET", path, from_=start, to=end).status == 200
