"""The platform's REST API: who the hub is there, the list of cameras, and a new image.

The reference says what is answered, but not where to ask: the path of the list of cameras is inferred, that
of an image ``settings.calls`` has to name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.model.clients import (
    Account,
    Client,
    Commands,
    Fetched,
    Order,
    Step,
    Sync,
    Taken,
    asked,
    member,
    objects,
    segment,
)
from chalicelib.model.fields import Field, Problem
from chalicelib.model.requests import Request

_DEVICES = "GET /api/v1/devices"
_IMAGE = "request_image"


def _headers(account: Account) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {account.credentials['api_token']}"}


def _call(account: Account) -> str | None:
    call = account.settings.get("calls", {}).get(_IMAGE)
    return call if isinstance(call, str) else None


def _check(order: Order, account: Account) -> list[Problem]:
    found: list[Problem] = []
    if _call(account) is None:
        detail = f"needs settings.calls.{_IMAGE} of the connection: method and path of the call"
        found.append(("/name", detail))
    if order.payload is not None:
        found.append(("/payload", "is not for this command"))
    return found


def _request(order: Order, account: Account) -> Request:
    method, path = (_call(account) or "").split(" ", 1)
    return asked(account, method, path.replace("{device}", segment(order.device)))


def _taken(_: Order, answer: Any) -> Taken:
    links = member(answer, "data")
    listed = isinstance(links, list) and all(isinstance(each, str) for each in links)
    return Taken(result={"images": links} if listed else None)


# --- sync: the list of cameras


def _ask(step: Step, account: Account) -> Request:
    method, path = account.settings.get("calls", {}).get("devices", _DEVICES).split(" ", 1)
    return asked(account, method, f"{path}?page={step[1]}" if step[1] > 1 else path)


def _read(step: Step, answer: Any) -> Fetched:
    listed = objects(member(answer, "data"), "data")
    pages = member(answer, "meta", "total_pages")
    more = isinstance(pages, int) and step[1] < pages and bool(listed)
    return Fetched(
        [("devices", answer)] if listed else [], [["devices", step[1] + 1]] if more else []
    )


client = Client(
    credentials=(Field("api_token", "A long-lived API token.", required=True, sensitive=True),),
    headers=_headers,
    base_url="https://api.viziosense.com",
    commands=Commands(
        names={_IMAGE: "A new image: links, which work from 20 seconds later on, for 30 minutes."},
        request=_request,
        check=_check,
        taken=_taken,
    ),
    sync=Sync(lambda *_: [["devices", 1]], _ask, _read),
)
