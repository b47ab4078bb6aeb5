"""Beside an export's row: the message that names its next slice, its file, the link to that."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from chalicelib import queues
from chalicelib.store.exports import Export

if TYPE_CHECKING:
    from chalicelib.aws import Hub

LINK_SECONDS = 3600
FORMATS = {
    "csv": "text/csv; charset=utf-8; header=present",
    "ndjson": "application/x-ndjson",
}
"""The formats of a file, and their media types."""
GZIP = "gzip"


class Slice(NamedTuple):
    """What a message names."""

    tenant: str
    export: str
    slice: int


def enqueue(hub: Hub, export: Export, delay: int = 0) -> None:
    """Name an export's next slice to the queue, to be received after so many seconds.

    Raises ``QueueError`` if it cannot be put there.
    """
    message = queues.Message(json.dumps(Slice(export.tenant, export.id, export.slice)), delay=delay)
    queues.send(hub, hub.config.exports_url, [message])


def named(text: str) -> Slice:
    """Return the slice that a message names."""
    return Slice(*json.loads(text))


def file_of(export: Export) -> str:
    """Return the key of an export's file in the bucket.  Who does not know the id cannot guess it."""
    return f"exports/{export.tenant}/{_name(export)}"


def rest_of(export: Export) -> str:
    """Return the key of what an attempt leaves for the next slice."""
    return f"exports/{export.tenant}/{export.id}.rest/{export.attempts}"


def media_type(export: Export) -> str:
    """Return what an export's file is.  Compressed it is a gzip file, not a text in transport coding."""
    return "application/gzip" if export.compression == GZIP else FORMATS[export.format]


def link(hub: Hub, export: Export, seconds: int) -> str:
    """Return a URL that downloads an export's file for so many seconds, without a key of the hub."""
    wanted = {
        "Bucket": hub.config.bucket,
        "Key": file_of(export),
        "ResponseContentDisposition": f'attachment; filename="{_name(export)}"',
    }
    return hub.s3.generate_presigned_url("get_object", Params=wanted, ExpiresIn=seconds)


def _name(export: Export) -> str:
    return f"{export.id}.{export.format}{'.gz' if export.compression == GZIP else ''}"
