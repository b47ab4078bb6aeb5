"""Every key of the table, built in one place."""

from __future__ import annotations

from chalicelib.model.digests import digest
from chalicelib.model.times import DAY, from_rfc3339, to_rfc3339
from chalicelib.store.table import Key

SEGMENT, FACTS, EVENT, MEDIA, SIGNAL, ALERT = "M#", "F#", "E#", "E!#", "S#", "A#"
DEVICE, STATE = "DEVICE", "STATE"
COMMAND = "C#"
ROLLUP = "R#1h#"
PROFILE, HOUR, KINDS = "P#", "H#", "ALERTS"
STANDING, INTEGRATION, LINE = "STANDING", "int_", "O#"
SAID = (SEGMENT, FACTS, EVENT, MEDIA, SIGNAL)
"""What vendors said, from which everything else follows."""


def device_pk(tenant: str, device_id: str) -> str:
    """The partition of all that is about one device."""
    return f"T#{tenant}#D#{device_id}"


def device_of(pk: str) -> tuple[str, str]:
    """Return tenant and device id of a device's partition key."""
    _, tenant, _, device_id = pk.split("#", 3)
    return tenant, device_id


def is_device(pk: str) -> bool:
    """Say whether a partition is about a device."""
    return pk.split("#", 3)[2:3] == ["D"]


def device(tenant: str, device_id: str) -> Key:
    """The device's slow facts."""
    return Key(device_pk(tenant, device_id), DEVICE)


def state(tenant: str, device_id: str) -> Key:
    """The device's latest values."""
    return Key(device_pk(tenant, device_id), STATE)


def segment(tenant: str, device_id: str, kind: str, first: int, name: str, *, points: bool) -> Key:
    """One payload's measurements (or facts alone) of a device, message kind and hour."""
    prefix = SEGMENT if points else FACTS
    return Key(device_pk(tenant, device_id), f"{prefix}{kind}#{to_rfc3339(first)}#{name}")


def taken_at(sk: str) -> int:
    """Return the moment of a segment's first point (ms), from its sort key."""
    return from_rfc3339(sk.split("#", 3)[2]) or 0


def rollup(tenant: str, device_id: str, day: int) -> Key:
    """The summaries of a device's hours of one day (numbered from 1970, UTC)."""
    return Key(device_pk(tenant, device_id), f"{ROLLUP}{to_rfc3339(day * DAY)[:10]}")


def rolled_day(sk: str) -> int:
    """Return the day (numbered from 1970, UTC) of a rollup, from its sort key."""
    return (from_rfc3339(f"{sk.removeprefix(ROLLUP)}T00:00:00Z") or 0) // DAY


def event(tenant: str, device_id: str, at: int, identity: str) -> Key:
    """One event."""
    return Key(device_pk(tenant, device_id), f"{EVENT}{to_rfc3339(at)}#{identity}")


def media(tenant: str, device_id: str, at: int, identity: str) -> Key:
    """One media reference."""
    return Key(device_pk(tenant, device_id), f"{MEDIA}{to_rfc3339(at)}#{identity}")


def signal(tenant: str, device_id: str, key: str, at: int, name: str) -> Key:
    """One alert signal.  The alert's key is digested: it is a vendor's free text."""
    return Key(device_pk(tenant, device_id), f"{SIGNAL}{condition(key)}#{to_rfc3339(at)}#{name}")


def alert(tenant: str, device_id: str, key: str, raised_at: int) -> Key:
    """One alert."""
    return Key(device_pk(tenant, device_id), f"{ALERT}{condition(key)}#{to_rfc3339(raised_at)}")


def command(tenant: str, device_id: str, at: int, identity: str) -> Key:
    """One command."""
    return Key(device_pk(tenant, device_id), f"{COMMAND}{to_rfc3339(at)}#{identity}")


def command_pointer(tenant: str, identity: str) -> Key:
    """Where a command is found by its id."""
    return Key(f"T#{tenant}#ID#{identity}", "COMMAND")


def condition(key: str) -> str:
    """The part of a sort key that stands for an alert's key."""
    return digest(key, length=10)


def connection_pk(tenant: str, connection_id: str) -> str:
    """The partition of what the hub has noticed of a connection."""
    return f"T#{tenant}#C#{connection_id}"


def connection_of(pk: str) -> tuple[str, str]:
    """Return tenant and connection of such a partition."""
    _, tenant, _, connection_id = pk.split("#", 3)
    return tenant, connection_id


def is_profile(pk: str, sk: str) -> bool:
    """Say whether an item is a profile."""
    return sk.startswith(PROFILE) and pk.split("#", 3)[2:3] == ["C"]


def profile(tenant: str, connection_id: str, kind: str) -> Key:
    """What is known of the fields of a message type."""
    return Key(connection_pk(tenant, connection_id), f"{PROFILE}{kind}")


def hour(tenant: str, connection_id: str, at: int) -> Key:
    """What was counted of a connection in an hour (UTC)."""
    return Key(connection_pk(tenant, connection_id), f"{HOUR}{to_rfc3339(at)[:13]}")


def integrations_pk(tenant: str) -> str:
    """The partition of a tenant's integrations."""
    return f"T#{tenant}#I"


def integration_pk(tenant: str, integration_id: str) -> str:
    """The partition of one integration's condition and deliveries."""
    return f"T#{tenant}#I#{integration_id}"


def integration_of(pk: str) -> tuple[str, str]:
    """Return tenant and integration of such a partition."""
    _, tenant, _, integration_id = pk.split("#", 3)
    return tenant, integration_id


def is_told_of(pk: str) -> bool:
    """Say whether subscribers may learn of changes in a partition: a device's or an integration's."""
    return pk.split("#", 3)[2:3] in (["D"], ["I"])


def tenant_of(pk: str) -> str:
    """Return the tenant of a partition that is somebody's."""
    return pk.split("#", 3)[1]


def standing(tenant: str, integration_id: str) -> Key:
    """How an integration stands."""
    return Key(integration_pk(tenant, integration_id), STANDING)


def pointer(tenant: str, identity: str) -> Key:
    """Where an alert is found by its id."""
    return Key(f"T#{tenant}#ID#{identity}", "ALERT")


def listing(tenant: str, what: str, month: str | None = None) -> str:
    """The partition of ``by_time`` that lists things of a tenant."""
    return f"T#{tenant}#{what}#{month}" if month else f"T#{tenant}#{what}"


def alerts(tenant: str, kind: str) -> str:
    """The partition of ``by_state`` that lists a tenant's alerts of a kind."""
    return f"T#{tenant}#{KINDS}#{kind}"


def month_of(at: int) -> str:
    """The month (UTC) by which listings are bucketed."""
    return to_rfc3339(at)[:7]
