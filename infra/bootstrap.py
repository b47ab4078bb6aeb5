"""Make the virtual environment that everything runs in: ``python3 infra/bootstrap.py .venv``.

Run by the Makefile before any package is there, so it uses the standard library alone.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

LOCK = Path(__file__).parent.parent / "requirements-dev.txt"
_INSTALL = (
    *("-m", "pip", "install", "--require-hashes", "--only-binary", ":all:"),
    # The lock names every package, and Python compiles what it uses.
    *("--no-deps", "--no-compile"),
    *("--no-input", "--disable-pip-version-check", "--progress-bar", "off"),
)
_NO_NETWORK = ("connection broken", "Connection refused", "timed out", "ProxyError")


class BootstrapError(Exception):
    """The environment cannot be made; the message is for the caller."""


def make(folder: Path) -> None:
    """Make the environment unless it is there for this very lock.  Raises :class:`BootstrapError`."""
    ready = folder / "ready"
    with LOCK.open("rb") as lock:
        # Two first calls at once, make run and make test: the second one waits.
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = lock.read()
        if ready.is_file() and ready.read_bytes() == wanted and (folder / "bin/python").exists():
            ready.touch()
            return
        started = time.monotonic()
        print("installing packages (once, about a minute) …", flush=True)
        _venv(folder)
        _install(folder, wanted.count(b"=="))
        ready.write_bytes(wanted)
        print(f"installed in {time.monotonic() - started:.0f} s", flush=True)


def _venv(folder: Path) -> None:
    try:
        import ensurepip  # noqa: F401, PLC0415 - Debian ships Python without it
    except ImportError:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise BootstrapError(
            f"{sys.executable} cannot make virtual environments: install its venv module "
            f"(Debian, Ubuntu: apt install python{version}-venv)"
        ) from None
    command = [sys.executable, "-m", "venv", "--clear", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise BootstrapError(f"no virtual environment: {_last(done.stdout + done.stderr)}")


def _install(folder: Path, count: int) -> None:
    log = folder / "install.log"
    command = [str(folder / "bin/python"), *_INSTALL, "-r", str(LOCK)]
    lines: list[str] = []
    collected = 0
    # A PYTHONPATH of the caller's would make pip find packages that the environment lacks.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with (
        log.open("w", encoding="utf-8") as kept,
        subprocess.Popen(  # noqa: S603 - our own command, no shell
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
        ) as process,
    ):
        for line in process.stdout or ():
            kept.write(line)
            lines.append(line)
            if line.startswith(("Collecting ", "Processing ")):
                collected += 1
                _show(f"{collected} of about {count}")
            elif line.startswith("Installing "):
                _show("unpacking")
    _show("")
    if process.returncode == 0:
        return
    text = "".join(lines)
    if any(each in text for each in _NO_NETWORK):
        raise BootstrapError(f"packages cannot be downloaded: no network? (details: {log})")
    raise BootstrapError(f"packages cannot be installed: {_last(text)} (details: {log})")


def _show(progress: str) -> None:
    if sys.stdout.isatty():
        print(f"\r\033[K{progress}", end="", flush=True)


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["no reason given"])[-1]


def main() -> int:
    """Make the environment; 2 with one line to say why it cannot be made."""
    try:
        make(Path(sys.argv[1]))
    except BootstrapError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
