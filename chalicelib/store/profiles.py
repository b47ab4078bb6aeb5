"""Profiles: what is known of the fields of each message type of a connection, and what changed of them.

One item a (connection, message type), written under a version, only when an item of the vendor shows
what the profile does not know.  A change is told by the very write that learns it: project makes its
event of the stored profile's images, so that neither can exist without the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from chalicelib.model.assembly import EventRecord
from chalicelib.model.digests import digest
from chalicelib.model.shapes import Change, Profile, changes_of, from_plain, to_plain
from chalicelib.store import keys
from chalicelib.store.said import Provenance
from chalicelib.store.table import VERSION, Plain, Table, pack, unpack

EVENT = "vendor.schema_drift"


class Stored(NamedTuple):
    """A profile as it was read: ``version`` 0 where there is none yet."""

    profile: Profile
    version: int = 0


class Told(NamedTuple):
    """The event of a change, whose it is, and the payload that showed it."""

    tenant: str
    event: EventRecord
    source: Provenance


def read(
    table: Table, tenant: str, connection_id: str, kind: str, *, consistent: bool = True
) -> Stored:
    """Return the profile of a message type."""
    item = table.get(keys.profile(tenant, connection_id, kind), consistent=consistent)
    if item is None:
        return Stored(Profile())
    return Stored(from_plain(unpack(item["d"])), int(item[VERSION]))


def write(
    table: Table, tenant: str, connection_id: str, vendor: str, kind: str, stored: Stored
) -> Stored:
    """Write a profile that follows from what was read.  Raises ``ConflictError`` if that is outdated."""
    item: Plain = {"d": pack({"vendor": vendor, **to_plain(stored.profile)})}
    read_version = {VERSION: stored.version} if stored.version else None
    table.replace(keys.profile(tenant, connection_id, kind), item, read_version)
    return Stored(stored.profile, stored.version + 1)


def of_connection(table: Table, tenant: str, connection_id: str) -> dict[str, Profile]:
    """Return the profiles of a connection by message type."""
    pk = keys.connection_pk(tenant, connection_id)
    rows = table.walk(pk, keys.PROFILE, f"{keys.PROFILE}~")
    return {row["sk"].removeprefix(keys.PROFILE): from_plain(unpack(row["d"])) for row in rows}


def told(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> Iterator[Told]:
    """Yield what a stored profile tells that its former image did not."""
    plain = unpack(new["d"])
    before = set(changes_of(unpack(old["d"]))) if old is not None else set()
    tenant, connection_id = keys.connection_of(new["pk"])
    kind = new["sk"].removeprefix(keys.PROFILE)
    device_id = f"{plain['vendor']}:connection.{connection_id}"
    for change in changes_of(plain):
        if change in before:
            continue
        identity = event_id(connection_id, kind, change)
        data = {"message_type": kind, "changes": [as_json(change)]}
        event = EventRecord(identity, device_id, EVENT, change.at, data)
        source = Provenance(connection_id, change.receipt_id, change.adapter_version)
        yield Told(tenant, event, source)


def event_id(connection_id: str, kind: str, change: Change) -> str:
    """Return the id of a change's event: one a field, kind of drift and day."""
    return digest("drift", connection_id, kind, change.path, change.drift, change.day)


def as_json(change: Change) -> dict[str, Any]:
    """Return a change as events and the API show it."""
    return {
        "path": change.path,
        "drift": change.drift,
        "types": list(change.types),
        "before": list(change.before),
    }
