"""The Operations Cloud's REST API: who the hub is there, inventory, history, and commands for things.

A command is a message for the device.  What came of it the device says itself, on the stream of data: a
message of the same ``tsmId`` with the same ``transactionId``.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from chalicelib.model.clients import (
    Account,
    Client,
    Commands,
    Fetched,
    Judgement,
    Order,
    Session,
    Step,
    Sync,
    Taken,
    Wanted,
    asked,
    bearer,
    member,
    objects,
    segment,
    session_of,
)
from chalicelib.model.fields import Field, Problem
from chalicelib.model.requests import Request

_PAGE = 1000
"""Groups and messages of one answer at most."""
_SESSION = 900.0
"""Seconds for which a token is good."""
_NAMES = ("1500", "1501", "12200", "13200")
"""The messages that the API lets through."""
_REQUEST = 30
"""``tsmEv`` of a configuration request; with nothing else, it reads the present one."""
_RESPONSES = (31, 36)
_OURS = frozenset({"tsmId", "tsmEv", "transactionId"})
_LARGEST = 2**31 - 1
"""Of transaction ids."""
_DONE: tuple[Any, ...] = (0, "ok", "success")


def _login(account: Account) -> Request:
    wanted = {name: account.credentials[name] for name in ("client_id", "client_secret")}
    return asked(account, "POST", "/auth/client-token", wanted)


def _session(answer: Any) -> Session:
    return session_of(member(answer, "data", "token"), None, _SESSION)


def _check(order: Order, _: Account) -> list[Problem]:
    if order.payload is None:
        return []
    if not isinstance(order.payload, dict):
        return [("/payload", "must be an object: the fields of the message")]
    return [
        (f"/payload/{name}", "is set by the hub") for name in sorted(_OURS & set(order.payload))
    ]


def _transaction(order: Order) -> int:
    return int.from_bytes(sha256(order.id.encode()).digest()[:4]) & _LARGEST


def _request(order: Order, account: Account) -> Request:
    message = {"tsmId": int(order.name), "tsmEv": _REQUEST, "transactionId": _transaction(order)}
    path = f"/things/{segment(order.device)}/commands"
    return asked(account, "POST", path, [{**message, **(order.payload or {})}])


def _reference(order: Order) -> str:
    return f"{order.name}:{_transaction(order)}"


def _taken(order: Order, _: Any) -> Taken:
    return Taken(_reference(order))


def _replied(kind: str, data: Any) -> str | None:
    if member(data, "tsmEv") not in _RESPONSES:
        return None
    transaction = member(data, "transactionId")
    if isinstance(transaction, bool) or not isinstance(transaction, int):
        return None
    return f"{kind.removeprefix('haltian.')}:{transaction}"


def _judged(order: Order, data: Any) -> Judgement:
    """Say what a response means: its own result, else whether it repeats what was asked for."""
    if "result" in data:
        result = data["result"]
        return "succeeded" if result in _DONE and result is not False else "failed"
    wanted = order.payload or {}
    refused = [name for name, value in wanted.items() if name in data and data[name] != value]
    return "failed" if refused else "succeeded"


# --- sync: groups, their things; of each thing what it is, what it said and its alerts


def _begin(wanted: Wanted) -> list[Step]:
    return [["groups", wanted.start // 1000, -(-wanted.end // 1000)]]


def _ask(step: Step, account: Account) -> Request:
    kind, about = step[0], [segment(str(each)) for each in step[1:]]
    if kind == "groups":
        return asked(account, "GET", f"/groups/?limit={_PAGE}")
    if kind == "group":
        return asked(account, "GET", f"/groups/{about[0]}/things")
    if kind == "thing":
        return asked(account, "GET", f"/things/{about[0]}")
    tuid, start, end = about
    path = f"/things/{tuid}/{kind}?from={start}&to={end}"
    return asked(account, "GET", f"{path}&limit={_PAGE}" if kind == "messages" else path)


def _read(step: Step, answer: Any) -> Fetched:
    kind, data = step[0], member(answer, "data")
    if kind == "groups":
        groups = [each.get("group_id") for each in objects(data, "data")]
        return Fetched([], [["group", each, *step[1:]] for each in groups if isinstance(each, str)])
    if kind == "group":
        tuids = member(data, "tuids")
        if not isinstance(tuids, list):
            raise ValueError("data.tuids is no list")
        kinds = ("thing", "messages", "alerts")
        things = [each for each in tuids if isinstance(each, str)]
        return Fetched([], [_about(kind, each, *step[2:]) for each in things for kind in kinds])
    if kind == "thing":
        if not isinstance(data, dict):
            raise ValueError("data is no object")
        return Fetched([(f"things/{step[1]}", answer)])
    listed = objects(data, "data")
    payloads: list[tuple[str, Any]] = [("", answer)] if listed else []
    return Fetched(payloads, _earlier(step, listed) if kind == "messages" else [])


def _about(kind: str, tuid: str, start: int, end: int) -> Step:
    return [kind, tuid] if kind == "thing" else [kind, tuid, start, end]


def _earlier(step: Step, listed: list[dict[str, Any]]) -> list[Step]:
    """Return the step for what a full page left out: there is no cursor, so the end moves back."""
    _, tuid, start, end = step
    times = [each.get("tsmTs") for each in listed]
    known = [int(each) for each in times if isinstance(each, int | float) and each > start]
    if len(listed) < _PAGE or not known or min(known) >= end:
        return []
    return [["messages", tuid, start, min(known)]]


client = Client(
    credentials=(
        Field("client_id", "The client's id.", required=True),
        Field("client_secret", "The client's secret.", required=True, sensitive=True),
    ),
    headers=bearer,
    login=_login,
    session=_session,
    commands=Commands(
        names=dict.fromkeys(
            _NAMES,
            "A configuration message: the payload's fields are set; without any, the present ones are read.",
        ),
        request=_request,
        check=_check,
        taken=_taken,
        reference=_reference,
        answers=True,
        replied=_replied,
        judged=_judged,
    ),
    sync=Sync(_begin, _ask, _read),
)
