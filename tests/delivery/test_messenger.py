"""One attempt: transforms, texts, shadows, tokens, and what may stand in a log."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.aws import Hub
from chalicelib.config import Config
from chalicelib.deliver.messenger import Messenger
from chalicelib.model.cloudevents import CloudEvent, about_device
from chalicelib.model.requests import Request
from chalicelib.model.state import Device
from chalicelib.outbound.http import Outcome
from chalicelib.store import devices
from chalicelib.store.integrations import Integration
from chalicelib.store.table import table_of
from tests.support.fake_aws import FakeAws, Faults
from tests.support.world import CONFIG

SETTINGS: Config = replace(CONFIG, email_sender="hub@example.com")
SLACK = {"url": "https://hooks.slack.example/very-secret"}
OAUTH = {
    "url": "https://a.example/",
    "token_url": "https://login.example/token",
    "client_id": "hub",
    "client_secret": "hush-hush",
    "scope": "events",
}
TOKEN = Outcome(200, 5, content=b'{"access_token": "first-token", "expires_in": 100}')
OK = Outcome(204, 5)


class Reads(Faults):
    """Counts what is read of the table."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def before(self, operation: str) -> None:
        self._wire.reads += operation == "GetItem"


class Wire:
    """An endpoint: what it was sent, and what it answers by turns (the last one again and again)."""

    def __init__(self) -> None:
        self.reads = 0
        self.aws = FakeAws(Reads(self))
        self.hub = Hub(SETTINGS, self.aws.client, self.aws.clock)
        self.sent: list[Request] = []
        self.answers: list[Outcome | Callable[[Request], Outcome]] = [OK]
        self.seconds = 0.0
        self.messenger = Messenger(self.hub, self._send, lambda: self.seconds)

    def _send(self, request: Request) -> Outcome:
        self.sent.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer(request) if callable(answer) else answer

    def attempt(self, kind: str, config: Any, *events: CloudEvent, **options: Any) -> Outcome:
        made = Integration("int_a", "ten", "A", kind, 0, config=config, **options)
        secrets = (("whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ=", None),)
        return self.messenger.attempt(
            replace(made, secrets=secrets), events or (raised(),), batch=len(events) > 1
        )

    @property
    def tokens(self) -> list[str]:
        return [each.headers.get("Authorization", "") for each in self.sent]


@pytest.fixture
def wire() -> Wire:
    return Wire()


def raised(severity: str = "major") -> CloudEvent:
    data = {
        "id": "alt_a",
        "device_id": "acme:d1",
        "key": "k",
        "name": "frost",
        "severity": severity,
        "state": "active",
        "message": None,
        "raised_at": "2026-07-01T10:00:00.000Z",
        "cleared_at": None,
        "cleared": None,
        "acknowledged": None,
    }
    return about_device("alert.raised", "e1", "acme:d1", "con_a", at=1_782_900_000_000, data=data)


def named(wire: Wire, name: str) -> None:
    table = table_of(wire.hub)
    _, read = devices.load_device(table, "ten", "acme:d1")
    device = Device("acme:d1", "con_a", 0, operator={"name": name, "location": {"room": "Cellar"}})
    devices.save_device(table, "ten", device, read, 0)


def test_a_text_names_the_device_as_it_is_stored(wire: Wire) -> None:
    named(wire, "Boiler")

    wire.attempt("slack", SLACK, transform={"timezone": "Europe/Berlin"})

    text = json.loads(wire.sent[0].body)["text"]
    assert "major alert raised: frost (Boiler)" in text
    assert "Location: Cellar" in text
    assert "Time: 2026-07-01 12:00:00 CEST" in text


def test_a_device_is_read_once_a_minute(wire: Wire) -> None:
    named(wire, "Boiler")
    wire.attempt("slack", SLACK)
    named(wire, "Furnace")
    wire.attempt("slack", SLACK)
    wire.aws.clock.forward(60_000)
    wire.attempt("slack", SLACK)

    texts = [json.loads(each.body)["text"] for each in wire.sent]
    assert ["Boiler" in text for text in texts] == [True, True, False]
    assert "Furnace" in texts[2]


def test_events_are_sent_without_reading_a_device(wire: Wire) -> None:
    wire.attempt("webhook", {"url": "https://a.example/"})

    assert wire.reads == 0


def test_a_projection_becomes_the_data_of_what_is_signed_and_sent(wire: Wire) -> None:
    config = {"url": "https://a.example/"}

    assert wire.attempt("webhook", config, transform={"jmespath": "{n: name}"}).delivered

    assert json.loads(wire.sent[0].body)["data"] == {"n": "frost"}
    assert wire.sent[0].headers["webhook-id"] == "e1"


def test_a_projection_that_does_not_fit_is_a_failed_attempt(wire: Wire) -> None:
    config = {"url": "https://a.example/"}

    outcome = wire.attempt("webhook", config, transform={"jmespath": "abs(name)"})

    assert not outcome.delivered
    assert (outcome.error or "").startswith("not rendered: jmespath: In function abs()")
    assert wire.sent == []


def test_what_is_not_for_a_place_counts_as_delivered_and_says_so(wire: Wire) -> None:
    event = {**raised(), "type": "device.online"}

    outcome = wire.attempt("pagerduty", {"routing_key": "0" * 32}, event)

    assert outcome.delivered
    assert outcome.unsent == "nothing of this is for that place"
    assert wire.sent == []


def test_a_shadow_shows_what_it_would_send_without_secrets_and_sends_nothing(wire: Wire) -> None:
    key = "0123456789abcdef0123456789abcdef"

    outcome = wire.attempt("pagerduty", {"routing_key": key}, shadow=True)

    assert (outcome.delivered, outcome.unsent, outcome.status) == (True, "shadow", None)
    assert outcome.excerpt.startswith("POST https://events.pagerduty.com/v2/enqueue\n{")
    assert '"dedup_key":"alt_a"' in outcome.excerpt
    assert key not in outcome.excerpt
    assert wire.sent == []


