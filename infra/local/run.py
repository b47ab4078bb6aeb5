"""``make run``: the whole hub on this machine, until Ctrl-C."""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path

from infra.local import console, ending, hub, switches
from infra.local.files import Folder
from infra.local.mistakes import MistakeError, no_space

_LOG = logging.getLogger(__name__)
_ROOT = Path(".local")
_ENDED = 0
_BROKEN = 1
_MISTAKE = 2


def main() -> int:
    """Run until Ctrl-C; return the exit code."""
    screen = console.Console(sys.stdout)
    ending.on_signal(ending.at_once)
    try:
        return _run(screen)
    except ending.EndedError:
        return _ENDED
    except MistakeError as mistake:
        screen.say(f"make run: {mistake}")
        return _MISTAKE
    except Exception as error:  # noqa: BLE001 - said in one line, whatever it is
        if no_space(error):
            where = _ROOT.resolve()
            screen.say(f"make run: no space left on the disk of {where}: free some, then try again")
            return _MISTAKE
        _LOG.exception("the run broke")
        screen.say(f"make run: broken by {type(error).__name__}: {error} (see {_ROOT}/hub.log)")
        return _BROKEN


def _run(screen: console.Console) -> int:
    chosen = switches.read(os.environ)
    folder = Folder(_ROOT, chosen.state)
    folder.take()
    folder.hub.unlink(missing_ok=True)
    screen = console.redirect(folder.log)
    running = hub.Hub(chosen, folder, screen)
    ended = threading.Event()
    failed = True
    try:
        running.start()
        failed = False
        ending.on_signal(lambda *_: ended.set())
        while not ended.wait(1):
            if not running.whole():
                screen.say("the embedded AWS is gone: see .local/aws.log")
                return _BROKEN
        screen.say("ending …")
    except ending.EndedError:
        failed = False
        raise
    finally:
        ending.on_signal(lambda *_: None)  # one Ctrl-C is enough
        running.stop(keep_adopted=failed)
    screen.say("ended.")
    return _ENDED
