"""The Operations Cloud's REST API: who the hub is there, and commands for things.

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
    Judgement,
    Order,
    Session,
    Taken,
    asked,
    bearer,
    member,
    segment,
    session_of,
)
from chalicelib.model.fields import Field, Problem
from chalicelib.model.requests import Request

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
)
