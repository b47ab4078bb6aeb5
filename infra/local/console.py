"""What a person sees: the progress of the run.  All else goes to ``.local/hub.log``."""

from __future__ import annotations

import atexit
import contextlib
import io
import logging
import queue
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
    """A log that starts anew when it has become large; the one before it is kept.

    Threads only hand their lines over, one thread writes them: a system call under a lock that every
    handler wants once a line was most of the time that a delivery took.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("a", encoding="utf-8", errors="replace")
        self._size = path.stat().st_size
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="log", daemon=True)
        self._writer.start()

    def writable(self) -> bool:
        """Tell that it can be written."""
        return True

    def write(self, text: str) -> int:
        """Hand text over to be appended."""
        self._lines.put(text)
        return len(text)

    def close(self) -> None:
        """Write what was handed over, and end."""
        if self._writer.is_alive():
            self._lines.put(None)
            self._writer.join(5)
        super().close()

    def _write(self) -> None:
        while True:
            texts = [self._lines.get()]
            while not self._lines.empty():
                texts.append(self._lines.get())
            with contextlib.suppress(OSError, ValueError):  # a full disk costs lines, not the run
                self._append("".join(text for text in texts if text is not None))
            if None in texts:
                return

    def _append(self, text: str) -> None:
        self._size += self._file.write(text)
        self._file.flush()
        if self._size > _LARGEST_LOG:
            self._file.close()
            self._path.replace(self._path.with_suffix(".1.log"))
            self._file = self._path.open("a", encoding="utf-8", errors="replace")
            self._size = 0


def redirect(path: Path) -> Console:
    """Send what is printed and logged to a file, and return the console in its place."""
    console = Console(sys.stdout)
    log = LogFile(path)
    atexit.register(log.close)
    sys.stdout = log
    sys.stderr = log
    logging.basicConfig(
        stream=log,
        level=logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        force=True,
    )
    return console
