"""OData's query options, as far as they are served: read from text, refused with what is wrong.

A recursive descent over a bounded text.  Nothing here knows entities, and whatever it is given, it either
returns or raises ``ProblemError``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from chalicelib.api.problems import ProblemError
from chalicelib.model.times import from_rfc3339

PAGE, LARGEST_PAGE = 100, 500
"""Entities of a collection in one answer: by default, and at most whatever ``$top`` asks for."""
_LENGTH = 8000
"""Characters of one option."""
_DEPTH = 5
"""Levels of ``$expand``."""
_NESTED = 32
"""Levels of parentheses."""
_TERMS = 200
"""Comparisons of one filter."""
_SKIPPED = 1_000_000_000

Operator = Literal["eq", "ne", "gt", "ge", "lt", "le"]
_OPERATORS: dict[str, Operator] = {
    "eq": "eq", "ne": "ne", "gt": "gt", "ge": "ge", "lt": "lt", "le": "le",
}  # fmt: skip
_MIRRORED: dict[Operator, Operator] = {
    "eq": "eq", "ne": "ne", "gt": "lt", "ge": "le", "lt": "gt", "le": "ge",
}  # fmt: skip


class Moment(NamedTuple):
    """A time in a query, in milliseconds; digits below stand as a half, which no stored moment is."""

    at: float


Literals = str | float | int | bool | Moment | None
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A property compared with a literal."""

    path: Path
    operator: Operator
    value: Literals


@dataclass(frozen=True, slots=True)
class Both:
    """Two filters of which both must hold (``and``), or one (``or``)."""

    word: Literal["and", "or"]
    left: Filter
    right: Filter


@dataclass(frozen=True, slots=True)
class Negation:
    """A filter that must not hold."""

    of: Filter


Filter = Comparison | Both | Negation


