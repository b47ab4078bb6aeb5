"""Processes that outlive a killed hub: started in a session of their own, found again, ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_children: dict[int, subprocess.Popen[bytes]] = {}


def spawn(command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> int:
    """Start a process that no signal to our group reaches, and return its id."""
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command, no shell
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if environment is None else dict(environment),
            start_new_session=True,
        )
    _children[process.pid] = process
    return process.pid


def alive(pid: int, word: str) -> bool:
    """Tell whether a process runs and its command line holds a word: ids are used again."""
    if child := _children.get(pid):
        if child.poll() is None:
            return True  # certainly; its command line may not be there yet
        del _children[pid]
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return False
    return word in _command_line(pid)


def end(pid: int, word: str, within: float = 20) -> bool:
    """End a process politely, then firmly.  False if it had to be killed."""
    if not alive(pid, word):
        return True
    os.kill(pid, signal.SIGTERM)
    if wait_until(lambda: not alive(pid, word), within):
        return True
    if alive(pid, word):
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not alive(pid, word), 5)
    return False


def wait_until(condition: Callable[[], bool], within: float, every: float = 0.02) -> bool:
    """Wait for a condition.  Returns False when it does not hold in time."""
    until = time.monotonic() + within
    while not condition():
        if time.monotonic() >= until:
            return False
        time.sleep(every)
    return True


def _command_line(pid: int) -> str:
    try:
        return (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        )
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return ""
    except OSError:
        return ""
    ps = ["ps", "-o", "command=", "-p", str(pid)]  # no /proc on macOS
    return subprocess.run(ps, capture_output=True, text=True, check=False).stdout  # noqa: S603
