"""What the hub knows of a vendor's REST API: requests to be sent and answers to be read, all of it pure.

A vendor's folder declares a :class:`Client`.  Whoever sends has the network, the clock and the secrets.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

from chalicelib.model.fields import Field, Problem
from chalicelib.model.requests import Request

KNOWN = "known"
"""The step that looks at the devices which the hub knows of the connection: ``[KNOWN, None]``."""
ANY = "*"
"""Stands for every name: which commands there are, only the device's model at the vendor knows."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account at a vendor: where its API is, who the hub is there, and the token of the session."""

    base_url: str
    credentials: Mapping[str, Any] = field(default_factory=dict, repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict)
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Order:
    """A command as a vendor is told of it.  ``device`` is the native id, ``deadline`` in milliseconds."""

    id: str
    device: str
    name: str
    payload: Any
    deadline: int


class Session(NamedTuple):
    """A token and the seconds for which it is good."""

    token: str
    seconds: float


class Taken(NamedTuple):
    """What a vendor's answer says: the reference under which it will tell more, and what it told now."""

    reference: str = ""
    result: Any = None


Judgement = Literal["succeeded", "failed"]


@dataclass(frozen=True, slots=True)
class Commands:
    """The commands that a vendor takes.

    ``request`` may be made once only, ``taken`` reads its answer (``None``: not JSON).  ``answers`` says
    whether devices tell what came of a command; then ``replied`` finds the reference in an event (type and
    data) of the device, and ``judged`` says what it means (``None``: nothing final yet).
    """

    names: Mapping[str, str]
    """What each does, by its name."""
    request: Callable[[Order, Account], Request]
    check: Callable[[Order, Account], list[Problem]] = lambda *_: []
    """What is wrong with a command: pointers into the body that orders it."""
    taken: Callable[[Order, Any], Taken] = lambda *_: Taken()
    reference: Callable[[Order], str] = lambda _: ""
    """The reference that a request carries, where the hub chooses it."""
    answers: bool = False
    replied: Callable[[str, Any], str | None] = lambda *_: None
    judged: Callable[[Order, Any], Judgement | None] = lambda *_: None
    patience: int = 300
    """Seconds from the order on after which nobody waits for an end any more."""

    def takes(self, name: str) -> bool:
        """Say whether there may be a command of this name."""
        return name in self.names or ANY in self.names


Step = list[Any]
"""One request of a sync, as JSON: its kind and what it asks about."""


class Known(NamedTuple):
    """A device that the hub knows: its native id, and the metrics that it has."""

    device: str
    metrics: tuple[str, ...]


class Fetched(NamedTuple):
    """What an answer brings: payloads with their topics, and the steps to be taken next."""

    payloads: list[tuple[str, Any]]
    steps: list[Step] = []  # noqa: RUF012 - nobody changes it


class Wanted(NamedTuple):
    """What a sync is for: a connection's id and settings, and history between two moments (ms)."""

    connection: str
    settings: Mapping[str, Any]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Sync:
    """How inventory and missed history are fetched, step by step.

    ``begin`` lists the first steps, ``request`` makes a step's request, ``read`` says what its answer brings
    (raises ``ValueError`` for one that is not as documented).
    """

    begin: Callable[[Wanted], list[Step]]
    request: Callable[[Step, Account], Request]
    read: Callable[[Step, Any], Fetched]
    about: Callable[[Wanted, Sequence[Known]], list[Step]] = lambda *_: []
    """The steps for some of the devices that the hub knows."""


@dataclass(frozen=True, slots=True)
class Client:
    """What the hub knows of one vendor's REST API.

    ``login`` is the request that begins a session and ``session`` what its answer says (raises
    ``ValueError``); a vendor whose credentials are good for every request has neither.  ``headers`` say in
    each request who asks.
    """

    credentials: tuple[Field, ...]
    headers: Callable[[Account], Mapping[str, str]]
    base_url: str = ""
    """Where the API is unless ``settings.base_url`` says so; empty: the settings must."""
    login: Callable[[Account], Request] | None = None
    session: Callable[[Any], Session] | None = None
    commands: Commands | None = None
    sync: Sync | None = None


def bearer(account: Account) -> Mapping[str, str]:
    """Return the header that shows the session's token."""
    return {"Authorization": f"Bearer {account.token}"}


def asked(account: Account, method: str, path: str, body: Any = None) -> Request:
    """Return a request of the API with a JSON body, without the headers that say who asks."""
    headers = {"User-Agent": "Tributary/1", "Accept": "application/json"}
    text = b""
    if body is not None:
        headers["Content-Type"] = "application/json"
        text = json.dumps(body, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    return Request(method, account.base_url.rstrip("/") + path, headers, text)


def segment(text: str) -> str:
    """Return a text as one segment of a path."""
    return quote(text, safe="")


def member(value: Any, *names: str) -> Any:
    """Return what is found by names in nested objects, or ``None``."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def objects(value: Any, what: str) -> list[dict[str, Any]]:
    """Return a list of objects.  Raises ``ValueError`` for anything else."""
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise ValueError(f"{what} is no list of objects")
    return value


def session_of(token: Any, seconds: Any, otherwise: float) -> Session:
    """Return a session of what an answer says.  Raises ``ValueError`` where that is no token."""
    if not isinstance(token, str) or not token:
        raise ValueError("the answer holds no token")
    good = isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds > 0
    return Session(token, seconds if good else otherwise)
