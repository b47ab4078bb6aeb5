"""Exports: operators' orders to write measurements into a file, and how far they are.

The row is the truth: what it names of the bucket is the export, everything else there is a leftover of an
attempt that died.  Queue messages only name the row and its next slice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from chalicelib.model.times import DAY, to_rfc3339
from chalicelib.store import keys
from chalicelib.store.listing import Page, within
from chalicelib.store.series import Position
from chalicelib.store.table import VERSION, ConflictError, Key, Plain, Table, pack, unpack

RUNNING, DONE, FAILED, DELETED = "running", "done", "failed", "deleted"
KEPT = 7 * DAY
"""For how long a file may be fetched, from its order on: a lifecycle rule of the bucket ends it then."""
RETENTION = 30 * DAY
_PATIENCE = 15 * 60_000
"""Milliseconds after which a slice's message is taken for lost; one that waits comes sooner."""
_WAITING = "EXPORTS"
"""The partition of ``by_state`` that lists what is under way by the moment it counts as stalled."""


@dataclass(frozen=True, slots=True)
class Export:
    """One order: measurements from ``start`` until before ``end`` (ms), and what became of it."""

    tenant: str
    id: str
    devices: tuple[str, ...]
    metrics: tuple[str, ...] | None
    """``None``: all that a device has."""
    start: int
    end: int
    format: str
    compression: str | None
    created_at: int
    state: str = RUNNING
    finished_at: int | None = None
    reason: str | None = None
    """Why it failed."""
    device: int = 0
    """The device that is next (all are through: what is left is to compose the file)."""
    after: Position | None = None
    """The last measurement of it that was written."""
    rows: int = 0
    size: int = 0
    """Bytes of the file so far."""
    upload: str | None = None
    """The id of the multipart upload, once there is one."""
    parts: tuple[tuple[int, str], ...] = ()
    """Numbers and ETags of the parts that make the file."""
    rest: str | None = None
    """Key of the object that holds what is written and too small for a part."""
    slice: int = 0
    """How many slices are done: a message that names another one is outdated."""
    attempts: int = 0
    """How many attempts at slices began: the number of an attempt names what it puts into the bucket."""
    tries: int = 0
    """How many of them began since a slice was done."""
    version: int = 0

    @property
    def progress(self) -> float:
        """The share of devices and of their range that was read, below 1 until the file can be fetched."""
        if self.state == DONE:
            return 1.0
        span = min(self.end, self.created_at) - self.start
        within_device = 0.0
        if self.after is not None and span > 0:
            within_device = min(1.0, (self.after.at - self.start) / span)
        return round(min(0.99, (self.device + within_device) / len(self.devices)), 4)

    @property
    def kept_until(self) -> int:
        """The moment (ms) until which the file may be fetched."""
        return self.created_at + KEPT


def save(table: Table, export: Export) -> Export:
    """Write an export and return it as stored.  Raises ``ConflictError`` if it changed since it was read."""
    item: Plain = {"d": pack(_body(export))}
    if export.state != DELETED:
        item["g1pk"] = keys.listing(export.tenant, "EXPORT")
        item["g1sk"] = f"{to_rfc3339(export.created_at)}#{export.id}"
    if export.state in {RUNNING, DELETED}:
        moment = to_rfc3339(table.hub.now() + _PATIENCE)
        item |= {"g2pk": _WAITING, "g2sk": f"{moment}#{export.id}"}
    elif not table.hub.config.keep_all:
        item["expires_at"] = (export.created_at + RETENTION) // 1000
    read = {VERSION: export.version} if export.version else None
    table.replace(_key(export.tenant, export.id), item, read)
    return replace(export, version=export.version + 1)


def find(table: Table, tenant: str, identity: str) -> Export | None:
    """Return an export as it is now, or ``None``."""
    item = table.get(_key(tenant, identity))
    return export_of(item) if item else None


def give_up(table: Table, tenant: str, identity: str) -> Export | None:
    """Have an export be nobody's any more, whatever became of it; ``None`` if there is none."""
    while True:
        export = find(table, tenant, identity)
        if export is None or export.state == DELETED:
            return None
        try:
            return save(table, replace(export, state=DELETED))
        except ConflictError:
            continue


def forget(table: Table, export: Export) -> None:
    """Remove the row of an export of which nothing is left."""
    table.delete(_key(export.tenant, export.id))


def exports(table: Table, tenant: str, *, limit: int, after: Plain | None) -> Page:
    """Return a page of a tenant's exports, newest first."""
    partition = keys.listing(tenant, "EXPORT")
    return within(
        table, partition, "", "", limit=limit, after=after, index="by_time", descending=True
    )


def stalled(table: Table, now: int) -> Iterator[Export]:
    """Yield every export under way (or not yet cleared away) whose message must be lost."""
    for item in table.walk(_WAITING, "0", to_rfc3339(now), index="by_state"):
        found = table.get(Key(item["pk"], item["sk"]))
        if found and found.get("g2sk") == item["g2sk"]:
            yield export_of(found)


def export_of(item: Mapping[str, Any]) -> Export:
    """Return the export that a stored item holds."""
    body: Plain = unpack(item["d"])
    metrics, after = body.pop("metrics"), body.pop("after")
    return Export(
        tenant=keys.tenant_of(item["pk"]),
        id=item["sk"],
        version=int(item[VERSION]),
        devices=tuple(body.pop("devices")),
        metrics=None if metrics is None else tuple(metrics),
        after=None if after is None else Position.of(after),
        parts=tuple((number, tag) for number, tag in body.pop("parts")),
        **body,
    )


def _body(export: Export) -> dict[str, Any]:
    body = asdict(export)
    for name in ("tenant", "id", "version"):
        del body[name]  # they stand in the key, and beside it
    return body


def _key(tenant: str, identity: str) -> Key:
    return Key(f"T#{tenant}#X", identity)
