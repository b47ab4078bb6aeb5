"""What callers get: the shapes of answers, for the OpenAPI document (and checked in the tests)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Moment = Annotated[
    str, Field(json_schema_extra={"format": "date-time", "examples": ["2026-01-31T12:00:00.000Z"]})
]
Severity = Literal["info", "minor", "warning", "major", "critical"]
Presence = Literal["online", "offline", "unknown"]


class Shape(BaseModel):
    """An object of an answer, with all its members."""

    model_config = ConfigDict(extra="forbid")


class ProblemField(Shape):
    """One mistake in a body."""

    pointer: str
    detail: str


class Problem(Shape):
    """A problem (RFC 9457)."""

    type: str = Field(examples=["/problems/unknown-parameter"])
    title: str
    status: int
    detail: str
    errors: list[ProblemField] = Field(default_factory=list)