class Order(NamedTuple):
    """One key to sort by."""

    path: Path
    descending: bool


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of a collection or an entity; ``texts`` are the options as they were written."""

    select: tuple[str, ...] = ()
    expand: Mapping[str, Query] = field(default_factory=dict)
    filter: Filter | None = None
    order: tuple[Order, ...] = ()
    top: int = PAGE
    skip: int = 0
    count: bool = False
    token: str | None = None
    texts: Mapping[str, str] = field(default_factory=dict)


def refused(detail: str) -> ProblemError:
    """Return the answer for a query that cannot be served."""
    return ProblemError("invalid-query", detail)


def parse(texts: Mapping[str, str], *, depth: int = 0) -> Query:
    """Read the options of a request, or those in the parentheses behind an expanded name."""
    taken = _TAKEN if depth == 0 else _TAKEN - {"$skiptoken"}
    for name, text in texts.items():
        if name not in taken:
            detail = f"{name[:100]!r} is no option here; there are: {', '.join(sorted(taken))}."
            raise ProblemError("unknown-parameter", detail)
        if len(text) > _LENGTH:
            raise refused(f"{name} has at most {_LENGTH} characters.")
    return Query(
        select=_names(texts["$select"]) if "$select" in texts else (),
        expand=_expand(texts.get("$expand"), depth),
        filter=_Reader(texts["$filter"]).filter() if "$filter" in texts else None,
        order=_order(texts.get("$orderby")),
        top=min(_number(texts, "$top", PAGE), LARGEST_PAGE),
        skip=_number(texts, "$skip", 0),
        count=_flag(texts, "$count"),
        token=texts.get("$skiptoken"),
        texts=texts,
    )


_TAKEN = frozenset(
    {"$select", "$expand", "$filter", "$orderby", "$top", "$skip", "$count", "$skiptoken"}
)


def _number(texts: Mapping[str, str], name: str, default: int) -> int:
    text = texts.get(name)
    if text is None:
        return default
    if not re.fullmatch("[0-9]{1,10}", text) or int(text) > _SKIPPED:
        raise refused(f"{name}={text[:100]!r}: send an integer from 0 to {_SKIPPED}.")
    return int(text)


def _flag(texts: Mapping[str, str], name: str) -> bool:
    text = texts.get(name, "false")
    if text.lower() not in {"true", "false"}:
        raise refused(f"{name}={text[:100]!r}: send true or false.")
    return text.lower() == "true"


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if not re.fullmatch(r"[@A-Za-z_][\w@./-]*", name):
            raise refused(f"$select: {name[:100]!r} is no name of a property.")
    return names


def _order(text: str | None) -> tuple[Order, ...]:
    if text is None:
        return ()
    keys = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([@A-Za-z_][\w@./-]*)(?:\s+(asc|desc))?\s*", part, re.IGNORECASE)
        if match is None:
            detail = f"$orderby: {part[:100]!r} is no property, asc or desc behind it."
            raise refused(detail)
        keys.append(Order(tuple(match[1].split("/")), (match[2] or "").lower() == "desc"))
    return tuple(keys)


# --- expand ----------------------------------------------------------------------------------------


def _expand(text: str | None, depth: int) -> Mapping[str, Query]:
    if text is None:
        return {}
    if depth >= _DEPTH:
        raise refused(f"$expand goes at most {_DEPTH} levels deep.")
    wanted: dict[str, dict[str, str]] = {}
    for part in split(text, ","):
        name, options = _expanded(part.strip())
        known = wanted.setdefault(name, {})
        for option, value in options.items():
            if option == "$expand" and option in known:
                known[option] += f",{value}"
            elif known.setdefault(option, value) != value:
                raise refused(f"$expand: {name} has two different {option}.")
    return {name: parse(options, depth=depth + 1) for name, options in wanted.items()}


def _expanded(part: str) -> tuple[str, dict[str, str]]:
    """Read ``Name(options)``; ``A/B(options)`` means ``A($expand=B(options))``."""
    match = re.fullmatch(r"([A-Za-z]+)(?:/(.+)|\((.*)\))?", part, re.DOTALL)
    if match is None:
        raise refused(f"$expand: {part[:100]!r} is no name, with options in parentheses behind it.")
    name, path, inner = match.groups()
    if path is not None:
        return name, {"$expand": path}
    options: dict[str, str] = {}
    for each in split(inner, ";") if inner and inner.strip() else ():
        option, equals, value = each.partition("=")
        option = option.strip()
        if not equals or option in options:
            raise refused(f"$expand: in {name}, {each[:100]!r} is not one $option=value, once.")
        options[option] = value.strip()
    return name, options


def split(text: str, separator: str) -> list[str]:
    """Split at a separator that stands in neither quotes nor parentheses."""
    parts, start, level, quoted = [], 0, 0, False
    for at, letter in enumerate(text):
        if letter == "'":
            quoted = not quoted
        elif quoted:
            continue
        elif letter == "(":
            level += 1
        elif letter == ")":
            level -= 1
            if level < 0:
                break
        elif letter == separator and level == 0:
            parts.append(text[start:at])
            start = at + 1
    if level != 0 or quoted:
        raise refused(f"A quote or parenthesis is not closed, or never opened, in {text[:100]!r}.")
    return [*parts, text[start:]]


# --- filter ----------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<time>\d{4}-\d\d(?:-\d\d)?(?:[Tt][\d:.,]*(?:[Zz]|[+\-\ ]\d\d:?\d\d)?)?(?:/[^\s()]*)?)
    |(?P<number>[+-]?\d{1,400}(?:\.\d{1,400})?(?:[eE][+-]?\d{1,4})?)(?![\w.])
    |(?P<text>'(?:[^']|'')*')
    |(?P<word>[@A-Za-z_][\w@.]*(?:/[@\w][\w@.-]*)*)
    |(?P<mark>[(),])""",
    re.VERBOSE | re.ASCII,
)


class _Token(NamedTuple):
    kind: str
    text: str


