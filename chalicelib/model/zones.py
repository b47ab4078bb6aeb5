"""Time zones by their IANA names."""

from __future__ import annotations

from functools import cache
from zoneinfo import ZoneInfo


@cache
def zone_names() -> frozenset[str]:
    """Return every name.  What else a machine keeps beside its zones (``posixrules``) is none."""
    from importlib import resources  # noqa: PLC0415 - few calls name a zone

    return frozenset(resources.files("tzdata").joinpath("zones").read_text("utf-8").split())


def zone_of(name: str) -> ZoneInfo:
    """Return a time zone.  Raises ``ValueError`` for what is no name of one."""
    if name not in zone_names():
        raise ValueError("unknown time zone: an IANA name, such as Europe/Berlin")
    return ZoneInfo(name)
