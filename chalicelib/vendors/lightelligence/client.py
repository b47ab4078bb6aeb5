"""The platform's REST API: who the hub is there, the inventory, and actions whose end nobody tells."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from chalicelib.model.clients import (
    ANY,
    Account,
    Client,
    Commands,
    Fetched,
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

_TOKEN_URL = "https://id.lightelligence.io/v1/id/auth/realms/olt/protocol/openid-connect/token"  # noqa: S105
_PAGE = 100
"""Devices of one answer."""
_SESSION = 300.0
"""Seconds for which a token is used whose answer does not say more."""


def _login(account: Account) -> Request:
    known = account.credentials
    form = {
        "grant_type": "client_credentials",
        "client_id": known["client_id"],
        "client_secret": known["client_secret"],
    }
    headers = {
        "User-Agent": "Tributary/1",
        "Accept": "application/json",
        "Content-Type": "application/x-www-form-urlencoded",
        "tenant": known["tenant"],
    }
    return Request("POST", known.get("token_url", _TOKEN_URL), headers, urlencode(form).encode())


def _session(answer: Any) -> Session:
    return session_of(member(answer, "access_token"), member(answer, "expires_in"), _SESSION)


def _check(order: Order, _: Account) -> list[Problem]:
    if order.payload is None or isinstance(order.payload, dict):
        return []
    return [("/payload", "must be an object")]


def _request(order: Order, account: Account) -> Request:
    body = {"action": order.name, "payload": order.payload or {}}
    return asked(account, "POST", f"/devices/{segment(order.device)}/actions", body)


def _taken(_: Order, answer: Any) -> Taken:
    action = member(answer, "data", "actionId")
    return Taken(result={"action_id": action} if isinstance(action, str) else None)


# --- sync: the list of devices, and the present state of each


def _begin(_: Wanted) -> list[Step]:
    return [["devices", 0]]


def _ask(step: Step, account: Account) -> Request:
    kind, about = step
    if kind == "devices":
        return asked(account, "GET", f"/devices?page={about}&pageSize={_PAGE}")
    return asked(account, "GET", f"/devices/{segment(about)}/state")


def _read(step: Step, answer: Any) -> Fetched:
    kind, about = step
    if kind == "state":
        state = member(answer, "data") or answer
        if not isinstance(state, dict):
            raise ValueError("the state is no object")
        return Fetched([("", {"deviceId": about, **state})])
    listed = objects(member(answer, "data"), "data")
    known = [each["id"] for each in listed if isinstance(each.get("id"), str)]
    further: list[Step] = [["state", each] for each in known]
    pages = member(answer, "meta", "pagesTotal")
    if isinstance(pages, int) and about + 1 < pages:
        further.append(["devices", about + 1])
    return Fetched([("devices", answer)] if listed else [], further)


client = Client(
    credentials=(
        Field("client_id", "The client's id.", required=True),
        Field("client_secret", "The client's secret.", required=True, sensitive=True),
        Field("tenant", "The tenant's id (a UUID).", required=True),
        Field("token_url", "Where tokens are given, if not at the platform itself."),
    ),
    headers=bearer,
    base_url="https://api.lightelligence.io/v1",
    login=_login,
    session=_session,
    commands=Commands(
        names={ANY: "An action of the device type, with its payload."},
        request=_request,
        check=_check,
        taken=_taken,
    ),
    sync=Sync(_begin, _ask, _read),
)
