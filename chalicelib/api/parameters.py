"""Query parameters: each named once with its reader, its schema and whether it may repeat."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from chalicelib.api.problems import ProblemError
from chalicelib.model import functions
from chalicelib.model.frames import FRAMES
from chalicelib.model.metrics import METRICS
from chalicelib.model.records import SEVERITIES
from chalicelib.model.times import from_rfc3339
from chalicelib.model.zones import zone_of

LIMIT_DEFAULT = 100
LIMIT_CAP = 500
_TEXT_BYTES = 1900
"""DynamoDB refuses keys of more than 2 KB."""
_STRING: Mapping[str, Any] = {"type": "string", "minLength": 1}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One query parameter.  ``read`` raises ``ValueError`` saying what a value must be."""

    name: str
    description: str
    read: Callable[[str], Any]
    schema: Mapping[str, Any] = field(default_factory=lambda: dict(_STRING))
    many: bool = False
    required: bool = False
    default: Any = None

    def needed(self) -> Parameter:
        """Return the same parameter where it must be sent."""
        return replace(self, required=True)


def parse(parameters: Sequence[Parameter], query: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return every parameter's value (a list for one that may repeat), or refuse the request."""
    known = {each.name: each for each in parameters}
    for name in query:
        if name not in known:
            names = ", ".join(sorted(known)) or "none"
            detail = f"{name[:100]!r} is no parameter of this route; it takes: {names}."
            detail += _near(name, known)
            raise ProblemError("unknown-parameter", detail)
    return {name: _value(each, query.get(name, ())) for name, each in known.items()}


def check_range(values: Mapping[str, Any]) -> None:
    """Refuse a range whose ends are the wrong way round."""
    start, end = values.get("from"), values.get("to")
    if start is not None and end is not None and start > end:
        raise ProblemError("reversed-range", "`from` is later than `to`.")


def check_vendors(values: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuse vendors that are not ``known``, and metrics that are neither in the catalogue nor theirs."""
    for vendor in values.get("vendor", ()):
        if vendor not in known:
            detail = f"vendor={vendor[:100]!r}: send one of {', '.join(known)}"
            raise ProblemError("invalid-parameter", detail)
    for metric in values.get("metric", ()):
        vendor, _, rest = metric.partition(".")
        if metric not in METRICS and not (rest and vendor in known):
            detail = f"{metric[:100]!r} is neither in GET /v1/catalog/metrics nor <vendor>.<path>."
            detail += _near(metric, METRICS)
            raise ProblemError("unknown-metric", detail)


def _near(text: str, known: Collection[str]) -> str:
    """Return a hint at what was probably meant, if anything is near."""
    from difflib import get_close_matches  # noqa: PLC0415 - only mistakes need it

    near = get_close_matches(text[:100], known, n=1)
    return f" Did you mean {near[0]}?" if near else ""


def _value(parameter: Parameter, texts: Sequence[str]) -> Any:
    if not texts:
        if parameter.required:
            detail = f"{parameter.name!r} is required: {parameter.description}"
            raise ProblemError("missing-parameter", detail)
        return [] if parameter.many else parameter.default
    if parameter.many:
        return list(dict.fromkeys(_read(parameter, text) for text in texts))
    if len(texts) > 1:
        raise ProblemError("repeated-parameter", f"{parameter.name!r} may be sent only once.")
    return _read(parameter, texts[0])


def _read(parameter: Parameter, text: str) -> Any:
    try:
        return parameter.read(text)
    except ValueError as error:
        detail = f"{parameter.name}={text[:100]!r}: {error}"
        raise ProblemError("invalid-parameter", detail) from None


# --- readers ---------------------------------------------------------------------------------------


def _text(text: str) -> str:
    if not 0 < len(text.encode("utf-8", "replace")) <= _TEXT_BYTES:
        raise ValueError(f"send 1 to {_TEXT_BYTES} bytes")
    return text


def _moment(text: str) -> int:
    moment = from_rfc3339(text)
    if moment is None:
        raise ValueError(
            "send RFC 3339 with a zone, such as 2026-01-31T12:00:00Z (a + in a URL is written %2B)"
        )
    return moment


def _limit(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= LIMIT_CAP:
        raise ValueError(f"send an integer from 1 to {LIMIT_CAP}")
    return int(text)


def _boolean(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError("send true or false")
    return text == "true"


def _functions(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.split(",")))
    if not set(names) <= set(functions.FUNCTIONS):
        raise ValueError(f"send some of {','.join(functions.FUNCTIONS)}, with commas between them")
    return names


def _zone(text: str) -> str:
    return zone_of(text).key


def _one_of(*allowed: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"send one of {', '.join(allowed)}")
        return text

    return read


def _enum(name: str, description: str, *allowed: str, default: str | None = None) -> Parameter:
    schema: dict[str, Any] = {"type": "string", "enum": list(allowed)}
    if default is not None:
        schema["default"] = default
    return Parameter(name, description, _one_of(*allowed), schema, default=default)


# --- the parameters --------------------------------------------------------------------------------

_MOMENT = {"type": "string", "format": "date-time"}
LIMIT = Parameter(
    "limit",
    "Rows of one page at most.",
    _limit,
    {"type": "integer", "minimum": 1, "maximum": LIMIT_CAP, "default": LIMIT_DEFAULT},
    default=LIMIT_DEFAULT,
)
CURSOR = Parameter("cursor", "next_cursor of the page before, with the same filters.", str)
PAGED = (LIMIT, CURSOR)
FROM = Parameter("from", "First moment of the range (inclusive).", _moment, _MOMENT)
TO = Parameter("to", "End of the range (exclusive).", _moment, _MOMENT)
RANGE = (FROM, TO)
ORDER = _enum("order", "By time, ascending or descending.", "asc", "desc", default="asc")
FRAME = _enum(
    "frame",
    "Length of a bucket: up to 1h elapsed time, longer ones by the clock on the wall.",
    *FRAMES,
)
FUNCTIONS = Parameter(
    "functions",
    f"What to tell of a bucket, with commas between: {', '.join(functions.FUNCTIONS)}. "
    "mean is the energy mean for dB[SPL]; stddev is the population's; "
    "diff of a counter (*_total) is the sum of its steps.",
    _functions,
    {"type": "string", "default": ",".join(functions.DEFAULT)},
    default=functions.DEFAULT,
)
TIMEZONE = Parameter(
    "timezone",
    "IANA name of the time zone in which buckets begin.",
    _zone,
    {"type": "string", "default": "UTC"},
    default="UTC",
)
FILL = _enum(
    "fill",
    "Rows for buckets without points: none, null, as the previous bucket, or linear between buckets. "
    "Of the series that the device is known to have.",
    "none",
    "null",
    "previous",
    "linear",
    default="none",
)
VENDOR = Parameter("vendor", "Of one of these vendors.", _text, many=True)
METRIC = Parameter(
    "metric",
    "One of these metrics: of the catalogue, or `<vendor>.<path>`.",
    _text,
    {"type": "string", "pattern": rf"^({'|'.join(METRICS)}|[a-z]+\..+)$"},
    many=True,
)
DEVICE = Parameter("device", "Of one of these devices.", _text, many=True)
TYPE = Parameter("type", "Of one of these types.", _text, many=True)
TAG = Parameter("tag", "With one of these tags.", _text, many=True)
GROUP = Parameter("group", "In one of these groups.", _text, many=True)
SEVERITY = Parameter(
    "severity",
    "Of one of these severities.",
    _one_of(*SEVERITIES),
    {"type": "string", "enum": list(SEVERITIES)},
    many=True,
)
PRESENCE = _enum("presence", "With this presence.", "online", "offline", "unknown")
STATE = _enum("state", "In this state.", "active", "cleared")
DELIVERY_STATE = _enum("state", "In this state.", "pending", "delivered", "dead", "cancelled")
ACKNOWLEDGED = Parameter("acknowledged", "Acknowledged or not.", _boolean, {"type": "boolean"})
SEARCH = Parameter("q", "Part of the id or name, in any case.", _text)
PARENT = Parameter("parent", "Children of this device.", _text)
RECEIPT = Parameter("receipt", "Of this receipt.", _text)
CONNECTION = Parameter("connection", "Of this connection.", _text)
