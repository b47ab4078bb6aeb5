"""Resource paths: ``Things('a')/Datastreams`` taken apart and put together."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, unquote

from chalicelib.api.problems import ProblemError

_NAME = re.compile(r"[$@A-Za-z_][\w@.$-]*", re.ASCII)
_LONGEST = 12
"""Segments of a path."""


class Segment(NamedTuple):
    """One step: a name, and the id in parentheses behind it."""

    name: str
    key: str | None = None

    def __str__(self) -> str:
        if self.key is None:
            return self.name
        return f"{self.name}('{quote(self.key.replace(_QUOTE, _QUOTE * 2), safe=_SAFE)}')"


_QUOTE = "'"
_SAFE = ":!=~,;@"


def parse(raw: str) -> list[Segment]:
    """Return the segments of a percent-encoded path, or refuse it with 404.

    A quote in an id is doubled; one that is not (clients forget it) is taken as it stands, unless
    a parenthesis follows that ends the segment.
    """
    text = unquote(raw).strip("/")
    found: list[Segment] = []
    at = 0
    while at < len(text):
        match = _NAME.match(text, at)
        if match is None or len(found) == _LONGEST:
            raise unknown()
        at, key = match.end(), None
        if text.startswith("('", at):
            key, at = _key(text, at + 2)
        elif text.startswith("(", at):
            # No id is a number, so there is nothing with this one.
            raise ProblemError("not-found", "An id stands in single quotes: Things('…').")
        found.append(Segment(match[0], key))
        if at < len(text) and text[at] != "/":
            raise unknown()
        at += 1
    return found


def unknown() -> ProblemError:
    """Return the answer for a path that leads nowhere."""
    detail = "There is no such path; GET /sta/v1.1 lists the collections."
    return ProblemError("unknown-route", detail)


def _key(text: str, at: int) -> tuple[str, int]:
    letters: list[str] = []
    while at < len(text):
        letter = text[at]
        if letter == _QUOTE:
            if text.startswith(_QUOTE, at + 1):
                at += 1
            elif text.startswith(")", at + 1) and text[at + 2 : at + 3] in {"", "/"}:
                return "".join(letters), at + 2
        letters.append(letter)
        at += 1
    raise unknown()
