"""How single fields of Soundsensing's entries are read: untrusted, absent more often than not."""

from __future__ import annotations

from typing import Any, TypeGuard

from chalicelib.model.records import MalformedPayloadError

Entry = dict[str, Any]


def text(value: Any) -> str | None:
    """Return a text that says something, else ``None``."""
    return value if isinstance(value, str) and value.strip() else None


def identifier(entry: Entry, field: str) -> str | None:
    """Return an id; absent is ``None``, but what is no text belongs to nobody and is an error."""
    stated = entry.get(field)
    if stated is not None and not isinstance(stated, str):
        raise MalformedPayloadError(f"{field} is no text", field)
    return text(stated)


def device_of(entry: Entry) -> str | None:
    """Return the device that an entry is about; without one its records belong to the connection."""
    return identifier(entry, "device_id")


def is_value(value: Any) -> TypeGuard[float]:
    """Say whether a wire value may be a measurement: a number or a boolean, never a text."""
    return isinstance(value, int | float)


def is_number(value: Any) -> TypeGuard[float]:
    """Say whether a wire value is a number."""
    return is_value(value) and not isinstance(value, bool)
