"""The records a payload becomes, as an adapter says them.

An adapter yields these six kinds and nothing else.  They carry the vendor's native device id; the hub
adds the vendor's prefix, the arrival time where the vendor sent none (``at=None``), and provenance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from chalicelib.model.metrics import Value

Quality = Literal["good", "suspect", "bad"]
Severity = Literal["info", "minor", "warning", "major", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "minor", "warning", "major", "critical")
MediaKind = Literal["image", "audio", "spectrogram", "video", "file"]

DISCRIMINATORS = ("class", "cell", "neighbour", "model_instance_id", "feature")
"""Attributes that set apart readings of one metric of one device at one instant."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One value of one metric of one device at one moment.

    ``value`` is in ``unit`` (``None`` for a vendor's own metric whose unit nobody stated); ``window_ms``
    is the length of the period before ``at`` that the value sums up.
    """

    device: str | None
    metric: str
    value: Value
    at: int | None
    unit: str | None = None
    window_ms: int | None = None
    quality: Quality = "good"
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened and is not a number; ``type`` is dot-separated."""

    device: str | None
    type: str
    at: int | None
    data: Any


@dataclass(frozen=True, slots=True)
class Media:
    """A reference to a recording or picture that the vendor keeps."""

    device: str | None
    kind: MediaKind
    reference: str
    url: str | None
    at: int | None
    duration_seconds: float | None = None
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class AlertSignal:
    """The vendor says that a condition began (``raise``) or ended (``clear``).

    Signals are facts: never in order, never once.  The alert is folded from all of them.
    """

    device: str | None
    key: str
    action: Literal["raise", "clear"]
    at: int | None
    name: str | None = None
    severity: Severity = "warning"
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """Something slow that the vendor says of a device: the latest ``at`` wins, ``None`` removes.

    ``path`` is ``name``, ``model``, ``firmware``, ``parent_id`` (a native id), ``presence`` (``online`` or
    ``offline``), ``location.<field>`` or ``attributes.<dotted path>``.
    """

    device: str | None
    path: str
    value: Any
    at: int | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """An item that cannot be normalised: kept aside in quarantine with its reason and JSON path."""

    path: str
    reason: str


Record = Measurement | Event | Media | AlertSignal | Fact
"""What an adapter yields for one item.  (``Rejected`` is what the hub makes of its errors.)"""


class MalformedPayloadError(Exception):
    """The vendor (or whoever posts in its name) must fix it: the item is quarantined with this reason."""

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path
