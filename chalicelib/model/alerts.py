"""Alerts, folded from signals: raises, clears and acknowledgements, in any order, any number of times.

Sorted by their moments (a raise before a clear of the same moment), signals cut time into alerts: the
first raise opens one, later raises update it, the next clear closes it.  A clear without an open alert
is kept as a signal and makes no alert; a late raise before a known clear makes an alert that is
already cleared, so nothing ever re-opens.

What an operator says answers the raises known then: it stands at the last of their moments, on the
vendor's clock, and ``noted_at`` keeps our own.  So a raise that is later by the vendor's clock is new,
however far that clock is behind.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from chalicelib.model.assembly import SignalRecord
from chalicelib.model.digests import digest
from chalicelib.model.times import to_rfc3339

_ORDER = {"raise": 0, "acknowledge": 1, "clear": 2}


@dataclass(slots=True)
class Alert:
    """A condition of a device from its raise to its clear.  Moments in milliseconds."""

    device_id: str
    key: str
    name: str
    severity: str
    message: str | None
    raised_at: int
    updated_at: int
    source: str = "vendor"
    cleared: tuple[int, str | None, str | None] | None = None
    """When, by which operator (``None``: the vendor), with which note."""
    acknowledged: tuple[int, str | None, str | None] | None = None

    @property
    def id(self) -> str:
        """The id that the API and deliveries show."""
        return f"alt_{digest('alert', self.device_id, self.key, self.raised_at)}"

    @property
    def state(self) -> str:
        """``active`` or ``cleared``."""
        return "active" if self.cleared is None else "cleared"

    def as_json(self) -> dict[str, Any]:
        """Return the alert as the API and deliveries show it, without provenance."""
        return {
            "id": self.id,
            "device_id": self.device_id,
            "key": self.key,
            "name": self.name,
            "severity": self.severity,
            "state": self.state,
            "message": self.message,
            "raised_at": to_rfc3339(self.raised_at),
            "cleared_at": to_rfc3339(self.cleared[0]) if self.cleared else None,
            "cleared": _mark(self.cleared),
            "acknowledged": _mark(self.acknowledged),
            "source": self.source,
        }


def fold(signals: Iterable[SignalRecord]) -> list[Alert]:
    """Return the alerts that the signals of one (device, key) make, oldest first."""
    alerts: list[Alert] = []
    for signal in sorted(signals, key=_place):
        current = alerts[-1] if alerts and alerts[-1].cleared is None else None
        if signal.action == "raise":
            if current is None:
                alerts.append(_raised(signal))
            else:
                _update(current, signal)
        elif signal.action == "clear" and current is not None:
            current.cleared = _mark_of(signal)
        elif signal.action == "acknowledge" and alerts and alerts[-1].acknowledged is None:
            # Perhaps cleared by now: an operator saw it active, and the vendor's clear came late.
            alerts[-1].acknowledged = _mark_of(signal)
    return alerts


def _place(signal: SignalRecord) -> tuple[int, int, int, str]:
    """Of two operators who say the same at once, the one counts who said it first."""
    return signal.at, _ORDER[signal.action], _noted_at(signal), signal.digest


def _noted_at(signal: SignalRecord) -> int:
    return signal.at if signal.noted_at is None else signal.noted_at


def _raised(signal: SignalRecord) -> Alert:
    return Alert(
        device_id=signal.device_id,
        key=signal.key,
        name=signal.name or signal.key,
        severity=signal.severity or "warning",
        message=signal.message,
        raised_at=signal.at,
        updated_at=signal.at,
        source=signal.source,
    )


def _update(alert: Alert, signal: SignalRecord) -> None:
    alert.updated_at = signal.at
    alert.name = signal.name or alert.name
    alert.severity = signal.severity or alert.severity
    alert.message = signal.message if signal.message is not None else alert.message


def _mark_of(signal: SignalRecord) -> tuple[int, str | None, str | None]:
    note = signal.message if signal.by is not None else None
    return (_noted_at(signal), signal.by, note)


def _mark(mark: tuple[int, str | None, str | None] | None) -> dict[str, Any] | None:
    if mark is None:
        return None
    at, by, note = mark
    return {"at": to_rfc3339(at), "by": by, "note": note}
