"""The raw archive in S3: every payload as it came, one compressed object a batch, connection and hour.

Key: ``raw/<tenant>/<connection>/<YYYY-MM-DDTHH>/<first ms>-<last ms>-<digest>.jsonl.gz``; a line is an
envelope.  A receipt's id names connection and moment, so it finds its object by a short listing.
Bodies too large for the queue wait under ``large/`` and travel as a pointer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from chalicelib.model.decode import compress, gunzip
from chalicelib.model.digests import digest
from chalicelib.model.envelope import Envelope, from_json, with_body
from chalicelib.model.receipts import parse
from chalicelib.model.times import HOUR, hour_of, to_rfc3339

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
    hour = hour_of(receipt.received_at)
    for envelope in _read(hub, tenant, receipt.connection_id, hour, receipt.received_at):
        if envelope.receipt_id == receipt_id:
            return envelope
    return None


def walk(hub: Hub, tenant: str, connection_id: str, start: int, end: int) -> Iterator[Envelope]:
    """Yield a connection's payloads that arrived from ``start`` until before ``end``, each once."""
    for hour in range(hour_of(start), end, HOUR):
        seen: set[str] = set()
        for envelope in _read(hub, tenant, connection_id, hour, None):
            if start <= envelope.received_at < end and envelope.receipt_id not in seen:
                seen.add(envelope.receipt_id)
                yield envelope


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


def _read(
    hub: Hub, tenant: str, connection_id: str, hour: int, moment: int | None
) -> Iterator[Envelope]:
    prefix = _prefix(tenant, connection_id, hour)
    more: Any = {}
    while True:
        listing = hub.s3.list_objects_v2(Bucket=hub.config.bucket, Prefix=prefix, **more)
        for entry in listing.get("Contents", []):
            key = entry["Key"]
            first, last, _ = key[len(prefix) :].split("-", 2)
            if moment is not None and not int(first) <= moment <= int(last):
                continue
            answer = hub.s3.get_object(Bucket=hub.config.bucket, Key=key)
            lines = gunzip(answer["Body"].read(), _OBJECT_LIMIT).decode()
            yield from (from_json(line) for line in lines.split("\n"))
        if not listing.get("IsTruncated"):
            return
        more = {"ContinuationToken": listing["NextContinuationToken"]}


def _prefix(tenant: str, connection_id: str, hour: int) -> str:
    # An id that came by MQTT may be anything, until a connection answers to it.
    return f"raw/{tenant}/{quote(connection_id[:64], safe='')}/{to_rfc3339(hour)[:13]}/"
