"""Destinations: all that the hub knows of each kind of place deliveries go, one folder a kind.

A folder is a package that defines ``destination``.  Its name is the integration's ``kind``.  A
destination is a value of declared fields and two pure functions; it never sees a clock, a network or
an environment.  Whoever delivers sends what it renders: signs a request and checks its address, makes
a call in the name of the tenant's role.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

from chalicelib.model import addresses, arns
from chalicelib.model.certificates import Certificate
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
class Grant:
    """OAuth 2.0 client credentials: whoever sends first asks for a token there."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request to be sent, without the headers that signing and a grant add."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    grant: Grant | None = None
    certificate: Certificate | None = None
    """Whom the hub is to the endpoint, where that asks."""
    within: float | None = None
    """Seconds for the whole exchange, where less than usual are left."""


@dataclass(frozen=True, slots=True)
class AwsCall:
    """A call of AWS to be made, named as boto3 names it.

    ``role_arn`` is the role of the tenant's account in whose name it is made.  Without one it is the
    hub's own name: only calls that spend what the deployment gives are made so.
    """

    service: str
    operation: str
    parameters: Mapping[str, Any]
    region: str = ""
    role_arn: str | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """How events are asked for, and what else may go into them."""

    batch: bool = False
    """Whether the batch form is asked for, whose body is always a list."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """The text of each of the destination's templates, for the one event that there is."""
    tenant: str = ""
    given: str = ""
    """What the deployment gives to destinations of this kind (see ``Destination.needs``)."""


@dataclass(frozen=True, slots=True)
class Most:
    """How much one batch may hold."""

    records: int
    size: int = 1000 * 1024
    """Bytes of the events as JSON."""


class Check(Protocol):
    """The kind of function that says what is wrong with a config."""

    def __call__(self, config: Mapping[str, Any], *, private_targets: str) -> list[Problem]:
        """Say what is wrong.  ``private_targets`` is the deployment's rule for addresses."""


Render = Callable[[Sequence[CloudEvent], Mapping[str, Any], Form], Request | AwsCall | None]
"""Events and config to what is sent; ``None``: nothing of this is for that place."""


@dataclass(frozen=True, slots=True)
class Destination:
    """What the hub knows of one kind of place."""

    title: str
    fields: tuple[Field, ...]
    check: Check
    render: Render
    signed: bool = False
    """Whether requests carry a Standard Webhooks signature with the integration's own secrets."""
    ordered: bool = False
    """Whether a device's events must not overtake each other: the integration's ``ordering`` says so."""
    batches: Most | None = None
    """What one batch may hold; ``None``: one event at a time."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Its templates by name, as they are unless an integration has its own; none: no text for people."""
    needs: str = ""
    """The setting of the deployment without which there are no destinations of this kind."""

    @property
    def roles(self) -> bool:
        """Whether calls are made in the name of a role of the tenant's account."""
        return any(field.name == ROLE.name for field in self.fields)


ROLE = Field(
    "role_arn",
    "The role of your account that the hub assumes, with the integration's external_id.",
)


def check_role(config: Mapping[str, Any], private_targets: str) -> list[Problem]:
    """Say what is wrong with the role of a config.  Only the local run goes without one."""
    role = config.get(ROLE.name)
    if role is None:
        needed = private_targets == "refuse"
        return [(f"/{ROLE.name}", "is required")] if needed else []
    detail = arns.role_problem(role)
    return [] if detail is None else [(f"/{ROLE.name}", detail)]


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


def as_json(value: Any) -> bytes:
    """Return a value as the JSON of a request's body."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def as_ascii(event: CloudEvent) -> str:
    """Return an event as JSON for services that refuse some characters which JSON may hold."""
    return json.dumps(event, separators=(",", ":"), allow_nan=False)


@cache
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


def most(kind: str) -> Most | None:
    """Return what one batch may hold; ``None``: one event at a time, or a kind that is no more."""
    return destination(kind).batches if kind in names() else None


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


def secrets_of(fields: Iterable[Field], config: Mapping[str, Any]) -> set[str]:
    """Return the texts of a config that nothing may show."""
    return {text for each in fields if each.sensitive for text in _texts(config.get(each.name))}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, str) and value:
        yield value
