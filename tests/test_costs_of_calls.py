"""What the API's own bookkeeping costs, call by call, by AWS's sizing rules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from chalicelib.api import Request, handle
from chalicelib.security import hashed, new_id
from chalicelib.store import access
from chalicelib.store.access import SCOPES, ApiKey
from chalicelib.store.table import table_of
from infra.meter import Meter
from tests.support.embedded import Embedded

pytestmark = pytest.mark.usefixtures("quiet")


class Caller:
    """A tenant's key at a hub on the embedded AWS whose every call is counted."""

    def __init__(self, embedded: Embedded) -> None:
        self.hub = embedded.hub(self._client(embedded))
        self.meter = Meter(embedded.client("dynamodb"), self.hub.config.table)
        self.secret = f"trb_{'x' * 27}{new_id('')[1:]}"
        key = ApiKey(new_id("key"), new_id("ten"), "x", SCOPES, 1, hashed(self.secret))
        access.save(table_of(self.hub), key)

    def _client(self, embedded: Embedded) -> Any:
        def client(service: str) -> Any:
            made = embedded.client(service)
            self.meter.attach(made)
            return made

        return client

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> int:
        sent: Mapping[str, str] = {"authorization": f"Bearer {self.secret}", **headers}
        data = b"" if body is None else json.dumps(body).encode()
        return handle(self.hub, Request(method, path.lstrip("/"), {}, sent, data)).status

    def cost(self) -> tuple[float, float]:
        """Return calls of AWS and write units since the last time."""
        found = self.meter.summary()
        self.meter.reset()
        return found["calls"], found["write_units"]


@pytest.fixture
def caller(embedded: Embedded) -> Caller:
    made = Caller(embedded)
    body = {"vendor": "relayr", "name": "x"}
    assert made.send("POST", "/v1/connections", body) == 201  # marks the month, reads the key
    made.cost()
    return made


def test_a_post_pays_for_the_log_and_with_a_key_for_the_claim_and_the_answer(
    caller: Caller,
) -> None:
    body = {"vendor": "relayr", "name": "x"}

    caller.send("POST", "/v1/connections", body)
    plain = caller.cost()
    caller.send("POST", "/v1/connections", body, **{"idempotency-key": "k"})
    claimed = caller.cost()
    caller.send("POST", "/v1/connections", body, **{"idempotency-key": "k"})
    again = caller.cost()

    assert plain == (2, 4)  # the entry of the log and the connection, each with its index
    assert claimed == (4, 6)
    assert again == (2, 1)  # a claim that is refused, and a read


def test_a_read_pays_nothing_and_a_busy_key_a_unit_for_twenty(caller: Caller) -> None:
    for _ in range(9):
        caller.send("GET", "/v1/catalog/vendors")
    assert caller.cost()[1] == 0

    for _ in range(40):
        caller.send("GET", "/v1/catalog/vendors")
    assert caller.cost()[1] == 2


def test_a_guess_pays_nothing_unless_it_has_the_form_of_a_key(caller: Caller) -> None:
    caller.secret = "guess"
    assert caller.send("GET", "/v1/devices") == 401
    assert caller.cost() == (0, 0)

    caller.secret = f"trb_{'y' * 43}"
    assert caller.send("GET", "/v1/devices") == 401
    assert caller.cost() == (1, 0)
