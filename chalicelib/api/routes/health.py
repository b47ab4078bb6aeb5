"""How a connection does: what came, what became of it, how late, and what has changed in its looks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib import vendors
from chalicelib.api.calls import Call
from chalicelib.api.routes.connections import existing
from chalicelib.api.routes.syncs import as_json
from chalicelib.model.shapes import ROOT, Profile
from chalicelib.model.times import to_rfc3339
from chalicelib.store import profiles, syncs, tallies
from chalicelib.store.tallies import Delays, Figures

_SHOWN = 50


def read(call: Call) -> Any:
    """Read the figures of one connection."""
    connection = existing(call)
    now = call.hub.now()
    where = (call.table, call.tenant, connection.id)
    figures = tallies.figures(*where, now)
    known = profiles.of_connection(*where)
    everything = tallies.together(figures.delays.values())
    latest = syncs.latest(*where)
    changes = [(change, kind) for kind, profile in known.items() for change in profile.changes]
    changes.sort(key=lambda each: (-each[0].at, each[1], each[0].path))
    return {
        "connection_id": connection.id,
        "vendor": connection.vendor,
        "state": _state(connection.vendor, figures, known, now),
        "last_received_at": _moment(figures.received),
        "counts": figures.counts,
        **_delays(everything),
        "sync": as_json(latest) if latest is not None else None,
        "drift": [
            {
                "event_id": profiles.event_id(connection.id, kind, change),
                "message_type": kind,
                **profiles.as_json(change),
                "at": to_rfc3339(change.at),
            }
            for change, kind in changes[:_SHOWN]
        ],
        "message_types": [
            _message_type(kind, known.get(kind), figures)
            for kind in sorted(known.keys() | figures.seen.keys())
        ],
    }


def _state(vendor: str, figures: Figures, known: Mapping[str, Profile], now: int) -> str:
    """Failing: of what came lately more was quarantined than not.  Silent: as for a device."""
    if figures.received is None:
        return "silent" if known else "never"
    if now - figures.received > vendors.adapter(vendor).silent_after("") * 1000:
        return "silent"
    bad = figures.lately["quarantined"]
    return "failing" if 2 * bad > sum(figures.lately.values()) else "ok"


def _message_type(kind: str, profile: Profile | None, figures: Figures) -> dict[str, Any]:
    profile = profile or Profile()
    fields = [
        {"path": path, "types": sorted(each.types), "optional": each.optional}
        for path, each in sorted(profile.fields.items())
        if path != ROOT or set(each.types) != {"object"}
    ]
    return {
        "type": kind,
        "fields": fields,
        "learning": profile.learned_at is None,
        "last_seen_at": _moment(figures.seen.get(kind)),
        **_delays(figures.delays.get(kind, Delays())),
    }


def _delays(delays: Delays) -> dict[str, Any]:
    lag = {"p50_seconds": delays.late_at(0.5), "p95_seconds": delays.late_at(0.95)}
    return {"lag": lag, "clock_skew_seconds": delays.ahead_at(0.95)}


def _moment(at: int | None) -> str | None:
    return to_rfc3339(at) if at is not None else None
