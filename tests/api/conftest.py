"""The API above the fakes of AWS, called as Chalice's border calls it.

What the fakes cannot show (DynamoDB's own checks) is in ``test_on_moto.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest

from chalicelib import archive
from chalicelib.api import Request, Response, handle, limits, routing
from chalicelib.api.table import ROUTES
from chalicelib.aws import Hub
from chalicelib.config import Config
from chalicelib.model.envelope import Envelope, arrived
from chalicelib.normalize.payloads import put_through
from chalicelib.project import entry as project
from chalicelib.security import hashed
from chalicelib.store import connections
from chalicelib.store.table import table_of
from tests.support.fake_aws import Clock, FakeAws
from tests.support.names import Names

ROOT_KEY = "the root key"
BASE_URL = "https://hub.example"
Answer = dict[str, Any]


@dataclass
class Caller:
    """Somebody with a key (or without): sends requests and checks answers against the document."""

    aws: FakeAws
    hub: Hub
    key: str | None
    base_url: str = BASE_URL
    unlimited: bool = False
    """Whether the allowance is filled up before each request, as a clock that stands still never does."""

    @property
    def clock(self) -> Clock:
        return self.aws.clock

    def queued(self, queue: str) -> list[Answer]:
        """Empty a queue; return its messages."""
        messages = self.aws.sqs.queues.pop(queue, {})
        return [json.loads(each.body) for each in messages.values()]

    def elsewhere(self) -> Caller:
        """Return the same caller at another process of the hub."""
        return Caller(
            self.aws, Hub(CONFIG, self.aws.client, self.clock, self.hub.resolve), self.key
        )

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        if self.unlimited:
            limits.meters_of.cache_clear()
        sent = dict(headers or {})
        if self.key is not None:
            sent.setdefault("authorization", f"Bearer {self.key}")
        values = {
            name: [str(each) for each in value] if isinstance(value, list) else [str(value)]
            for name, value in (query or {}).items()
        }
        data = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        request = Request(method, path.lstrip("/"), values, sent, data, self.base_url)
        response = handle(self.hub, request)
        _documented(request, response)
        return response

    def get(self, path: str, **query: Any) -> Answer:
        """Read; ``from_`` stands for ``from``."""
        response = self.send("GET", path, query={k.rstrip("_"): v for k, v in query.items()})
        assert response.status == 200, response.text
        return _object(response)

    def post(self, path: str, body: Any = None) -> Answer:
        response = self.send("POST", path, body)
        assert response.status in {200, 201, 202}, response.text
        return _object(response)

    def patch(self, path: str, body: Any) -> Answer:
        response = self.send("PATCH", path, body)
        assert response.status == 200, response.text
        return _object(response)

    def delete(self, path: str) -> None:
        assert self.send("DELETE", path).status == 204

    def refused(self, method: str, path: str, body: Any = None, **query: Any) -> Answer:
        """Send what is refused; return the problem."""
        wanted = {k.rstrip("_"): v for k, v in query.items()}
        response = self.send(method, path, body, wanted)
        problem = _object(response)
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
        self.clock.forward(1)
        return envelope

    def process(self, envelope: Envelope) -> None:
        table = table_of(self.hub)
        connection = connections.find(table, envelope.connection_id)
        assert connection is not None
        seen = len(self.aws.dynamodb.stream)
        put_through(table, connection, envelope)
        assert project.run({"Records": self.aws.dynamodb.stream[seen:]}, self.hub) == {
            "batchItemFailures": []
        }

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
        return Caller(self.aws, self.hub, key)


def _object(response: Response) -> Answer:
    value = json.loads(response.text)
    assert isinstance(value, dict)
    return value


def _documented(request: Request, response: Response) -> None:
    """Fail where an answer is not what the OpenAPI document says."""
    if response.status >= 400 or request.method == "HEAD":
        return
    route, _ = routing.find(ROUTES, request.method, request.path)
    if not route.documented:
        return
    assert response.status in {route.status, *(route.otherwise or ())[:1]}
    if route.returns is None:
        assert response.value is None
        return
    rows = response.value["data"] if route.listed else [response.value]
    for row in rows:
        if not route.template.startswith("/v1/receipts") or row["state"] != "queued":
            route.shape(response.status).model_validate_json(json.dumps(row))


CONFIG = Config(
    "hub",
    "inbound",
    "deliveries",
    "dead",
    "archive",
    "ordered.fifo",
    hashed(ROOT_KEY),
    account="999999999999",
    exports_url="exports",
)


@pytest.fixture
def aws() -> FakeAws:
    return FakeAws()


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture
def hub(aws: FakeAws, names: Names) -> Hub:
    return Hub(CONFIG, aws.client, aws.clock, names)


@pytest.fixture
def root(aws: FakeAws, hub: Hub) -> Caller:
    return Caller(aws, hub, ROOT_KEY)


@pytest.fixture
def nobody(aws: FakeAws, hub: Hub) -> Caller:
    return Caller(aws, hub, None)


@pytest.fixture
def new_tenant(root: Caller) -> Callable[[], Tenant]:
    def make() -> Tenant:
        made = root.post("/v1/tenants", {"name": "some tenant"})
        return Tenant(root.aws, root.hub, made["api_key"], id=made["id"])

    return make


@pytest.fixture
def tenant(new_tenant: Callable[[], Tenant]) -> Tenant:
    return new_tenant()
