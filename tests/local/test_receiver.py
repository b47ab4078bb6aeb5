"""The bundled receiver believes signatures and nothing else."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import pytest
from standardwebhooks import Webhook

from infra.local import ports
from infra.local.gateway import Answer, Request
from infra.local.receiver import Receiver

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
OTHER = "whsec_" + base64.b64encode(b"o" * 32).decode()
EVENT = {
    "specversion": "1.0",
    "id": "evt_1",
    "source": "/vendors/haltian/connections/con_x",
    "type": "measurement.recorded",
    "subject": "haltian:1",
    "time": "2026-01-31T12:00:00.000Z",
    "datacontenttype": "application/json",
    "data": {"value": 1},
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver(ports.bound(0, ""))
    made.trust(SECRET)
    made.start()
    yield made
    made.stop()


def delivery(
    body: Any,
    secret: str = SECRET,
    kind: str = "application/cloudevents+json",
    age: dt.timedelta = dt.timedelta(),
    headers: dict[str, str] | None = None,
) -> Request:
    text = json.dumps(body)
    at = dt.datetime.now(dt.UTC) - age  # noqa: TID251 - the library compares with this clock
    signed = {
        "webhook-id": "m1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign("m1", at, text),
        "content-type": kind,
    }
    return Request("POST", "/", "", signed | (headers or {}), text.encode(), "127.0.0.1")


def told(receiver: Receiver, path: str) -> Any:
    return json.loads(receiver.answer(Request("GET", path, "", {}, b"", "127.0.0.1")).body)


def ask(receiver: Receiver, request: Request) -> Answer:
    return receiver.answer(request)


def test_a_signed_event_is_counted_and_listed(receiver: Receiver) -> None:
    assert ask(receiver, delivery(EVENT)).status == 200

    assert told(receiver, "/") == {
        "requests": 1,
        "refused": 0,
        "events": 1,
        "distinct": 1,
        "by_type": {"measurement.recorded": 1},
        "by_vendor": {"haltian": 1},
    }
    (event,) = told(receiver, "/events")["data"]
    assert event["id"] == "evt_1"
    assert event["data"] == {"value": 1}
    assert event["subject"] == "haltian:1"


def test_a_batch_is_counted_event_by_event(receiver: Receiver) -> None:
    batch = [EVENT, EVENT | {"id": "evt_2"}]

    assert ask(receiver, delivery(batch, kind="application/cloudevents-batch+json")).status == 200
    assert told(receiver, "/")["distinct"] == 2


def test_a_repetition_is_an_event_but_no_distinct_one(receiver: Receiver) -> None:
    ask(receiver, delivery(EVENT))
    ask(receiver, delivery(EVENT))

    counts = told(receiver, "/")
    assert (counts["events"], counts["distinct"]) == (2, 1)
    assert len(told(receiver, "/events")["data"]) == 1


@pytest.mark.parametrize(
    "request_",
    [
        delivery(EVENT, OTHER),
        delivery(EVENT, age=dt.timedelta(minutes=6)),
        delivery(EVENT, headers={"webhook-signature": "nonsense"}),
        delivery(EVENT, headers={"webhook-signature": "v1,!"}),
        delivery(EVENT, headers={"webhook-id": "m2"}),
        delivery(EVENT)._replace(body=b"{}"),
        delivery(EVENT)._replace(body=b"\xff"),
        delivery(EVENT)._replace(headers={}),
        delivery(EVENT, kind="application/json"),
        delivery({"id": "evt_1"}),
        delivery("text", kind="application/cloudevents-batch+json"),
    ],
)
def test_anything_else_is_refused_and_counted(receiver: Receiver, request_: Request) -> None:
    assert ask(receiver, request_).status == 400

    counts = told(receiver, "/")
    assert (counts["refused"], counts["events"]) == (1, 0)


def test_after_a_rotation_both_secrets_are_good(receiver: Receiver) -> None:
    receiver.trust(OTHER)

    assert ask(receiver, delivery(EVENT, OTHER)).status == 200
    assert ask(receiver, delivery(EVENT, SECRET)).status == 200


def test_an_unknown_page_is_404(receiver: Receiver) -> None:
    assert ask(receiver, Request("GET", "/nothing", "", {}, b"", "127.0.0.1")).status == 404
