"""The platform's REST API: who the hub is there, and actions for devices, of which nobody reports the end."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from chalicelib.model.clients import (
    ANY,
    Account,
    Client,
    Commands,
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

_TOKEN_URL = "https://id.lightelligence.io/v1/id/auth/realms/olt/protocol/openid-connect/token"  # noqa: S105
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
)
