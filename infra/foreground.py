"""Run a module so that Ctrl-C reaches it and not ``make``: ``python -m infra.foreground infra.local``.

A terminal sends Ctrl-C to its whole foreground group.  make, in that group, answers by failing,
however well its command ends.  So the command becomes the foreground group while it runs.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def foreground() -> Iterator[None]:
    """Be the terminal's foreground group; without a terminal, or in the background, do nothing."""
    if not _in_front():
        yield
        return
    before = os.getpgrp()
    # Ctrl-Z would stop us alone, and make and the shell would wait for ever.
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    os.setpgid(0, 0)
    _give_terminal(os.getpgrp())
    try:
        yield
    finally:
        _give_terminal(before)


def _in_front() -> bool:
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp() != os.getpid()
    except (OSError, ValueError, AttributeError):
        return False


def _give_terminal(group: int) -> None:
    # Whoever is not in front and takes the terminal is stopped, unless it ignores this signal.
    asked = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        os.tcsetpgrp(sys.stdin.fileno(), group)
    except OSError:
        pass  # the terminal is gone
    finally:
        signal.signal(signal.SIGTTOU, asked)


if __name__ == "__main__":
    with foreground():
        sys.argv = sys.argv[1:]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
