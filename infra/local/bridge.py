"""A real mosquitto, where one is installed, and the consumer between it and the inbound queue.

mosquitto is a process of its own and outlives a killed hub: what is published meanwhile waits in
the consumer's persistent session.  The consumer acknowledges a message only when the inbound
queue has it.
"""

from __future__ import annotations

import logging
import os
import pwd
import shutil
import socket
import threading
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from infra.local import daemon, ending
from infra.local.files import Folder, read_json, write_json
from infra.local.mistakes import MistakeError
from infra.local.sink import ROOT, Sink

_LOG = logging.getLogger(__name__)
_WORD = "mosquitto"
_CLIENT_ID = "tributary-bridge"
_START_WITHIN = 10

_CONFIG = """\
listener {port} 127.0.0.1
allow_anonymous true
user {user}
persistence true
persistence_location {folder}/
autosave_on_changes true
autosave_interval 1
max_queued_messages 1000000
max_inflight_messages 200
log_dest stderr
log_type error
log_type warning
"""


def installed() -> str | None:
    """Return where mosquitto is; Debian keeps it out of most paths."""
    return shutil.which("mosquitto") or shutil.which(
        "mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
    )


class Bridge:
    """mosquitto on a loopback port, and its consumer."""

    kind = "mosquitto"

    def __init__(self, sink: Sink, listener: socket.socket, folder: Folder) -> None:
        self._sink = sink
        self._listener = listener
        self._port: int = listener.getsockname()[1]
        self._folder = folder
        self._log = folder.root / "mosquitto.log"
        self._pid = 0
        self._connected = threading.Event()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=_CLIENT_ID,
            clean_session=False,
            manual_ack=True,
        )
        self._client.reconnect_delay_set(min_delay=1, max_delay=2)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    def start(self) -> None:
        """Start mosquitto and the consumer.  Returns once the consumer is subscribed."""
        self._listener.close()
        self._broker()
        self._client.connect_async("127.0.0.1", self._port, keepalive=30)
        self._client.loop_start()
        if not self._connected.wait(_START_WITHIN):
            raise MistakeError(f"mosquitto does not answer: see {self._log}")

    def stop(self) -> None:
        """End the consumer, then mosquitto, which keeps what was not acknowledged."""
        self._client.disconnect()
        self._client.loop_stop()
        if self._pid:
            daemon.end(self._pid, _WORD)
        self._folder.broker.unlink(missing_ok=True)

    def _broker(self) -> None:
        program = installed()
        if not program:
            raise MistakeError("mosquitto is not installed: leave MQTT_BROKER away, or install it")
        data = self._folder.kept / "mosquitto"
        data.mkdir(parents=True, exist_ok=True)
        config = data / "mosquitto.conf"
        user = pwd.getpwuid(os.getuid()).pw_name
        config.write_text(_CONFIG.format(port=self._port, user=user, folder=data.resolve()))
        with ending.held():
            self._pid = daemon.spawn([program, "-c", str(config)], self._log)
            write_json(self._folder.broker, {"pid": self._pid, "port": self._port})
        if not daemon.wait_until(lambda: _answers(self._port), _START_WITHIN):
            daemon.end(self._pid, _WORD)
            raise MistakeError(f"mosquitto did not start: see {self._log}")

    def _on_connect(self, client: mqtt.Client, _: Any, __: Any, reason: Any, ___: Any) -> None:
        if not reason.is_failure:
            client.subscribe(f"{ROOT}#", qos=1)

    def _on_subscribe(self, *_: Any) -> None:
        self._connected.set()

    def _on_message(self, client: mqtt.Client, _: Any, message: mqtt.MQTTMessage) -> None:
        number, quality = message.mid, message.qos

        def done() -> None:
            client.ack(number, quality)

        if message.retain:  # an old one, shown again because we subscribed: no rule sees these
            done()
            return
        self._sink.put(message.topic, bytes(message.payload), done)


def end_left_behind(folder: Folder) -> None:
    """End a mosquitto that a killed hub left behind; it writes down what it holds."""
    said = read_json(folder.broker)
    if isinstance(said, dict) and isinstance(said.get("pid"), int):
        daemon.end(said["pid"], _WORD)
    folder.broker.unlink(missing_ok=True)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
