"""Where an operator wants the hub to send, looked at before it is stored."""

from __future__ import annotations

from chalicelib.aws import Hub
from chalicelib.model.addresses import BadTargetError, permitted
from chalicelib.resolution import checked

_PATIENCE = 2.0
"""Seconds for the resolver: an operator waits for the answer."""


def problem(hub: Hub, url: str) -> str | None:
    """Say why nothing may be sent to a URL, or ``None``.  Its name is resolved.

    A name without an address now is no mistake: a failing resolver says the same, and a record may be
    made after its integration.  Names are resolved and checked again at every connection.
    """
    rule = hub.config.private_targets
    try:
        checked(permitted(url, rule), rule, _PATIENCE, hub.resolve)
    except BadTargetError as error:
        return str(error)
    except OSError:  # a TimeoutError too
        return None
    return None
