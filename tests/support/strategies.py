"""What tests draw: JSON values, points, segments, signals, histories of a device."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from chalicelib.model.assembly import FactAt, Point, Segment, SignalRecord
from chalicelib.model.digests import digest

START = 1_795_000_000_000
DEVICE = "relayr:d1"
CONDITION = "too hot"

texts = st.text(st.characters(codec="utf-8"), max_size=12)
numbers = st.one_of(st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False))
leaves = st.one_of(st.none(), st.booleans(), numbers, texts)
json_values: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)
moments = st.integers(-62_135_596_800_000, 253_402_300_799_999)
attributes = st.dictionaries(
    st.sampled_from(("class", "cell", "neighbour", "unit_source", "time_source")),
    st.one_of(st.integers(-9, 99), texts),
    max_size=3,
)


@st.composite
def points(draw: st.DrawFn, at: st.SearchStrategy[int] = moments) -> Point:
    return Point(
        draw(
            st.sampled_from(("temperature", "occupied", "relayr.rpm"))
            | texts.map("relayr.".__add__)
        ),
        draw(at),
        draw(st.one_of(st.booleans(), numbers)),
        draw(st.sampled_from(("Cel", "1", None))),
        draw(st.none() | st.integers(1, 10**10)),
        draw(st.sampled_from(("good", "suspect", "bad"))),
        draw(attributes),
    )


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    found = tuple(draw(st.lists(points(), max_size=12)))
    facts = tuple(
        FactAt(path, value, at)
        for path, value, at in draw(
            st.lists(st.tuples(texts, leaves, moments), min_size=0 if found else 1, max_size=4)
        )
    )
    first = min(row.at for row in (found or facts))
    name = digest(draw(texts), length=10)
    return Segment(
        DEVICE, draw(st.sampled_from(("measurements", "12100", ""))), first, name, found, facts
    )


@st.composite
def signals(draw: st.DrawFn) -> SignalRecord:
    """Signals of one condition within a few moments, so that they collide."""
    action = draw(st.sampled_from(("raise", "raise", "clear", "clear", "acknowledge")))
    operator = action == "acknowledge" or (action == "clear" and draw(st.booleans()))
    severity = draw(st.sampled_from(("minor", "major"))) if action == "raise" else None
    message = draw(st.sampled_from((None, "first", "second")))
    at = START + draw(st.integers(0, 12)) * 1000
    return SignalRecord(
        DEVICE,
        CONDITION,
        action,
        at,
        digest(action, at, severity, message, operator, length=10),
        name="hot" if action == "raise" else None,
        severity=severity,
        message=message,
        by="Ada" if operator else None,
    )
