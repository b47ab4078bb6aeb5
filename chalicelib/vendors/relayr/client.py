"""The cloud's HTTP API: who the hub is there, and command tasks.

The reference names the members of a task but neither its path nor what an answer holds: the path is
inferred, and ``settings.calls`` may say another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.model.clients import (
    ANY,
    Account,
    Client,
    Commands,
    Judgement,
    Order,
    Taken,
    asked,
    member,
)
from chalicelib.model.fields import Field
from chalicelib.model.requests import Request
from chalicelib.model.times import to_rfc3339

_CREATE = "POST /tasks"
_STATES: Mapping[Any, Judgement] = {"success": "succeeded", "error": "failed"}
_LONGEST_NAME = 64


def _headers(account: Account) -> Mapping[str, str]:
    return {"X-Api-Key": account.credentials["api_key"]}


def _request(order: Order, account: Account) -> Request:
    method, path = account.settings.get("calls", {}).get("command", _CREATE).split(" ", 1)
    command: dict[str, Any] = {"name": order.name}
    if order.payload is not None:
        command["value"] = order.payload
    task = {
        "deviceId": order.device,
        "name": order.name[:_LONGEST_NAME],
        "command": command,
        "end": to_rfc3339(order.deadline),
    }
    return asked(account, method, path, task)


def _taken(_: Order, answer: Any) -> Taken:
    for reference in (member(answer, "command", "id"), member(answer, "id")):
        if isinstance(reference, str) and reference:
            return Taken(reference)
    return Taken()


def _replied(kind: str, data: Any) -> str | None:
    reference = member(data, "id")
    known = kind == "relayr.command_response" and isinstance(reference, str) and reference
    return reference if known else None


def _judged(_: Order, data: Any) -> Judgement | None:
    status = member(data, "status")
    return _STATES.get(status) if isinstance(status, str) else None


client = Client(
    credentials=(Field("api_key", "An API key.", required=True, sensitive=True),),
    headers=_headers,
    base_url="https://cloud.relayr.io",
    commands=Commands(
        names={ANY: "A command of the device model; the payload is its value."},
        request=_request,
        taken=_taken,
        answers=True,
        replied=_replied,
        judged=_judged,
        patience=3600,
    ),
)
