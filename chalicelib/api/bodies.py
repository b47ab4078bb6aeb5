"""What callers send: strict models, which validate and which the OpenAPI document is made of."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    create_model,
    model_validator,
)

from chalicelib.api.routing import DEVICE_ID_BYTES
from chalicelib.model import lwm2m, matching
from chalicelib.model.metrics import METRICS
from chalicelib.model.times import from_rfc3339
from chalicelib.model.units import converts

_WEEK = 604_800


class Body(BaseModel):
    """A body: unknown members are mistakes, and no type stands for another.

    A default made by a factory is never read: only members that were sent count.
    """

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def _unique(values: list[str]) -> list[str]:
    if len(set(values)) != len(values):
        raise ValueError("every item may occur once")
    return values


def _moment(text: str) -> str:
    if from_rfc3339(text) is None:
        raise ValueError("RFC 3339 with a zone, such as 2026-01-31T12:00:00Z")
    return text


def _header_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
        raise ValueError("a header name")
    return name


_HTTP_URL = r"https?://[^\s/@?#]+(/[^\s?#]*)?"


def _http_url(url: str) -> str:
    if not re.fullmatch(_HTTP_URL, url):
        raise ValueError("an http(s) URL without user, query and fragment")
    return url


Moment = Annotated[
    str, AfterValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})
]
Text = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"\S")]
LongText = Annotated[str, StringConstraints(max_length=1024)]
Labels = Annotated[
    list[Text],
    Field(max_length=100, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_unique),
]
Severity = Literal["info", "minor", "warning", "major", "critical"]


class RateLimitBody(Body):
    """At most so many requests within so many seconds."""

    requests: Annotated[int, Field(ge=1, le=1_000_000)]
    seconds: Annotated[int, Field(ge=1, le=86_400)]


class Nothing(Body):
    """No member is expected."""


class Note(Body):
    """Why an operator acts."""

    note: LongText | None = None


class LocationPatch(Body):
    """Where a device is; members that are sent replace, ``null`` gives the word back to the vendor."""

    latitude: Annotated[float, Field(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Field(ge=-180, le=180)] | None = None
    address: LongText | None = None
    city: LongText | None = None
    country: LongText | None = None
    building: LongText | None = None
    floor: LongText | None = None
    room: LongText | None = None


class DevicePatch(Body):
    """What operators say of a device; ``null`` gives the word back to the vendor."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "Entrance", "tags": ["door"]}]}
    )
    name: Text | None = None
    tags: Labels = Field(default_factory=list)
    groups: Labels = Field(default_factory=list)
    location: LocationPatch | None = None
    expected_interval_seconds: Annotated[float, Field(gt=0, le=1e9)] | None = None


class CommandBody(Body):
    """A command for a device; what the payload may hold depends on the vendor."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "1500", "payload": {"reportInterval": 3600}}]}
    )
    name: Text
    payload: Any = None


# --- connections -----------------------------------------------------------------------------------


class MetricRule(Body):
    """Which metric, in which unit, a vendor's own path means; a unit alone leaves the path its name.

    ``urn`` is what an LwM2M device type says of the path, instead of a metric.
    """

    metric: Text | None = None
    unit: Text | None = None
    urn: Text | None = None

    @model_validator(mode="after")
    def _sensible(self) -> MetricRule:
        if self.metric is None and self.unit is None and self.urn is None:
            raise ValueError("a metric, a unit or both, or a urn")
        meant = lwm2m.quantity(self.urn) if self.urn is not None else None
        if self.urn is not None and (meant is None or self.metric is not None):
            raise ValueError(
                "a urn of an LwM2M object that means a metric, and no metric beside it"
            )
        metric = meant.metric if meant is not None else self.metric
        if metric in METRICS and self.unit and not converts(self.unit, metric):
            raise ValueError(f"{self.unit!r} does not convert into {METRICS[metric].unit!r}")
        return self


VendorCall = Annotated[
    str,
    StringConstraints(max_length=1024, pattern=r"^(GET|PATCH|POST|PUT) /[!-~]*$"),
    Field(examples=["POST /tasks"]),
]
"""Method and path of a call that a vendor's reference leaves out."""
Credentials = dict[str, Annotated[str, StringConstraints(min_length=1, max_length=4096)]]


class Settings(Body):
    """What the hub is told of a vendor account."""

    metric_map: dict[str, MetricRule] = Field(default_factory=dict)
    severity_map: dict[str, Severity] = Field(default_factory=dict)
    allow_identifiers: bool = False
    device_id: Text = Field(default_factory=str)
    auth_header: Annotated[Text, AfterValidator(_header_name)] = Field(default_factory=str)
    auth_username: Text = Field(default_factory=str)
    base_url: Annotated[
        LongText,
        AfterValidator(_http_url),
        Field(json_schema_extra={"pattern": f"^{_HTTP_URL}$"}),
    ] = Field(default_factory=str)
    device_types: dict[str, Any] = Field(default_factory=dict)
    calls: dict[str, VendorCall] = Field(default_factory=dict)


