"""Into the deliveries queue: the messages that name work for deliver, and nothing else.

A message carries events (``{"tenant", "integration", "seen", "events"}``, those of a replay also its job,
``"replay"``), or names a stored delivery and the number of attempts it had when the message was written
(``{"tenant", "integration", "delivery", "attempt"}``), or a job and the slice that is next (``{"tenant",
"integration", "job", "slice"}``): once the row has more, the message is outdated and means nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib import queues
from chalicelib.model.cloudevents import CloudEvent
from chalicelib.store import deliveries, jobs
from chalicelib.store.deliveries import PENDING, QUEUE_REACH, Delivery
from chalicelib.store.integrations import Integration
from chalicelib.store.jobs import Job
from chalicelib.store.table import ConflictError, table_of

if TYPE_CHECKING:
    from chalicelib.aws import Hub

EVENTS_LIMIT = 10
"""Events of one message, unless the integration takes batches: they are sent one after another."""
SIZE_LIMIT = 200 * 1024
BATCH_LIMIT = 1000 * 1024
"""Bytes of a batch: 1 MiB is the most for a request and for a queue message."""


def enqueue(
    hub: Hub,
    tenant: str,
    integration: Integration,
    events: Iterable[CloudEvent],
    replay: str | None = None,
) -> None:
    """Put events on the queue for one integration.  Raises ``QueueError`` if they cannot be put there."""
    queues.send(hub, hub.config.deliveries_url, messages(tenant, integration, events, replay))


def messages(
    tenant: str, integration: Integration, events: Iterable[CloudEvent], replay: str | None = None
) -> Iterator[queues.Message]:
    """Yield the messages that carry events to one integration, in their order."""
    most, size = EVENTS_LIMIT, SIZE_LIMIT
    if integration.batch is not None:
        most, size = int(integration.batch["max_records"]), BATCH_LIMIT
    group: list[str] = []
    length = 0
    for event in events:
        text = _text(event)
        bytes_of = len(text)
        assert bytes_of <= BATCH_LIMIT, "a table item holds 400 KB, so no event is as large"  # noqa: S101
        if group and (len(group) == most or length + bytes_of > size):
            yield _message(tenant, integration.id, group, replay=replay)
            group, length = [], 0
        group.append(text)
        length += bytes_of + 1
    if group:
        yield _message(tenant, integration.id, group, replay=replay)


def again(
    tenant: str,
    integration_id: str,
    events: Sequence[CloudEvent],
    delay: int,
    *,
    seen: bool,
    replay: str | None,
) -> queues.Message:
    """Return the message that brings events back after so many seconds.

    ``seen``: somebody may have died over them, so that some may have been attempted.
    """
    texts = [_text(event) for event in events]
    return _message(tenant, integration_id, texts, delay, seen=seen, replay=replay)


def schedule(hub: Hub, row: Delivery) -> None:
    """Name a pending delivery to the queue, if its time is within the queue's reach."""
    if row.next_attempt_at is None:
        return
    wait = max(0, row.next_attempt_at - hub.now())
    if wait > QUEUE_REACH:
        return
    # A late message is as late as it is, an early one waits for its moment: short waits are cut.
    seconds = wait // 1000 if wait < _EXACT else -(-wait // 1000)
    queues.send(hub, hub.config.deliveries_url, [_naming(row, seconds)])


def retry(
    hub: Hub,
    tenant: str,
    delivery_id: str,
    still: Callable[[Delivery], bool] = lambda _: True,
) -> bool:
    """Have a delivery attempted now, whatever became of it, if it is ``still`` so.

    False if it is not, or is not known.
    """
    table = table_of(hub)
    while True:
        row = deliveries.find(table, tenant, delivery_id)
        if row is None or not still(row):
            return False
        try:
            row = deliveries.save(table, replace(row, state=PENDING, next_attempt_at=hub.now()))
        except ConflictError:
            continue
        schedule(hub, row)
        return True


def resume(hub: Hub, tenant: str, integration_id: str) -> int:
    """Bring back what waited for an integration to be enabled; return how many deliveries."""
    table = table_of(hub)
    found = 0
    for row in deliveries.waiting(table, tenant, integration_id):
        try:
            due = deliveries.save(table, replace(row, next_attempt_at=hub.now()))
        except ConflictError:
            continue  # somebody retried it meanwhile
        schedule(hub, due)
        found += 1
    return found


def begin(hub: Hub, job: Job, delay: int = 0) -> None:
    """Store a new job and name its first slice, to be received after so many seconds."""
    hand_on(hub, jobs.save(table_of(hub), job, wake=delay * 1000), delay)


def hand_on(hub: Hub, job: Job, delay: int = 0) -> None:
    """Name the next slice of a job.  Its message stands behind all that the slice before has enqueued."""
    body = {"tenant": job.tenant, "integration": job.owner, "job": job.id, "slice": job.slice}
    message = queues.Message(json.dumps(body), job.owner, delay)
    queues.send(hub, hub.config.deliveries_url, [message])


_EXACT = 10_000
"""Milliseconds of waiting below which a second more would show."""


def _text(event: CloudEvent) -> str:
    # ASCII: SQS refuses some characters that JSON may hold.
    return json.dumps(event, separators=(",", ":"), allow_nan=False)


def _naming(row: Delivery, delay: int) -> queues.Message:
    body = {
        "tenant": row.tenant,
        "integration": row.integration_id,
        "delivery": row.id,
        "attempt": len(row.attempts),
    }
    return queues.Message(json.dumps(body), row.integration_id, delay)


def _message(
    tenant: str,
    integration_id: str,
    texts: Sequence[str],
    delay: int = 0,
    *,
    seen: bool = False,
    replay: str | None = None,
) -> queues.Message:
    head_of = {"tenant": tenant, "integration": integration_id, "seen": seen}
    head = json.dumps(head_of if replay is None else head_of | {"replay": replay})
    body = f'{head[:-1]}, "events": [{",".join(texts)}]}}'
    return queues.Message(body, integration_id, delay)
