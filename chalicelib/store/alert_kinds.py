"""Kinds of alerts: what an alert is, as a part of the key by which it is listed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from chalicelib.model.alerts import Alert
from chalicelib.store import keys
from chalicelib.store.listing import mark
from chalicelib.store.table import Plain, Table

ACTIVE, CLEARED = "active", "cleared"


@dataclass(frozen=True, slots=True)
class Kind:
    """What an alert is.  ``period`` is ``active``, or the month of the raise of one that is cleared."""

    period: str
    acknowledged: bool
    severity: str
    vendor: str

    @classmethod
    def of(cls, alert: Alert) -> Kind:
        """Return the kind of an alert as it is now."""
        period = ACTIVE if alert.cleared is None else keys.month_of(alert.raised_at)
        vendor = alert.device_id.split(":", 1)[0]
        return cls(period, alert.acknowledged is not None, alert.severity, vendor)

    @classmethod
    def named(cls, name: str) -> Kind:
        """Read the name of a kind."""
        period, acknowledged, severity, vendor = name.split("#")
        return cls(period, acknowledged == "acknowledged", severity, vendor)

    @property
    def name(self) -> str:
        """Its name in a key."""
        acknowledged = "acknowledged" if self.acknowledged else "unacknowledged"
        return f"{self.period}#{acknowledged}#{self.severity}#{self.vendor}"

    @property
    def state(self) -> str:
        """``active`` or ``cleared``."""
        return ACTIVE if self.period == ACTIVE else CLEARED


@dataclass(frozen=True, slots=True)
class Sought:
    """What alerts are listed: those that have all of what is given, any one of several values."""

    state: str | None = None
    acknowledged: bool | None = None
    severities: Collection[str] = ()
    vendors: Collection[str] = ()
    devices: Collection[str] = ()

    @property
    def everything(self) -> bool:
        """Whether nothing narrows the listing."""
        narrow = self.severities or self.vendors or self.devices
        return self.state is None and self.acknowledged is None and not narrow

    def matches(self, kind: Kind) -> bool:
        """Say whether alerts of a kind are wanted."""
        return (
            self.state in {None, kind.state}
            and self.acknowledged in {None, kind.acknowledged}
            and (not self.severities or kind.severity in self.severities)
            and (not self.vendors or kind.vendor in self.vendors)
        )


def indexed(table: Table, tenant: str, alert: Alert, moment: str) -> Plain:
    """Return the index attributes by which an alert is listed with its kind, having marked the kind."""
    name = Kind.of(alert).name
    mark(table, tenant, keys.KINDS, name)
    return {"g2pk": keys.alerts(tenant, name), "g2sk": moment}