class ConnectionBody(Body):
    """A vendor account to connect."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"vendor": "haltian", "name": "Head office", "settings": {}}]
        }
    )
    vendor: Text
    name: Text
    settings: Settings = Field(default_factory=Settings)
    credentials: Credentials = Field(default_factory=dict)


class ConnectionPatch(Body):
    """What changes of a connection; ``settings`` and ``credentials`` are replaced as a whole."""

    name: Text = Field(default_factory=str)
    settings: Settings = Field(default_factory=Settings)
    credentials: Credentials = Field(default_factory=dict)


class Rotation(Body):
    """How long the former secret works on."""

    overlap_seconds: Annotated[int, Field(ge=0, le=_WEEK)] = 0


class OverlappingRotation(Body):
    """How long the former signing secret signs as well."""

    overlap_seconds: Annotated[int, Field(ge=0, le=_WEEK)] = 86_400


class _Renormalize(Body):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z", "dry_run": True}
            ]
        }
    )
    dry_run: bool = False


# ``from`` is no name in a class body, and an alias would let its field's own name through as well.
_ARRIVALS: Any = {"from": (Moment, ...), "to": (Moment, ...)}
Renormalize = create_model(
    "Renormalize",
    __base__=_Renormalize,
    __doc__="Which archived payloads are read again: by their arrival, ``from`` inclusive, ``to`` exclusive.",
    **_ARRIVALS,
)


# --- integrations ----------------------------------------------------------------------------------

_PATTERNS = {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1}
_CONDITION = {
    "type": "object",
    "properties": {
        "metric": {"type": "string", "minLength": 1},
        "op": {"enum": list(matching.OPERATORS)},
        "value": {"type": ["number", "boolean"]},
    },
    "required": ["metric", "op", "value"],
    "additionalProperties": False,
}
Filter = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "description": "Every key must match, by any of its values; * stands for any text.",
            "properties": {
                **dict.fromkeys(matching.KEYS, _PATTERNS),
                "conditions": {"type": "array", "items": _CONDITION, "minItems": 1},
            },
            "additionalProperties": False,
        }
    ),
]
"""Validated by the matcher itself, so that what is accepted here is what it understands."""


class Batch(Body):
    """How records are grouped into one delivery."""

    max_records: Annotated[int, Field(ge=1, le=500)] = 100
    max_wait_seconds: Annotated[float, Field(gt=0, le=300)] = 1


class Transform(Body):
    """What is sent instead of the event: a projection of its data, or a text for people."""

    jmespath: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = None
    template: Annotated[str, StringConstraints(min_length=1, max_length=4096)] | None = None
    subject: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = None
    timezone: Text | None = None


Concurrency = Annotated[int, Field(ge=1, le=64)]


def _none() -> Literal["none"]:
    return "none"


class IntegrationBody(Body):
    """A downstream subscriber."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Ticketing",
                    "kind": "webhook",
                    "config": {"url": "https://example.com/hook"},
                    "filter": {"types": ["alert.*"], "severities": ["major", "critical"]},
                }
            ]
        }
    )
    name: Text
    kind: Text
    config: dict[str, Any] = Field(default_factory=dict)
    filter: Filter = Field(default_factory=dict)
    batch: Batch | None = None
    ordering: Literal["none", "device"] = "none"
    concurrency: Concurrency = 8
    rate_limit: RateLimitBody | None = None
    transform: Transform | None = None
    shadow: bool = False
    enabled: bool = True


class IntegrationPatch(Body):
    """What changes of an integration; ``config`` and ``filter`` are replaced as a whole."""

    name: Text = Field(default_factory=str)
    config: dict[str, Any] = Field(default_factory=dict)
    filter: Filter = Field(default_factory=dict)
    batch: Batch | None = None
    ordering: Literal["none", "device"] = Field(default_factory=_none)
    concurrency: Concurrency = Field(default_factory=int)
    rate_limit: RateLimitBody | None = None
    transform: Transform | None = None
    shadow: bool = Field(default_factory=bool)
    enabled: bool = Field(default_factory=bool)


class Replay(Body):
    """Which stored records are delivered again; without ``filter`` the integration's own counts."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"from": "2026-01-30T00:00:00Z", "to": "2026-01-31T12:00:00Z"}]
        }
    )
    begin: Moment = Field(alias="from")
    end: Moment = Field(alias="to")
    filter: Filter = Field(default_factory=dict)
    preview: bool = False


class Since(Body):
    """From which moment on."""

    since: Moment


class FilterTest(Body):
    """A filter to try before it is saved; without it the integration's own counts."""

    filter: Filter = Field(default_factory=dict)


# --- exports ---------------------------------------------------------------------------------------

_MOST = 1000
"""Devices, or metrics, of one export."""


def _key(text: str) -> str:
    if len(text.encode("utf-8", "replace")) > DEVICE_ID_BYTES:
        raise ValueError(f"at most {DEVICE_ID_BYTES} bytes")
    return text


class ExportBody(Body):
    """Which measurements go into a file, and its format; without ``metrics`` all that a device has."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "devices": ["haltian:TSAR01EKF200000001"],
                    "metrics": ["temperature", "relative_humidity"],
                    "from": "2026-01-01T00:00:00Z",
                    "to": "2026-02-01T00:00:00Z",
                    "format": "csv",
                    "compression": "gzip",
                }
            ]
        }
    )
    devices: Annotated[
        list[Annotated[str, StringConstraints(min_length=1), AfterValidator(_key)]],
        Field(min_length=1, max_length=_MOST, json_schema_extra={"uniqueItems": True}),
        AfterValidator(_unique),
    ]
    metrics: (
        Annotated[
            list[Text],
            Field(min_length=1, max_length=_MOST, json_schema_extra={"uniqueItems": True}),
            AfterValidator(_unique),
        ]
        | None
    ) = None
    begin: Moment = Field(alias="from")
    end: Moment = Field(alias="to")
    format: Literal["csv", "ndjson"]
    compression: Literal["gzip"] | None = None


# --- access ----------------------------------------------------------------------------------------


class TenantBody(Body):
    """A new tenant."""

    name: Text


class KeyBody(Body):
    """A new API key."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "dashboard", "scopes": ["read"]}]}
    )
    name: Text
    scopes: Annotated[
        list[Literal["read", "write", "admin"]],
        Field(min_length=1, json_schema_extra={"uniqueItems": True}),
        AfterValidator(_unique),
    ]
    rate_limit: RateLimitBody | None = None