def test_a_shadow_of_a_call_makes_no_call(wire: Wire) -> None:
    outcome = wire.attempt("email", {"to": ["a@example.com"]}, shadow=True)

    assert outcome.excerpt.startswith('sesv2.send_email {"FromEmailAddress": "hub@example.com"')
    assert outcome.unsent == "shadow"


def test_what_a_shadow_shows_is_bounded(wire: Wire) -> None:
    event = {**raised(), "data": {"id": "alt_a", "big": "x" * 100_000}}

    outcome = wire.attempt("webhook", {"url": "https://a.example/"}, event, shadow=True)

    assert len(outcome.excerpt) == 4096


@pytest.mark.parametrize(
    ("config", "secret"),
    [
        ({"token": "bearer-secret"}, "bearer-secret"),
        ({"username": "hub", "password": 'pass"word'}, 'pass"word'),
        ({"headers": {"X-Key": "own-secret"}}, "own-secret"),
    ],
)
def test_a_secret_that_an_endpoint_repeats_is_not_logged(
    wire: Wire, config: Any, secret: str
) -> None:
    said = f"you sent {json.dumps(secret)} {secret}"
    wire.answers = [Outcome(500, 5, said, content=said.encode())]

    outcome = wire.attempt("webhook", {"url": "https://a.example/", **config})

    assert outcome.excerpt == 'you sent "********" ********'
    assert outcome.content == b""


# --- OAuth 2.0


def test_a_token_is_fetched_once_and_kept_until_shortly_before_its_end(wire: Wire) -> None:
    wire.answers = [TOKEN, OK, OK, replace(TOKEN, content=b'{"access_token": "second"}'), OK]
    wire.attempt("webhook", OAUTH)
    wire.aws.clock.forward(69_000)
    wire.attempt("webhook", OAUTH)
    wire.aws.clock.forward(1_000)
    wire.attempt("webhook", OAUTH)

    basic = f"Basic {base64.b64encode(b'hub:hush-hush').decode()}"
    first = "Bearer first-token"
    assert wire.tokens == [basic, first, first, basic, "Bearer second"]
    fetched = wire.sent[0]
    assert (fetched.method, fetched.url) == ("POST", OAUTH["token_url"])
    assert fetched.body == b"grant_type=client_credentials&scope=events"


def test_a_kept_token_that_is_refused_is_fetched_anew_once(wire: Wire) -> None:
    wire.answers = [
        TOKEN,
        OK,
        Outcome(401, 5),
        replace(TOKEN, content=b'{"access_token": "new"}'),
        OK,
    ]
    wire.attempt("webhook", OAUTH)

    assert wire.attempt("webhook", OAUTH).delivered
    assert wire.tokens[-1] == "Bearer new"


def test_a_new_token_that_is_refused_is_a_failure(wire: Wire) -> None:
    wire.answers = [TOKEN, Outcome(401, 5)]

    outcome = wire.attempt("webhook", OAUTH)

    assert outcome.status == 401
    assert len(wire.sent) == 2


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Outcome(400, 5, content=b'{"error": "invalid_client", "x": "hush-hush"}'), "status 400"),
        (Outcome(410, 5), "status 410"),
        (Outcome(None, 5, error="connection refused"), "connection refused"),
        (Outcome(200, 5, content=b"<html>"), "the answer holds no access_token"),
        (
            Outcome(200, 5, content=b'{"access_token": "a\\r\\nb"}'),
            "the answer holds no access_token",
        ),
        (Outcome(200, 5, content=b'{"access_token": 5}'), "the answer holds no access_token"),
        (Outcome(200, 5, content=b'["access_token"]'), "the answer holds no access_token"),
        (
            Outcome(200, 5, content=b'{"access_token":"a","token_type":"mac"}'),
            "its type is not Bearer",
        ),
    ],
)
def test_no_token_is_a_failed_attempt_that_says_so(wire: Wire, answer: Outcome, error: str) -> None:
    wire.answers = [answer]

    outcome = wire.attempt("webhook", OAUTH)

    assert (outcome.status, outcome.error) == (None, f"no token: {error}")
    assert [each.url for each in wire.sent] == [OAUTH["token_url"]]


def taking(wire: Wire, seconds: float, answer: Outcome) -> Callable[[Request], Outcome]:
    """Return an answer that takes its time."""

    def answered(_: Request) -> Outcome:
        wire.seconds += seconds
        return answer

    return answered


def test_fetching_a_token_is_part_of_the_attempts_time(wire: Wire) -> None:
    wire.answers = [taking(wire, 6, TOKEN), taking(wire, 2, OK)]

    outcome = wire.attempt("webhook", OAUTH)

    assert [each.within for each in wire.sent] == [15, 9]
    assert outcome.latency_ms == 8000


def test_an_attempt_whose_time_is_over_fetches_no_other_token(wire: Wire) -> None:
    wire.answers = [TOKEN, OK, taking(wire, 15, Outcome(401, 5)), TOKEN, OK]
    wire.attempt("webhook", OAUTH)

    outcome = wire.attempt("webhook", OAUTH)

    assert outcome.status == 401
    assert len(wire.sent) == 3


def test_two_clients_have_two_tokens(wire: Wire) -> None:
    wire.answers = [TOKEN, OK, replace(TOKEN, content=b'{"access_token": "other"}'), OK]
    wire.attempt("webhook", OAUTH)
    wire.attempt("webhook", OAUTH | {"client_secret": "another"})

    assert wire.tokens[1::2] == ["Bearer first-token", "Bearer other"]
