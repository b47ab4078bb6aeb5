"""Alerts: listed, read, acknowledged and cleared by operators."""

from __future__ import annotations

from typing import Any

from chalicelib.api.calls import Call
from chalicelib.api.problems import ProblemError, not_found
from chalicelib.model.alerts import Alert
from chalicelib.model.assembly import SignalRecord
from chalicelib.security import new_id
from chalicelib.store import alert_listings, alerts
from chalicelib.store.alert_kinds import Sought
from chalicelib.store.said import provenance_of
from chalicelib.store.table import Plain


def list_alerts(call: Call) -> Any:
    """List alerts by the moment they were raised, newest first."""
    if call.nothing:
        return call.page([], None)
    query = call.query
    page = alert_listings.page(
        call.table,
        call.tenant,
        Sought(
            state=query["state"],
            acknowledged=query["acknowledged"],
            severities=query["severity"],
            vendors=query["vendor"],
            devices=query["device"],
        ),
        start=query["from"],
        end=query["to"],
        limit=call.limit,
        after=call.after,
    )
    return call.page([alerts.as_json(item) for item in page.items], page.after)


def read(call: Call) -> Any:
    """Read one alert."""
    return alerts.as_json(_item(call))


def acknowledge(call: Call) -> Any:
    """Acknowledge an alert.  Repeating it changes nothing."""
    item = _item(call)
    alert = alerts.alert_of(item)
    if alert.acknowledged is not None:
        return alerts.as_json(item)
    if alert.cleared is not None:
        detail = "The alert was cleared without having been acknowledged."
        raise ProblemError("conflict", detail)
    return _signal(call, item, alert, "acknowledge")


def clear(call: Call) -> Any:
    """Clear an alert.  Repeating it changes nothing."""
    item = _item(call)
    alert = alerts.alert_of(item)
    if alert.cleared is not None:
        return alerts.as_json(item)
    return _signal(call, item, alert, "clear")


def _item(call: Call) -> Plain:
    item = alerts.find(call.table, call.tenant, call.path["alert_id"])
    if item is None:
        raise not_found("alert")
    return item


def _signal(call: Call, item: Plain, alert: Alert, action: str) -> Any:
    """Store what the operator says as a signal, fold it as project will, and show the result."""
    at = alert.updated_at
    signal = SignalRecord(
        device_id=alert.device_id,
        key=alert.key,
        action=action,
        at=at,
        noted_at=max(call.hub.now(), at),
        digest=new_id(action),
        message=call.body.note,
        by=call.caller.name,
        source="hub",
    )
    source = provenance_of(item)
    alerts.signal(call.table, call.tenant, signal, source)
    folded = alerts.refold(call.table, call.tenant, alert.device_id, alert.key, at)
    for each in folded:
        if each.id == alert.id:
            return {**each.as_json(), "provenance": source.as_json()}
    return alerts.as_json(_item(call))
