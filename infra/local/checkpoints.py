"""How far a consumer has read each shard of a stream; survives a kill -9."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from infra.local.files import read_json, write_json

_LOG = logging.getLogger(__name__)
_END = "END"


class Checkpoints:
    """The positions of one consumer in one stream.

    They belong to that very stream: positions in another one (a table made anew) are forgotten,
    and reading begins at the oldest record, which is safe because functions are idempotent.
    """

    def __init__(self, path: Path, stream_arn: str) -> None:
        self._path = path
        self._stream_arn = stream_arn
        self._lock = threading.Lock()
        said = read_json(path)
        same = isinstance(said, dict) and said.get("stream_arn") == stream_arn
        self._shards: dict[str, str] = dict(said["shards"]) if same else {}

    def position(self, shard: str) -> str | None:
        """Return the sequence number of the last record done; None before the first."""
        position = self._shards.get(shard)
        return None if position == _END else position

    def ended(self, shard: str) -> bool:
        """Tell whether a shard is closed and read to its end."""
        return self._shards.get(shard) == _END

    def advance(self, shard: str, sequence_number: str) -> None:
        """Keep that everything up to a record is done."""
        self._keep(shard, sequence_number)

    def end(self, shard: str) -> None:
        """Keep that a closed shard is read to its end."""
        self._keep(shard, _END)

    def _keep(self, shard: str, position: str) -> None:
        with self._lock:
            self._shards[shard] = position
            try:
                write_json(self._path, {"stream_arn": self._stream_arn, "shards": self._shards})
            except OSError:
                _LOG.exception("a checkpoint was not kept: after a crash some work is repeated")
