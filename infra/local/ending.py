"""Ending a run that is still starting: at once, but never between a process and the note of it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], object]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class EndedError(BaseException):
    """Somebody ended the run."""


class _Held:
    """Whether an end has to wait, and whether one does."""

    depth = 0
    waiting = False
    over = False


def on_signal(handler: Handler) -> None:
    """Choose what Ctrl-C and a polite kill do, even where the caller's shell had them ignored."""
    for each in _SIGNALS:
        signal.signal(each, handler)


def at_once(_number: int, _frame: FrameType | None) -> None:
    """Break off what the main thread does; within :func:`held`, right after it."""
    if _Held.depth:
        _Held.waiting = True
    elif not _Held.over:  # a second signal must not break off the tidying up after the first
        _Held.over = True
        raise EndedError


@contextmanager
def held() -> Iterator[None]:
    """Let an end wait until a few steps that belong together are done."""
    _Held.depth += 1
    try:
        yield
    finally:
        _Held.depth -= 1
    if _Held.waiting and not _Held.depth:
        _Held.waiting = False
        _Held.over = True
        raise EndedError
