"""From a name to the addresses that may be dialled: resolved once, every one of them checked.

The API asks when an operator names a target; whoever delivers asks again at every connection.
"""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Sequence
from ipaddress import ip_address

from chalicelib.model.addresses import Address, BadTargetError, Target, refusal

Resolve = Callable[[str, int, float], Sequence[Address]]
"""Host, port and seconds to addresses.  Raises ``TimeoutError`` or ``OSError``."""


def resolve(host: str, port: int, seconds: float) -> Sequence[Address]:
    """Return the addresses of a name.

    The C library's resolver cannot be told to hurry, so it works in a thread that nobody waits for
    longer than ``seconds``.
    """
    answer: queue.SimpleQueue[Sequence[Address] | OSError] = queue.SimpleQueue()

    def work() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            answer.put(error if isinstance(error, OSError) else OSError(str(error)))
            return
        answer.put([ip_address(row[4][0]) for row in found])

    threading.Thread(target=work, daemon=True, name="resolve").start()
    try:
        got = answer.get(timeout=max(seconds, 0.001))
    except queue.Empty:
        raise TimeoutError("the name was not resolved in time") from None
    if isinstance(got, OSError):
        raise got
    return list(dict.fromkeys(got))


def checked(
    target: Target, private_targets: str, seconds: float, resolve: Resolve = resolve
) -> Sequence[Address]:
    """Return the addresses of a target.  Raises ``BadTargetError`` if one of them is refused.

    One bad address among good ones refuses the whole name: whoever answers so is not to be trusted
    with the choice.
    """
    found = (
        [target.address]
        if target.address is not None
        else resolve(target.host, target.port, seconds)
    )
    for address in found:
        kind = refusal(address, private_targets)
        if kind is not None:
            raise BadTargetError(f"address refused: {kind}")
    return found
