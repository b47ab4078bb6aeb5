"""The consumer behind a real mosquitto acknowledges what the inbound queue has."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from infra.local import bridge, daemon, ports
from infra.local.files import Folder, read_json
from infra.local.sink import Sink
from tests.local.publishing import Inbound, client, listener, subscribed
from tests.local.waiting import until

pytestmark = pytest.mark.skipif(
    bridge.installed() is None, reason="mosquitto is not installed; CI installs it"
)
TOPIC = "hub/con_x/v/1"


@pytest.fixture
def inbound() -> Inbound:
    return Inbound()


class Running:
    """A bridge, and how to end it well or badly."""

    def __init__(self, folder: Folder, inbound: Inbound, port: int | None = None) -> None:
        self.sink = Sink(inbound.send)
        self.sink.start()
        if port is None:
            bound, self.port = listener()
        else:
            bound, self.port = ports.bound(port, ""), port
        self.bridge = bridge.Bridge(self.sink, bound, folder)
        self.bridge.start()

    def stop(self) -> None:
        self.bridge.stop()
        self.sink.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_publication_reaches_the_queue_once(folder: Folder, inbound: Inbound) -> None:
    running = Running(folder, inbound)
    with client(running.port) as publisher, subscribed(running.port, "hub/#") as got:
        publisher.publish(TOPIC, b"1", qos=1).wait_for_publish(10)
        publisher.publish(TOPIC, b"2", qos=0).wait_for_publish(10)
        until(lambda: len(inbound.texts) == 2)
        until(lambda: len(got) == 2)
    running.stop()

    assert inbound.topics() == [TOPIC, TOPIC]


def test_what_the_queue_refused_comes_again_in_the_next_run(
    folder: Folder, inbound: Inbound
) -> None:
    inbound.refusing = True
    running = Running(folder, inbound)
    with client(running.port) as publisher:
        publisher.publish(TOPIC, b"1", qos=1).wait_for_publish(10)
        until(lambda: inbound.calls >= 1)
    running.stop()
    assert inbound.texts == []

    inbound.refusing = False
    again = Running(folder, inbound, running.port)
    until(lambda: inbound.topics() == [TOPIC])
    again.stop()


def test_a_mosquitto_left_behind_is_ended_and_what_it_held_arrives(
    folder: Folder, inbound: Inbound
) -> None:
    inbound.open.clear()
    running = Running(folder, inbound)
    with client(running.port) as publisher:
        publisher.publish(TOPIC, b"1", qos=1).wait_for_publish(10)
        until(lambda: inbound.calls)
    running.bridge._client.loop_stop()  # as if its process had died: no DISCONNECT, no ack
    pid = read_json(folder.broker)["pid"]

    bridge.end_left_behind(folder)

    assert not daemon.alive(pid, "mosquitto")
    after = Inbound()
    again = Running(folder, after, running.port)
    until(lambda: after.topics() == [TOPIC])
    again.stop()
    inbound.open.set()
    running.sink.stop()


def test_it_listens_on_loopback_only(folder: Folder, inbound: Inbound) -> None:
    running = Running(folder, inbound)
    pid = read_json(folder.broker)["pid"]
    table = Path(f"/proc/{pid}/net/tcp").read_text() + Path(f"/proc/{pid}/net/tcp6").read_text()
    listening = [line.split()[1] for line in table.splitlines() if line.split()[3] == "0A"]
    ours = [each for each in listening if each.endswith(f":{running.port:04X}")]
    running.stop()

    assert ours == [f"0100007F:{running.port:04X}"]


def test_killed_firmly_it_is_found_dead(folder: Folder, inbound: Inbound) -> None:
    running = Running(folder, inbound)
    pid = read_json(folder.broker)["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: not daemon.alive(pid, "mosquitto"))

    bridge.end_left_behind(folder)

    assert not folder.broker.exists()
    running.stop()
