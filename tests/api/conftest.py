"""The API on a table of its own (moto), called as Chalice's border calls it."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import boto3
import pytest
from moto import mock_aws

from chalicelib import archive, vendors
from chalicelib.api import Request, Response, handle, routing
from chalicelib.api.table import ROUTES
from chalicelib.aws import Hub
from chalicelib.config import Config
from chalicelib.model.assembly import Assembly
from chalicelib.model.envelope import Envelope, arrived
from chalicelib.model.state import Heard
from chalicelib.normalize.payloads import put_through
from chalicelib.project.fold import fold
from chalicelib.security import hashed
from chalicelib.store import alerts, connections
from chalicelib.store.table import table_of
from infra.local import template
from infra.local.provision import provision

ROOT_KEY = "the root key"
BASE_URL = "https://hub.example"
Answer = dict[str, Any]


@dataclass
class Clock:
    """A clock that only moves when told to.  Milliseconds."""

    now: int = 1_795_000_000_000

    def __call__(self) -> int:
        return self.now


@dataclass
class Caller:
    """Somebody with a key (or without): sends requests and checks answers against the document."""

    hub: Hub
    clock: Clock
    key: str | None
    base_url: str = BASE_URL

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        sent = dict(headers or {})
        if self.key is not None:
            sent.setdefault("authorization", f"Bearer {self.key}")
        values = {
            name: [str(each) for each in value] if isinstance(value, list) else [str(value)]
            for name, value in (query or {}).items()
        }
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        request = Request(method, path.lstrip("/"), values, sent, data, self.base_url)
        response = handle(self.hub, request)
        _documented(request, response)
        return response

    def get(self, path: str, **query: Any) -> Answer:
        """Read; ``from_`` stands for ``from``."""
        response = self.send("GET", path, query={k.rstrip("_"): v for k, v in query.items()})
        assert response.status == 200, response.text
        return json.loads(response.text)

    def post(self, path: str, body: Any = None) -> Answer:
        response = self.send("POST", path, body)
        assert response.status in {200, 201, 202}, response.text
        return json.loads(response.text)

    def patch(self, path: str, body: Any) -> Answer:
        response = self.send("PATCH", path, body)
        assert response.status == 200, response.text
        return json.loads(response.text)

    def delete(self, path: str) -> None:
        assert self.send("DELETE", path).status == 204

    def refused(self, method: str, path: str, body: Any = None, **query: Any) -> Answer:
        """Send what is refused; return the problem."""
        wanted = {k.rstrip("_"): v for k, v in query.items()}
        response = self.send(method, path, body, wanted)
        problem = json.loads(response.text)
        assert response.status == problem["status"] >= 400
        return problem

    def pages(self, path: str, **query: Any) -> list[list[Any]]:
        """Walk a listing to its end."""
        found: list[list[Any]] = []
        while True:
            answer = self.get(path, **query)
            found.append(answer["data"])
            if answer["next_cursor"] is None:
                return found
            query["cursor"] = answer["next_cursor"]

    def all(self, path: str, **query: Any) -> list[Any]:
        return [row for page in self.pages(path, **query) for row in page]

    def device(self, identity: str) -> str:
        return f"/v1/devices/{quote(identity, safe='')}"


@dataclass
class Tenant(Caller):
    """A tenant with a key of all scopes, and its vendors."""

    id: str = ""
    connections: dict[str, str] = field(default_factory=dict)

    def connection(self, vendor: str = "relayr") -> str:
        if vendor not in self.connections:
            body = {"vendor": vendor, "name": vendor}
            self.connections[vendor] = self.post("/v1/connections", body)["id"]
        return self.connections[vendor]

    def receives(
        self, payload: Any, topic: str = "", vendor: str = "relayr", *, archived: bool = True
    ) -> Envelope:
        """Let a payload through the hub, as the stages would."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        envelope = arrived(self.connection(vendor), self.clock.now, body, topic)
        if archived:
            archive.keep(self.hub, self.id, [envelope])
            self.process(envelope)
        self.clock.now += 1
        return envelope

    def process(self, envelope: Envelope) -> None:
        table = table_of(self.hub)
        connection = connections.find(table, envelope.connection_id)
        assert connection is not None
        assembly = put_through(table, connection, envelope)
        version = vendors.adapter(connection.vendor).version
        for device_id, heard in _heard(assembly, envelope, version):
            fold(table, self.id, device_id, [heard])
        for signal in assembly.signals:
            alerts.refold(table, self.id, signal.device_id, signal.key, signal.at)

    def measured(
        self, device: str, at: int, value: Any, metric: str = "temperature", **more: Any
    ) -> Envelope:
        """Let relayr report one value."""
        item = {"name": metric, "value": value, "timestamp": at, **more}
        return self.receives([item], f"devices/{device}/measurements")

    def alerted(self, device: str, name: str, at: int, state: str = "set") -> Envelope:
        """Let relayr raise (or clear) an alert."""
        item = {"name": name, "state": state, "timestamp": at}
        return self.receives([item], f"devices/{device}/alerts")

    def key_of(self, *scopes: str, name: str = "some key") -> Caller:
        key = self.post("/v1/api-keys", {"name": name, "scopes": list(scopes)})["key"]
        return Caller(self.hub, self.clock, key)


