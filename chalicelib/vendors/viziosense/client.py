"""The platform's REST API: who the hub is there, and the one thing that a camera can be asked for.

The reference says that an image can be requested and what is answered, but not where: ``settings.calls``
has to name method and path.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.model.clients import Account, Client, Commands, Order, Taken, asked, member, segment
from chalicelib.model.fields import Field, Problem
from chalicelib.model.requests import Request

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
)
