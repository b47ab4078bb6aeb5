"""The REST API: who the hub is there, the list of devices, and alarms, which webhooks never say are over.

A webhook that failed too often is switched off.  The reference says how to switch it on again, but not
where: with the paths in ``settings.calls`` a sync does it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.model.clients import (
    Account,
    Client,
    Fetched,
    Step,
    Sync,
    Wanted,
    asked,
    member,
    objects,
    segment,
)
from chalicelib.model.fields import Field
from chalicelib.model.requests import Request

_REPAIR = frozenset({"webhooks", "reactivate_webhook"})
_PAGE = 500
"""Devices of one answer."""
_RESOLVED_WITHIN = 7 * 86_400
"""Seconds for which an alarm is looked at again: it may be resolved long after it began."""


def _headers(account: Account) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {account.credentials['api_key']}"}


def _begin(wanted: Wanted) -> list[Step]:
    steps: list[Step] = [["devices", 0], ["alarm", wanted.start // 1000 - _RESOLVED_WITHIN]]
    if _REPAIR.issubset(wanted.settings.get("calls", {})):
        steps.insert(0, ["webhooks", wanted.connection])
    return steps


def _ask(step: Step, account: Account) -> Request:
    kind, about = step
    if kind in _REPAIR:
        method, path = account.settings["calls"][kind].split(" ", 1)
        body = {"active": True} if kind == "reactivate_webhook" else None
        return asked(account, method, path.replace("{webhook}", segment(about)), body)
    if kind == "devices":
        query = f"sort=serial&order=asc&limit={_PAGE}&offset={about}"
        return asked(account, "GET", f"/devices?{query}")
    return asked(account, "GET", f"/alarm?start_time={about}")


def _read(step: Step, answer: Any) -> Fetched:
    kind, about = step
    if kind == "reactivate_webhook":
        return Fetched([])
    data = member(answer, "data")
    # A list of one may come as the one.
    listed = objects([data] if isinstance(data, dict) else data, "data")
    if kind == "webhooks":
        return Fetched([], [["reactivate_webhook", each] for each in _broken(listed, about)])
    more = kind == "devices" and len(listed) == _PAGE
    return Fetched([(kind, answer)] if listed else [], [["devices", about + _PAGE]] if more else [])


def _broken(webhooks: list[dict[str, Any]], connection: str) -> list[str]:
    """Return the ids of those webhooks of the connection that are switched off."""
    return [
        str(each["id"])
        for each in webhooks
        if each.get("active") is False
        and "id" in each
        and f"/webhooks/{connection}" in str(each.get("url"))
    ]


client = Client(
    credentials=(
        Field("api_key", "The API key of the account page.", required=True, sensitive=True),
    ),
    headers=_headers,
    base_url="https://api.soundsensing.no/v1",
    sync=Sync(_begin, _ask, _read),
)
