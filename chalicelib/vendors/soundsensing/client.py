"""The REST API: who the hub is there, the list of devices, and alarms, which webhooks never say are over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.model.clients import Account, Client, Fetched, Step, Sync, asked, member, objects
from chalicelib.model.fields import Field
from chalicelib.model.requests import Request

_PAGE = 500
"""Devices of one answer."""
_RESOLVED_WITHIN = 7 * 86_400
"""Seconds for which an alarm is looked at again: it may be resolved long after it began."""


def _headers(account: Account) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {account.credentials['api_key']}"}


def _begin(start: int, _end: int, _: Mapping[str, Any]) -> list[Step]:
    return [["devices", 0], ["alarm", start // 1000 - _RESOLVED_WITHIN]]


def _ask(step: Step, account: Account) -> Request:
    kind, about = step
    if kind == "devices":
        query = f"sort=serial&order=asc&limit={_PAGE}&offset={about}"
        return asked(account, "GET", f"/devices?{query}")
    return asked(account, "GET", f"/alarm?start_time={about}")


def _read(step: Step, answer: Any) -> Fetched:
    kind, about = step
    data = member(answer, "data")
    # A list of one may come as the one.
    listed = objects([data] if isinstance(data, dict) else data, "data")
    more = kind == "devices" and len(listed) == _PAGE
    return Fetched([(kind, answer)] if listed else [], [["devices", about + _PAGE]] if more else [])


client = Client(
    credentials=(
        Field("api_key", "The API key of the account page.", required=True, sensitive=True),
    ),
    headers=_headers,
    base_url="https://api.soundsensing.no/v1",
    sync=Sync(_begin, _ask, _read),
)
