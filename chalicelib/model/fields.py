"""Declared fields: what a config or a vendor's credentials must hold, checked and shown without secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.model import addresses

Problem = tuple[str, str]
"""A JSON pointer within the config (``""`` is the config itself) and what is wrong there."""
MASK = "********"


@dataclass(frozen=True, slots=True)
class Field:
    """One member of a config.  A ``sensitive`` one is masked wherever it is shown."""

    name: str
    description: str
    required: bool = False
    sensitive: bool = False


def check_url(config: Mapping[str, Any], name: str, private_targets: str) -> list[Problem]:
    """Say what is wrong with a URL of a config, if it is there."""
    url = config.get(name)
    if url is None:
        return []
    detail = addresses.problem(url, private_targets) if isinstance(url, str) else "must be a text"
    return [] if detail is None else [(f"/{name}", detail)]


def check_text(config: Mapping[str, Any], name: str, pattern: str, what: str) -> list[Problem]:
    """Say what is wrong with a text of a config that must fit a pattern, if it is there."""
    value = config.get(name)
    if value is None or (isinstance(value, str) and re.fullmatch(pattern, value, re.ASCII)):
        return []
    return [(f"/{name}", f"must be {what}")]


def declared(fields: Iterable[Field], config: Mapping[str, Any]) -> list[Problem]:
    """Say which members of a config nobody declared and which required ones are missing."""
    known = {field.name: field for field in fields}
    found = [(f"/{pointer(name)}", "unknown field") for name in config if name not in known]
    found += [
        (f"/{name}", "is required")
        for name, field in known.items()
        if field.required and config.get(name) is None
    ]
    return found


def masked(fields: Iterable[Field], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config as it may be shown: the values of sensitive fields replaced."""
    secret = {field.name for field in fields if field.sensitive}
    return {name: _mask(value) if name in secret else value for name, value in config.items()}


def restored(
    sent: Mapping[str, Any], stored: Mapping[str, Any], shown: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a config in which a masked value, sent back as it was ``shown``, means the stored one."""
    result: dict[str, Any] = {}
    for name, value in sent.items():
        known = stored.get(name)
        if isinstance(value, dict) and isinstance(known, Mapping):
            result[name] = restored(value, known, shown[name])
        else:
            result[name] = known if name in shown and value == shown[name] else value
    return result


def secrets_of(fields: Iterable[Field], config: Mapping[str, Any]) -> set[str]:
    """Return the texts of a config that nothing may show."""
    return {text for each in fields if each.sensitive for text in _texts(config.get(each.name))}


def pointer(name: str) -> str:
    """Escape a member's name for a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def _mask(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict.fromkeys(value, MASK)
    return None if value is None else MASK


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, str) and value:
        yield value
