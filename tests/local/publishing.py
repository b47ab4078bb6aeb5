"""A real MQTT client for tests, and a queue that takes or refuses messages."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from infra.local import ports
from tests.local.waiting import until


class Inbound:
    """Stands for the inbound queue."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.calls = 0
        self.open = threading.Event()
        self.open.set()
        self.refusing = False

    def send(self, texts: Sequence[str]) -> None:
        self.calls += 1
        self.open.wait(20)
        if self.refusing:
            raise ConnectionError("no queue")
        self.texts += texts

    def topics(self) -> list[str]:
        return [json.loads(text)["topic"] for text in self.texts]


@contextmanager
def client(port: int, name: str = "") -> Iterator[mqtt.Client]:
    connected = threading.Event()
    made = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name)
    made.max_inflight_messages_set(100)
    made.on_connect = lambda *_: connected.set()
    made.connect("127.0.0.1", port)
    made.loop_start()
    try:
        assert connected.wait(10)
        yield made
    finally:
        made.disconnect()
        made.loop_stop()


def die_leaving_a_will(port: int, topic: str) -> None:
    """Connect and break off without a word."""
    dying = mqtt.Client(CallbackAPIVersion.VERSION2)
    dying.will_set(topic, b"bye", qos=1)
    dying.connect("127.0.0.1", port)
    until(lambda: dying.loop(0.01) == 0 and dying.is_connected())
    sock = dying.socket()
    assert sock is not None
    sock.close()


def listener() -> tuple[socket.socket, int]:
    bound = ports.bound(0, "")
    return bound, int(bound.getsockname()[1])


@contextmanager
def subscribed(port: int, topic: str) -> Iterator[list[mqtt.MQTTMessage]]:
    got: list[mqtt.MQTTMessage] = []
    ready = threading.Event()
    with client(port) as subscriber:
        subscriber.on_message = lambda _, __, message: got.append(message)
        subscriber.on_subscribe = lambda *_: ready.set()
        subscriber.subscribe(topic, qos=1)
        until(ready.is_set)
        yield got
