"""The local run as a process of its own, and what a caller asks of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from infra.local.files import read_json
from tests.local.publishing import client
from tests.local.waiting import until

ROOT = Path(__file__).parents[2]
FREE = {"PORT": "0", "MQTT_PORT": "0", "MQTT_BROKER": "embedded", "SAMPLES": "0"}


class Run:
    """One ``make run`` in a folder.  ``PYTHONPATH`` is a switch too: where the code is."""

    def __init__(self, folder: Path, **switches: str) -> None:
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("AWS_")
            and name not in {"STATE", "RETRY_SCHEDULE", "EXAMPLE_VENDOR"}
        }
        self.folder = folder
        self.output = folder / "output"
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "infra.local"],
                cwd=folder,
                env={**environment, **FREE, "PYTHONPATH": str(ROOT), **switches},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def ready(self) -> dict[str, Any]:
        def said() -> bool:
            assert self.process.poll() is None, self.output.read_text()
            return bool((read_json(path) or {}).get("pid") == self.process.pid)

        path = self.folder / ".local" / "hub.json"
        until(said, within=60)
        hub: dict[str, Any] = read_json(path)
        return hub

    def end(self, how: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(how)
        return self.process.wait(30)

    def refused(self) -> str:
        assert self.process.wait(30) == 2
        (*_, line) = self.output.read_text().strip().splitlines()
        return line


@contextmanager
def running(folder: Path, **switches: str) -> Iterator[tuple[Run, dict[str, Any]]]:
    run = Run(folder, **switches)
    try:
        yield run, run.ready()
    finally:
        if run.process.poll() is None:
            assert run.end() == 0


def post(connection: Mapping[str, Any], body: Any) -> None:
    """Send a payload by a connection's webhook."""
    answer = httpx.post(
        connection["webhook_url"],
        json=body,
        headers={"authorization": f"Bearer {connection['secret']}"},
        trust_env=False,
    )
    assert answer.status_code == 202


def publish(port: int, connection: Mapping[str, Any], topic: str, body: Any) -> None:
    """Send a payload on a connection's vendor topic."""
    with client(port) as publisher:
        prefix = connection["mqtt_topic_prefix"].rstrip("/")
        publisher.publish(f"{prefix}/{topic}", json.dumps(body), qos=1).wait_for_publish(10)
