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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

from chalicelib.model import arns
from chalicelib.model.cloudevents import CloudEvent
from chalicelib.model.fields import Field, Problem, pointer
from chalicelib.model.requests import Request


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
    tickets: bool = False
    """Whether an alert is something there that is opened and closed."""
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


def targets(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield every URL that a config names, with its JSON pointer: ``url`` and ``*_url`` at any depth."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            for inner, url in targets(value):
                yield f"/{pointer(name)}{inner}", url
        elif isinstance(value, str) and (name == "url" or name.endswith("_url")):
            yield f"/{pointer(name)}", value
