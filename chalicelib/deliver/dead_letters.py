"""The dead-letter queues: they ring an alarm; what a delivery is stands in its row.

They hold two kinds of letters.  Deliver tells the first one of each delivery that it gave up: those name a
row.  SQS moves messages there over which deliver itself kept failing: those may carry events that stand
nowhere else.  A queue that keeps order can only have a dead-letter queue that does so too: the second one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from chalicelib import outbox, queues
from chalicelib.model.digests import digest
from chalicelib.store import deliveries
from chalicelib.store.deliveries import Delivery
from chalicelib.store.table import table_of

if TYPE_CHECKING:
    from chalicelib.aws import Hub

_LETTERS = 1000
"""Letters that are looked at in one go."""
_HIDDEN = 20
"""Seconds for which a letter is put aside, so that the next look finds the next one.

Less than it takes until the message of a process that died comes again.
"""


class Drained(NamedTuple):
    """How many letters were looked at, how many put through again, and whether there are more."""

    looked_at: int
    redriven: int
    more: bool


def bury(hub: Hub, row: Delivery) -> None:
    """Tell the dead-letter queue.  Told twice after a crash, it holds two messages with one id."""
    message = {
        "tenant": row.tenant,
        "integration": row.integration_id,
        "delivery": row.id,
        "event_ids": list(row.event_ids),
        "reason": reason(row),
        "attempts": len(row.attempts),
    }
    queues.send(hub, hub.config.dead_letters_url, [queues.Message(json.dumps(message))])


def reason(row: Delivery) -> str:
    """Say why a delivery was given up."""
    last = row.attempts[-1] if row.attempts else {}
    what = last.get("error") or f"status {last.get('status')}"
    return f"given up after {len(row.attempts)} attempts: {what}"


def drain(
    hub: Hub, tenant: str, integration_id: str, dead: Callable[[Delivery], bool], job_id: str
) -> Drained:
    """Put the letters of one integration through again; all others stay.

    A delivery that a letter names is retried if it is still ``dead``, and the letter goes unless it died
    again since.  Events that a letter carries go back to the queue that they came from.  Sent, then
    deleted: a process that dies in between leaves a letter too many.
    """
    mine = (tenant, integration_id)
    config = hub.config
    found = [_drain(hub, config.dead_letters_url, config.deliveries_url, mine, dead, job_id)]
    if config.ordered_dead_letters_url:
        ways = config.ordered_dead_letters_url, config.ordered_url
        found.append(_drain(hub, *ways, mine, dead, job_id))
    return Drained(
        sum(each.looked_at for each in found),
        sum(each.redriven for each in found),
        any(each.more for each in found),
    )


def _drain(
    hub: Hub,
    url: str,
    source: str,
    mine: tuple[str, str],
    dead: Callable[[Delivery], bool],
    job_id: str,
) -> Drained:
    tenant = mine[0]
    others: list[str] = []
    looked_at = redriven = 0
    while looked_at < _LETTERS:
        letters = queues.receive(hub, url, _HIDDEN)
        if not letters:
            queues.release(hub, url, others)
            return Drained(looked_at, redriven, more=False)
        looked_at += len(letters)
        ours: list[str] = []
        for letter in letters:
            message = _read(letter.body)
            if (message.get("tenant"), message.get("integration")) != mine:
                others.append(letter.handle)
            elif "events" in message:
                queues.send(hub, source, [_again(message, job_id)])
                redriven += 1
                ours.append(letter.handle)
            elif "delivery" in message and _stays(hub, tenant, message, dead):
                others.append(letter.handle)
            else:
                ours.append(letter.handle)
        queues.delete(hub, url, ours)
    return Drained(looked_at, redriven, more=True)


def _again(message: dict[str, Any], job_id: str) -> queues.Message:
    """Return a letter as the message that it was."""
    integration_id = str(message["integration"])
    if "device" in message:
        # Its queue knows it from before: the job makes it another one, and the same for a second try.
        body = json.dumps(message, separators=(",", ":"))
        group = outbox.line(integration_id, str(message["device"]))
        return queues.Message(body, group, same=digest(job_id, body))
    body = json.dumps(message | {"seen": True}, separators=(",", ":"))
    return queues.Message(body, integration_id)


def _stays(
    hub: Hub, tenant: str, letter: Mapping[str, Any], dead: Callable[[Delivery], bool]
) -> bool:
    """Retry a delivery that is dead since before; say whether its letter tells of its present death."""
    if outbox.retry(hub, tenant, letter["delivery"], dead):
        return False
    row = deliveries.find(table_of(hub), tenant, letter["delivery"])
    if row is None or row.state != deliveries.DEAD:
        return False
    return len(row.attempts) == letter.get("attempts")


def _read(body: str) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}
