"""The files of a run: ``.local`` for what belongs to this machine, ``STATE`` for what is kept."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import IO, Any

from infra.local.mistakes import MistakeError, no_space

_PROBE = 1024 * 1024


class Folder:
    """Where a run keeps its files."""

    def __init__(self, root: Path, state: Path | None = None) -> None:
        self.root = root
        self.state = state
        self.kept = state or root
        """Where keys and checkpoints live: beside the data they belong to."""
        self.hub = root / "hub.json"
        self.aws = root / "aws.json"
        self.aws_log = root / "aws.log"
        self.broker = root / "mqtt.json"
        self.log = root / "hub.log"
        self.keys = self.kept / "keys.json"
        self.checkpoints = self.kept / "checkpoints"
        self._locks: list[IO[str]] = []

    def take(self) -> None:
        """Make the folders, make sure there is room, and be the only run that uses them."""
        for folder in {self.root, self.kept}:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                if no_space(error):
                    raise
                raise MistakeError(f"cannot keep files in {folder}: {error.strerror}") from error
            probe = folder / f".room.{os.getpid()}"
            try:
                with probe.open("wb") as file:
                    file.write(b"\0" * _PROBE)
                    file.flush()
                    os.fsync(file.fileno())
            finally:
                probe.unlink(missing_ok=True)
        try:
            for folder in sorted({self.root, self.kept}):
                self._lock_folder(folder)
        except MistakeError:
            self.release()
            raise

    def release(self) -> None:
        """Let another run use the folders."""
        while self._locks:
            self._locks.pop().close()

    def forget(self) -> None:
        """Delete what only means something together with data that are gone."""
        self.keys.unlink(missing_ok=True)
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        shutil.rmtree(self.kept / "mosquitto", ignore_errors=True)

    def _lock_folder(self, folder: Path) -> None:
        lock = (folder / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise MistakeError(
                f"another hub uses {folder}: end it with Ctrl-C before you start a second one"
            ) from error
        self._locks.append(lock)


def write_json(path: Path, value: Any, mode: int = 0o600) -> None:
    """Replace a file at once: a reader sees the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "w") as file:
            json.dump(value, file, indent=2)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def read_json(path: Path) -> Any:
    """Read a file that may be missing or damaged; then return None."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
