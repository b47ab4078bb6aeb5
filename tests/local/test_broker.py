"""The embedded broker acknowledges what the inbound queue has, and nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from infra.local.broker import EmbeddedBroker
from infra.local.sink import PAYLOAD_LIMIT, Sink
from tests.local.publishing import Inbound, client, die_leaving_a_will, listener, subscribed
from tests.local.waiting import until

TOPIC = "hub/con_x/v/1"


@pytest.fixture
def inbound() -> Inbound:
    return Inbound()


@pytest.fixture
def sink(inbound: Inbound) -> Iterator[Sink]:
    made = Sink(inbound.send)
    made.start()
    yield made
    inbound.open.set()
    made.stop()


@pytest.fixture
def port(sink: Sink) -> Iterator[int]:
    bound, number = listener()
    broker = EmbeddedBroker(sink, bound)
    broker.start()
    yield number
    broker.stop()


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_publication_reaches_the_queue(port: int, inbound: Inbound, qos: int) -> None:
    before = time.time() * 1000 - 1
    with client(port) as publisher:
        publisher.publish(TOPIC, b"\x00{}", qos=qos).wait_for_publish(10)
        until(lambda: inbound.texts)

    said = json.loads(inbound.texts[0])
    assert before <= said.pop("received_at") <= time.time() * 1000
    assert said == {"topic": TOPIC, "body": "AHt9"}


@pytest.mark.parametrize("qos", [1, 2])
def test_it_is_acknowledged_only_once_the_queue_has_it(
    port: int, inbound: Inbound, qos: int
) -> None:
    inbound.open.clear()
    with client(port) as publisher:
        sent = publisher.publish(TOPIC, b"1", qos=qos)
        until(lambda: inbound.calls)
        assert not sent.is_published()
        assert inbound.texts == []
        inbound.open.set()
        sent.wait_for_publish(10)
        assert sent.is_published()

    assert inbound.topics() == [TOPIC]


def test_while_the_queue_refuses_nothing_is_acknowledged(port: int, inbound: Inbound) -> None:
    inbound.refusing = True
    with client(port) as publisher:
        sent = publisher.publish(TOPIC, b"1", qos=1)
        until(lambda: inbound.calls >= 2)
        assert not sent.is_published()
        inbound.refusing = False
        sent.wait_for_publish(10)
        assert sent.is_published()


def test_a_client_s_order_is_kept_and_many_travel_together(port: int, inbound: Inbound) -> None:
    topics = [f"hub/con_x/{number}" for number in range(500)]
    with client(port) as publisher:
        began = time.monotonic()
        sent = [publisher.publish(topic, b"x" * 300, qos=1) for topic in topics]
        for each in sent:
            each.wait_for_publish(20)
        assert 500 / (time.monotonic() - began) > 200

    assert inbound.topics() == topics
    assert inbound.calls < 400


def test_one_too_large_is_dropped_counted_and_acknowledged(
    port: int, sink: Sink, inbound: Inbound
) -> None:
    with client(port) as publisher:
        publisher.publish(TOPIC, b"x" * (PAYLOAD_LIMIT + 1), qos=1).wait_for_publish(10)
        publisher.publish(TOPIC, b"x" * PAYLOAD_LIMIT, qos=1).wait_for_publish(10)

    assert (sink.oversize, sink.sent, len(inbound.texts)) == (1, 1, 1)


def test_other_topics_are_not_the_hub_s(port: int, inbound: Inbound) -> None:
    with client(port) as publisher, subscribed(port, "#") as got:
        for topic in ("other/hub/x", "hubs/x", "hub"):
            publisher.publish(topic, b"1", qos=1).wait_for_publish(10)
        until(lambda: len(got) == 3)

    assert inbound.texts == []


def test_it_is_a_broker_for_others_too(port: int, inbound: Inbound) -> None:
    with client(port) as publisher, subscribed(port, "hub/+/v/#") as got:
        publisher.publish(TOPIC, b"1", qos=1).wait_for_publish(10)
        publisher.publish(TOPIC, b"2", qos=0).wait_for_publish(10)
        until(lambda: len(got) == 2)

    assert [each.payload for each in got] == [b"1", b"2"]
    until(lambda: len(inbound.texts) == 2)


def test_a_last_will_on_our_topics_arrives(port: int, inbound: Inbound) -> None:
    die_leaving_a_will(port, "hub/con_x/gone")

    until(lambda: inbound.topics() == ["hub/con_x/gone"])


def test_many_clients_at_once(port: int, inbound: Inbound) -> None:
    with client(port, "a") as first, client(port, "b") as second:
        sent = [each.publish(TOPIC, b"1", qos=1) for _ in range(50) for each in (first, second)]
        for each in sent:
            each.wait_for_publish(10)

    assert len(inbound.texts) == 100
