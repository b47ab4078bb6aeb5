"""Destinations: all that the hub knows of each kind of place deliveries go, one folder a kind.

A folder is a package that defines ``destination``.  Its name is the integration's ``kind``.  A
destination is a value of declared fields and two pure functions; it never sees a clock, a network or
an environment.  Whoever delivers signs the request it renders, checks its address and sends it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from chalicelib.model.cloudevents import CloudEvent

Problem = tuple[str, str]
"""A JSON pointer within the config (``""`` is the config itself) and what is wrong there."""


@dataclass(frozen=True, slots=True)
class Field:
    """One member of a destination's config.  A ``sensitive`` one is masked wherever it is shown."""

    name: str
    description: str
    required: bool = False
    sensitive: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be sent, without the headers that signing adds."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


class Check(Protocol):
    """The kind of function that says what is wrong with a config."""

    def __call__(self, config: Mapping[str, Any], *, private_targets: str) -> list[Problem]:
        """Say what is wrong.  ``private_targets`` is the deployment's rule for addresses."""


Render = Callable[[Sequence[CloudEvent], Mapping[str, Any], bool], Request]
"""Events and config to a request; the flag asks for the batch form, whose body is always a list."""


@dataclass(frozen=True, slots=True)
class Destination:
    """What the hub knows of one kind of place."""

    title: str
    fields: tuple[Field, ...]
    check: Check
    render: Render
    signed: bool = True
    """Whether requests carry a Standard Webhooks signature with the integration's own secrets."""


def names() -> tuple[str, ...]:
    """Return the kinds in the tree."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if m.ispkg))


@cache
def destination(kind: str) -> Destination:
    """Return a destination.  Raises ``KeyError`` for an unknown kind."""
    if kind not in names():
        raise KeyError(kind)
    found = importlib.import_module(f"{__name__}.{kind}").destination
    if not isinstance(found, Destination):
        raise TypeError(f"{kind}: destination is not a Destination")
    return found


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


def targets(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield every URL that a config names, with its JSON pointer: ``url`` and ``*_url`` at any depth."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            for inner, url in targets(value):
                yield f"/{pointer(name)}{inner}", url
        elif isinstance(value, str) and (name == "url" or name.endswith("_url")):
            yield f"/{pointer(name)}", value


def masked(fields: Iterable[Field], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config as it may be shown: the values of sensitive fields replaced."""
    secret = {field.name for field in fields if field.sensitive}
    return {name: _mask(value) if name in secret else value for name, value in config.items()}


def pointer(name: str) -> str:
    """Escape a member's name for a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def _mask(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict.fromkeys(value, "********")
    return None if value is None else "********"
