"""Ids of entities: a Thing's is its device's, those of series and readings say what they stand for.

Texts that are made here hold nothing that URLs, quotes or OData give a meaning to, for clients put an id
into a path as it came.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, unquote

from chalicelib.model.times import from_rfc3339, to_rfc3339

_ESCAPE = "~"


class Series(NamedTuple):
    """What a Datastream is: all readings of one metric and discriminator of one device."""

    device_id: str
    metric: str
    discriminator: tuple[tuple[str, str], ...] = ()


def datastream(series: Series) -> str:
    """Return the id of a series: ``vendor:device!metric``, and ``!name=value`` for what sets it apart."""
    pairs = [f"{_escaped(name)}={_escaped(value)}" for name, value in series.discriminator]
    return "!".join([_escaped(series.device_id), _escaped(series.metric), *pairs])


def series_of(identity: str) -> Series | None:
    """Return the series that an id stands for, or ``None`` where :func:`datastream` makes no such id."""
    device, metric, *pairs = [*identity.split("!"), ""]
    discriminator = [
        (name, value) for name, _, value in (pair.partition("=") for pair in pairs[:-1])
    ]
    named = tuple((_plain(name), _plain(value)) for name, value in discriminator)
    series = Series(_plain(device), _plain(metric), named)
    return series if datastream(series) == identity else None


def observation(series: Series, at: int) -> str:
    """Return the id of a reading: its moment and its series.  Ids of a series sort as their moments."""
    return f"{to_rfc3339(at)}!{datastream(series)}"


def reading_of(identity: str) -> tuple[Series, int] | None:
    """Return the series and the moment that the id of a reading stands for, or ``None``."""
    moment, _, rest = identity.partition("!")
    at, series = from_rfc3339(moment), series_of(rest)
    return (series, at) if at is not None and series and to_rfc3339(at) == moment else None


def _escaped(text: str) -> str:
    raw = quote(text, safe=":", errors="surrogatepass")
    return raw.replace(_ESCAPE, "%7E").replace("%", _ESCAPE)


def _plain(text: str) -> str:
    return unquote(text.replace(_ESCAPE, "%"), errors="replace")