class _Reader:
    """Reads one ``$filter``: ``or`` binds less than ``and``, ``and`` less than ``not``."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0
        self._level = 0
        self._terms = 0

    def filter(self) -> Filter:
        """Return the whole filter."""
        found = self._chain("or")
        if (left := self._peek()).text:
            raise refused(f"$filter: {left.text[:100]!r} was not expected; {_GRAMMAR}")
        return found

    def _chain(self, word: Literal["and", "or"]) -> Filter:
        found = self._chain("and") if word == "or" else self._single()
        while self._peek() == _Token("word", word):
            self._next()
            found = Both(word, found, self._chain("and") if word == "or" else self._single())
        return found

    def _single(self) -> Filter:
        token = self._peek()
        if token == _Token("word", "not"):
            self._next()
            return Negation(self._nested(self._single))
        if token.text == "(" and token.kind == "mark":
            self._next()
            found = self._nested(lambda: self._chain("or"))
            if self._next() != _Token("mark", ")"):
                raise refused("$filter: a parenthesis is not closed.")
            return found
        return self._comparison()

    def _nested(self, read: Callable[[], Filter]) -> Filter:
        self._level += 1
        if self._level > _NESTED:
            raise refused(f"$filter is nested deeper than {_NESTED} levels.")
        found = read()
        self._level -= 1
        return found

    def _comparison(self) -> Filter:
        self._terms += 1
        if self._terms > _TERMS:
            raise refused(f"$filter compares more than {_TERMS} times.")
        left = self._operand()
        operator = _OPERATORS.get(self._next().text)
        if operator is None:
            raise refused(f"$filter: an operator was expected; {_GRAMMAR}")
        right = self._operand()
        if isinstance(left, tuple) and not isinstance(left, Moment):
            if isinstance(right, tuple) and not isinstance(right, Moment):
                raise refused("$filter: a property is compared with a literal, not with another.")
            return Comparison(left, operator, right)
        if isinstance(right, tuple) and not isinstance(right, Moment):
            return Comparison(right, _MIRRORED[operator], left)
        raise refused("$filter: one side of a comparison is a property.")

    def _operand(self) -> Path | Literals:
        token = self._next()
        match token.kind:
            case "text":
                return token.text[1:-1].replace("''", "'")
            case "number":
                return _numeric(token.text)
            case "time":
                return moment(token.text)
            case "word" if token.text in _CONSTANTS:
                return _CONSTANTS[token.text]
            case "word" if token.text not in {*_OPERATORS, "and", "or", "not"}:
                if self._peek().text == "(":
                    detail = (
                        f"$filter: there are no functions, so no {token.text[:100]!r}; {_GRAMMAR}"
                    )
                    raise refused(detail)
                return tuple(token.text.split("/"))
        raise refused(f"$filter: a property or a literal was expected; {_GRAMMAR}")

    def _peek(self) -> _Token:
        return self._tokens[self._at]

    def _next(self) -> _Token:
        token = self._tokens[self._at]
        if token.kind != "end":
            self._at += 1
        return token


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise refused(f"$filter: {text[at : at + 40]!r} cannot be read; {_GRAMMAR}")
        at = match.end()
        if match.lastgroup != "space":
            yield _Token(match.lastgroup or "", match[0])
    yield _Token("end", "")


def _numeric(text: str) -> float | int:
    value = float(text)
    if value - value != 0:  # infinite
        raise refused(f"$filter: {text[:100]!r} is beyond an IEEE double.")
    return value if any(each in text for each in ".eE") else int(text)


def moment(text: str) -> Moment:
    """Read a time with a zone, or refuse it."""
    at = from_rfc3339(text)
    if at is None:
        detail = (
            f"{text[:100]!r} is no time: send RFC 3339 with a zone, such as 2026-01-31T12:00:00Z"
            " (a + in a URL is written %2B), and no interval."
        )
        raise refused(detail)
    digits = re.search(r"[.,]\d{3}(\d*)", text)
    return Moment(at + 0.5 if digits and digits[1].strip("0") else at)


_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_GRAMMAR = "it takes <property> eq|ne|gt|ge|lt|le <literal>, and, or, not and parentheses."
