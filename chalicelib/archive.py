"""The raw archive in S3: every payload as it came, one compressed object a batch, connection and hour.

Key: ``raw/<tenant>/<connection>/<YYYY-MM-DDTHH>/<first ms>-<last ms>-<digest>.jsonl.gz``; a line is an
envelope.  A receipt's id names connection and moment, so it finds its object by a short listing.
Bodies too large for the queue wait under ``large/`` and travel as a pointer.
"""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from chalicelib.model.decode import compress, gunzip
from chalicelib.model.digests import digest
from chalicelib.model.envelope import Envelope, from_json, with_body
from chalicelib.model.receipts import parse
from chalicelib.model.times import hour_of, to_rfc3339

if TYPE_CHECKING:
    from chalicelib.aws import Hub

_OBJECT_LIMIT = 512 * 1024 * 1024


def keep(hub: Hub, tenant: str, envelopes: Iterable[Envelope]) -> None:
    """Archive a tenant's payloads of one batch.  A retried batch overwrites its own object."""
    groups: dict[tuple[str, int], list[Envelope]] = defaultdict(list)
    for envelope in envelopes:
        groups[envelope.connection_id, hour_of(envelope.received_at)].append(envelope)
    for (connection_id, hour), group in groups.items():
        moments = [each.received_at for each in group]
        name = digest(sorted(each.receipt_id for each in group), length=10)
        prefix = _prefix(tenant, connection_id, hour)
        key = f"{prefix}{min(moments):013d}-{max(moments):013d}-{name}.jsonl.gz"
        lines = "\n".join(each.to_json() for each in group)
        hub.s3.put_object(Bucket=hub.config.bucket, Key=key, Body=compress(lines.encode()))


def find(hub: Hub, tenant: str, receipt_id: str) -> Envelope | None:
    """Return the archived payload of a receipt, or ``None``."""
    receipt = parse(receipt_id)
    if receipt is None:
        return None
    moment = receipt.received_at
    prefix = _prefix(tenant, receipt.connection_id, hour_of(moment))
    for each in _objects(hub, prefix):
        if each.first <= moment <= each.last:
            for envelope in _lines(hub, each.key):
                if envelope.receipt_id == receipt_id:
                    return envelope
    return None


def walk(
    hub: Hub,
    tenant: str,
    connection_id: str,
    start: int,
    end: int,
    after: tuple[int, str] | None = None,
) -> Iterator[Envelope]:
    """Yield a connection's payloads that arrived from ``start`` until before ``end``, each once.

    They come in order of arrival, behind the place ``after`` (:func:`place_of` a payload).  One listing
    leads through all hours; at a time only those objects are held whose spans overlap.
    """
    if after is not None:
        start = max(start, after[0])
    held: list[tuple[tuple[int, str], int, Envelope]] = []
    numbers = itertools.count()
    objects = _objects(hub, f"raw/{tenant}/{_folder(connection_id)}/", start)
    following = next(objects, None)
    last = after
    while following is not None or held:
        if following is not None and (not held or following.first <= held[0][0][0]):
            if following.first >= end:
                following = None
                continue
            if following.last >= start:
                for envelope in _lines(hub, following.key):
                    heapq.heappush(held, (place_of(envelope), next(numbers), envelope))
            following = next(objects, None)
            continue
        place, _, envelope = heapq.heappop(held)
        if start <= place[0] < end and (last is None or place > last):
            last = place
            yield envelope


def place_of(envelope: Envelope) -> tuple[int, str]:
    """Return a payload's place in the order of arrival."""
    return envelope.received_at, envelope.receipt_id


def park(hub: Hub, receipt_id: str, body: bytes) -> str:
    """Keep a body that is too large for a queue message; return its pointer."""
    key = f"large/{receipt_id}"
    hub.s3.put_object(Bucket=hub.config.bucket, Key=key, Body=compress(body))
    return key


def whole(hub: Hub, envelope: Envelope) -> Envelope:
    """Return the envelope with its body, fetched where it travels as a pointer."""
    if envelope.pointer is None:
        return envelope
    answer = hub.s3.get_object(Bucket=hub.config.bucket, Key=envelope.pointer)
    return with_body(envelope, gunzip(answer["Body"].read()))


class _Object(NamedTuple):
    first: int
    last: int
    key: str


def _objects(hub: Hub, prefix: str, start: int | None = None) -> Iterator[_Object]:
    """Yield what is below a prefix (from the hour of ``start`` on), by first arrival."""
    arguments: Any = {"Prefix": prefix}
    if start is not None:
        arguments["StartAfter"] = f"{prefix}{to_rfc3339(hour_of(start))[:13]}"
    while True:
        listing = hub.s3.list_objects_v2(Bucket=hub.config.bucket, **arguments)
        for entry in listing.get("Contents", []):
            first, last, _ = entry["Key"].rsplit("/", 1)[1].split("-", 2)
            yield _Object(int(first), int(last), entry["Key"])
        if not listing.get("IsTruncated"):
            return
        arguments["ContinuationToken"] = listing["NextContinuationToken"]


def _lines(hub: Hub, key: str) -> Iterator[Envelope]:
    answer = hub.s3.get_object(Bucket=hub.config.bucket, Key=key)
    lines = gunzip(answer["Body"].read(), _OBJECT_LIMIT).decode()
    return (from_json(line) for line in lines.split("\n"))


def _folder(connection_id: str) -> str:
    # An id that came by MQTT may be anything, until a connection answers to it.
    return quote(connection_id[:64], safe="")


def _prefix(tenant: str, connection_id: str, hour: int) -> str:
    return f"raw/{tenant}/{_folder(connection_id)}/{to_rfc3339(hour)[:13]}/"
