"""The cloud's HTTP API: who the hub is there, and command tasks.

The reference names the members of a task but neither its path nor what an answer holds: the path is
inferred, and ``settings.calls`` may say another one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from chalicelib.model.clients import (
    ANY,
    KNOWN,
    Account,
    Client,
    Commands,
    Fetched,
    Judgement,
    Known,
    Order,
    Step,
    Sync,
    Taken,
    Wanted,
    asked,
    member,
    objects,
    segment,
)
from chalicelib.model.fields import Field
from chalicelib.model.requests import Request
from chalicelib.model.times import DAY, to_rfc3339

_CREATE = "POST /tasks"
_STATES: Mapping[Any, Judgement] = {"success": "succeeded", "error": "failed"}
_LONGEST_NAME = 64
_NAME = re.compile(r"[-.~a-zA-Z0-9_]{1,64}")
"""What a measurement may be called."""


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


# --- sync: of each device that the hub knows, what it is and what it measured


def _about(wanted: Wanted, known: Sequence[Known]) -> list[Step]:
    steps: list[Step] = []
    mapped = set(wanted.settings.get("metric_map", {}))
    for device, metrics in known:
        own = {each.removeprefix("relayr.") for each in metrics if each.startswith("relayr.")}
        names = sorted(each for each in own | mapped if _NAME.fullmatch(each))
        steps.append(["device", device])
        if names:
            days = range(wanted.start, wanted.end, DAY)
            steps += [["raw", device, names, at, min(at + DAY, wanted.end)] for at in days]
    return steps


def _ask(step: Step, account: Account) -> Request:
    path = f"/devices/{segment(step[1])}"
    if step[0] == "device":
        return asked(account, "GET", path)
    _, _, names, start, end = step
    wanted = {
        "measurements": ",".join(names),
        "start": to_rfc3339(start),
        "end": to_rfc3339(end),
        "type": "json",
    }
    return asked(account, "GET", f"{path}/raw-measurements?{urlencode(wanted)}")


def _read(step: Step, answer: Any) -> Fetched:
    if step[0] == "device":
        if not isinstance(answer, dict) or answer.get("id") != step[1]:
            raise ValueError("it is not the device that was asked for")
        return Fetched([(f"devices/{step[1]}", answer)])
    listed = objects(answer, "the answer")
    return Fetched([(f"devices/{step[1]}/measurements", listed)] if listed else [])


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
    sync=Sync(lambda *_: [[KNOWN, None]], _ask, _read, _about),
)
