"""The embedded AWS: ministack, a process of its own.

It outlives a hub that is killed and is adopted by the next run, so nothing that it accepted is
lost.  It is ended, by us and politely, when a run ends; only then it writes its state to disk.
"""

from __future__ import annotations

import os
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local import daemon, ending
from infra.local.files import Folder, read_json, write_json
from infra.local.mistakes import MistakeError

REGION = "eu-west-1"
_WORD = "ministack"
_START_WITHIN = 60
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running AWS."""

    endpoint_url: str
    pid: int | None
    """None for an endpoint that somebody else runs."""
    state: str | None = None
    adopted: bool = False

    def running(self) -> bool:
        """Tell whether its process is there; of somebody else's, one does not know better."""
        return self.pid is None or daemon.alive(self.pid, _WORD)


def ensure(folder: Folder) -> Emulator:
    """Adopt the embedded AWS that a killed hub left behind, or start one."""
    state = str(folder.state.resolve()) if folder.state else None
    left = left_behind(folder.aws)
    if left and left.state == state and healthy(left.endpoint_url, within=10):
        return Emulator(left.endpoint_url, left.pid, state, adopted=True)
    if left and left.pid:
        daemon.end(left.pid, _WORD)
    return start(folder)


def start(folder: Folder) -> Emulator:
    """Start ministack on a free loopback port and wait until it answers."""
    folder.aws.unlink(missing_ok=True)
    state = folder.state.resolve() if folder.state else None
    mark = folder.aws_log.stat().st_size if folder.aws_log.exists() else 0
    port = free_port()
    emulator = Emulator(f"http://127.0.0.1:{port}", None)
    up = False
    try:
        with ending.held():
            pid = daemon.spawn(
                [sys.executable, "-m", "ministack"], folder.aws_log, _environment(port, state)
            )
            emulator = Emulator(emulator.endpoint_url, pid, str(state) if state else None)
            note = {"endpoint_url": emulator.endpoint_url, "pid": pid, "state": emulator.state}
            write_json(folder.aws, note)
        up = _up(emulator)
    finally:
        if not up and emulator.pid:  # nor when somebody ends the run just now
            daemon.end(emulator.pid, _WORD)
            folder.aws.unlink(missing_ok=True)
    if not up:
        raise MistakeError(
            f"the embedded AWS did not start: {_last_line(folder.aws_log, mark)}"
            f" (see {folder.aws_log})"
        )
    return emulator


def stop(folder: Folder, emulator: Emulator) -> str | None:
    """End an embedded AWS.  Returns a warning if its state may not have been kept."""
    if emulator.pid is None:
        return None
    before = time.time()
    polite = daemon.end(emulator.pid, _WORD)
    folder.aws.unlink(missing_ok=True)
    if emulator.state is None:
        return None
    table = Path(emulator.state) / "aws" / "dynamodb.json"
    if polite and table.exists() and table.stat().st_mtime >= before - 1:
        return None
    return f"the state may not be complete: see {folder.aws_log}"


def _up(emulator: Emulator) -> bool:
    """Wait until an emulator answers.  False if it ends first or takes too long."""
    until = time.monotonic() + _START_WITHIN
    while not healthy(emulator.endpoint_url, within=0):
        if not emulator.running() or time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def healthy(endpoint_url: str, within: float) -> bool:
    """Tell whether a ministack answers there."""

    def answers() -> bool:
        try:
            with _DIRECT.open(f"{endpoint_url}/_ministack/health", timeout=2) as answer:
                return b'"services"' in answer.read()
        except (OSError, urllib.error.URLError, ValueError):
            return False

    return daemon.wait_until(answers, within, every=0.1)


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def left_behind(path: Path) -> Emulator | None:
    """Return what the last run wrote, if that very process still runs."""
    said: Any = read_json(path)
    if not isinstance(said, dict) or not isinstance(said.get("pid"), int):
        return None
    if not daemon.alive(said["pid"], _WORD):
        return None
    return Emulator(str(said.get("endpoint_url")), said["pid"], said.get("state"))


def _environment(port: int, state: Path | None) -> Mapping[str, str]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "MINISTACK_", "LOCALSTACK_"))
    }
    environment |= {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",  # it would listen on every interface
        "SFTP_ENABLED": "0",
        "MINISTACK_REGION": REGION,
        "LOG_LEVEL": "WARNING",
        "PERSIST_STATE": "0",
        "S3_PERSIST": "0",
    }
    if state:
        environment |= {
            "PERSIST_STATE": "1",
            "STATE_DIR": str(state / "aws"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(state / "s3"),
        }
    return environment


def _last_line(log: Path, mark: int) -> str:
    with log.open("rb") as file:
        file.seek(mark)
        lines = file.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
