"""JMESPath projections of an event's data: read once, evaluated within a budget.

A short expression can ask for a result of any size (``join`` of a list that holds itself twice, again and
again), so everything that an evaluation makes on its way is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions
from jmespath.parser import ParsedResult
from jmespath.visitor import TreeInterpreter

LONGEST = 1024
"""Characters of an expression."""
_BUDGET, _EACH = 1_000_000, 5_000
"""Values and characters that the evaluations for one delivery may make, and so many more for each event."""
_DEEPEST = 64


class ProjectionError(ValueError):
    """An expression that cannot be applied to this data; the text says why."""


def problem(expression: str) -> str | None:
    """Say what is wrong with an expression, or ``None``."""
    if len(expression) > LONGEST:
        return f"is longer than {LONGEST}"
    try:
        unknown = _calls(_parsed(expression).parsed) - set(Functions.FUNCTION_TABLE)
    except (ProjectionError, RecursionError) as error:
        return str(error)
    return f"unknown function {min(unknown)!r}" if unknown else None


def projected(expression: str, rows: Sequence[Any]) -> list[Any]:
    """Return what an expression makes of each of some data.  Raises ``ProjectionError``."""
    counting, parsed = _Counting(_BUDGET + _EACH * len(rows)), _parsed(expression).parsed
    try:
        return [counting.visit(parsed, data) for data in rows]
    except JMESPathError as error:
        raise ProjectionError(f"jmespath: {_first_line(error)}") from None
    except (RecursionError, ArithmeticError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, ProjectionError):
            raise
        raise ProjectionError(f"jmespath: {type(error).__name__}") from None


@lru_cache(maxsize=256)
def _parsed(expression: str) -> ParsedResult:
    try:
        return jmespath.compile(expression)
    except JMESPathError as error:
        raise ProjectionError(f"is no JMESPath expression: {_first_line(error)}") from None
    except (RecursionError, ValueError, KeyError) as error:
        raise ProjectionError(f"is no JMESPath expression: {type(error).__name__}") from None


def _calls(node: Any) -> set[str]:
    found = {node["value"]} if node["type"] == "function_expression" else set()
    for child in node["children"]:
        found |= _calls(child) if isinstance(child, dict) and "children" in child else set()
    return found


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200]


class _Counting(TreeInterpreter):  # type: ignore[misc]
    """The library's interpreter, which gives up when its results become too many."""

    def __init__(self, budget: int) -> None:
        super().__init__()
        self._left = budget

    def visit(self, node: Any, *arguments: Any, **options: Any) -> Any:
        """Evaluate one node."""
        self._left -= 1
        result = super().visit(node, *arguments, **options)
        self._count(result, 0)
        return result

    def _count(self, value: Any, depth: int) -> None:
        self._left -= len(value) + 1 if isinstance(value, str) else 1
        if self._left < 0:
            raise ProjectionError("jmespath: makes too much of this data")
        if depth > _DEEPEST:
            raise ProjectionError("jmespath: nests too deep")
        if isinstance(value, dict):
            for name, each in value.items():
                self._left -= len(name)
                self._count(each, depth + 1)
        elif isinstance(value, list):
            for each in value:
                self._count(each, depth + 1)
