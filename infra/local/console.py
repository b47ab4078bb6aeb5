"""What a person sees: the progress of the run.  All else goes to ``.local/hub.log``."""

from __future__ import annotations

import io
import logging
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

_LARGEST_LOG = 20 * 1024 * 1024


class Console:
    """One line a step."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._began = time.monotonic()

    def say(self, text: str = "") -> None:
        """Print a line."""
        try:
            self._stream.write(f"{text}\n")
            self._stream.flush()
        except (OSError, ValueError):  # nobody reads any more; the run goes on
            return

    def step(self, what: str, result: str) -> None:
        """Print that a part of the run is there, and when."""
        self.say(f"{time.monotonic() - self._began:6.1f} s  {what:<14} {result}")


class LogFile(io.TextIOBase):
    """A log that starts anew when it has become large; the one before it is kept."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._file = path.open("a", encoding="utf-8", errors="replace")

    def writable(self) -> bool:
        """Tell that it can be written."""
        return True

    def write(self, text: str) -> int:
        """Append; a disk without room costs the line, not the run."""
        with self._lock:
            try:
                self._file.write(text)
                if self._file.tell() > _LARGEST_LOG:
                    self._file.close()
                    self._path.replace(self._path.with_suffix(".1.log"))
                    self._file = self._path.open("a", encoding="utf-8", errors="replace")
                elif text.endswith("\n"):
                    self._file.flush()
            except (OSError, ValueError):
                return 0
        return len(text)


def redirect(path: Path) -> Console:
    """Send what is printed and logged to a file, and return the console in its place."""
    console = Console(sys.stdout)
    log = LogFile(path)
    sys.stdout = log
    sys.stderr = log
    logging.basicConfig(
        stream=log,
        level=logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        force=True,
    )
    return console