def _heard(
    assembly: Assembly, envelope: Envelope, version: int
) -> Iterator[tuple[str, Heard]]:
    where = (envelope.received_at, envelope.connection_id)
    for segment in assembly.segments:
        moments = (segment.first, *(point.at for point in segment.points))
        yield (
            segment.device_id,
            Heard(
                moments,
                *where,
                segment.kind,
                segment.points,
                segment.facts,
                receipt_id=envelope.receipt_id,
                adapter_version=version,
            ),
        )
    for each in (*assembly.events, *assembly.media, *assembly.signals):
        yield each.device_id, Heard((each.at,), *where)


def _documented(request: Request, response: Response) -> None:
    """Fail where an answer is not what the OpenAPI document says."""
    if response.status >= 400 or request.method == "HEAD":
        return
    shapes = importlib.import_module("chalicelib.api.shapes")
    route, _ = routing.find(ROUTES, request.method, request.path)
    assert response.status == route.status
    if route.returns is None:
        assert response.value is None
        return
    shape = getattr(shapes, route.returns)
    rows = response.value["data"] if route.listed else [response.value]
    for row in rows:
        if route.returns != "Receipt" or row["state"] != "queued":
            shape.model_validate_json(json.dumps(row))


@pytest.fixture(scope="session")
def settings() -> Iterator[tuple[Config, Callable[[str], Any]]]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", "testing")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        with mock_aws():
            session = boto3.Session(region_name="eu-west-1")
            made = provision(session, template.load(), "api")
            urls = {name: queue.url for name, queue in made.queues.items()}
            config = Config(
                made.table,
                urls["InboundQueue"],
                urls["DeliveriesQueue"],
                urls["DeliveriesDeadLetters"],
                made.bucket,
                root_key_sha256=hashed(ROOT_KEY),
            )
            clients = {name: session.client(name) for name in ("dynamodb", "sqs", "s3")}
            yield config, clients.__getitem__


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hub(settings: tuple[Config, Callable[[str], Any]], clock: Clock) -> Hub:
    config, client = settings
    return Hub(config, client, clock)


@pytest.fixture
def root(hub: Hub, clock: Clock) -> Caller:
    return Caller(hub, clock, ROOT_KEY)


@pytest.fixture
def nobody(hub: Hub, clock: Clock) -> Caller:
    return Caller(hub, clock, None)


@pytest.fixture
def new_tenant(root: Caller) -> Callable[[], Tenant]:
    def make() -> Tenant:
        made = root.post("/v1/tenants", {"name": "some tenant"})
        return Tenant(root.hub, root.clock, made["api_key"], id=made["id"])

    return make


@pytest.fixture
def tenant(new_tenant: Callable[[], Tenant]) -> Tenant:
    return new_tenant()
