"""Into the deliveries queue: the messages that name work for deliver, and nothing else.

A message carries events (``{"tenant", "integration", "seen", "returned", "replay", "events"}``; those
of a replay name its job), or names a stored delivery and the number of attempts it had when the message
was written (``{"tenant", "integration", "delivery", "attempt", "returned"}``), or a job and the slice that
is next (``{"tenant", "integration", "job", "slice"}``): once the row has more, the message is outdated and
means nothing.  Or it asks for what waits in an integration's lane (``{"tenant", "integration", "lane"}``).
``returned`` counts how often it was put back because there was no place.  Where an integration asks for
order, a message carries one event of one device (``{"tenant", "integration", "device", "replay",
"events"}``) on a queue that keeps it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from chalicelib import queues
from chalicelib.model.cloudevents import CloudEvent
from chalicelib.model.digests import digest
from chalicelib.security import new_id
from chalicelib.store import deliveries, jobs, standings
from chalicelib.store.deliveries import PENDING, QUEUE_REACH, Delivery
from chalicelib.store.integrations import Integration
from chalicelib.store.jobs import Job
from chalicelib.store.standings import Condition
from chalicelib.store.table import ConflictError, Table, table_of

if TYPE_CHECKING:
    from chalicelib.aws import Hub

DEVICE = "device"
"""The ordering of an integration that wants each device's changes one after another."""
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
    send(hub, [(tenant, integration, events)], replay)


def send(
    hub: Hub,
    work: Iterable[tuple[str, Integration, Iterable[CloudEvent]]],
    replay: str | None = None,
) -> None:
    """Put events on the queues for several integrations (each with its tenant)."""
    plain: list[queues.Message] = []
    ordered: list[queues.Message] = []
    for tenant, integration, events in work:
        if integration.ordering == DEVICE:
            ordered += in_order(tenant, integration, events, replay)
        else:
            plain += messages(hub, tenant, integration, events, replay)
    queues.send(hub, hub.config.deliveries_url, plain)
    queues.send_in_order(hub, hub.config.ordered_url, ordered)


def in_order(
    tenant: str, integration: Integration, events: Iterable[CloudEvent], replay: str | None = None
) -> Iterator[queues.Message]:
    """Yield the messages that carry each device's events in their order, one at a time.

    A stream batch that is tried again may be cut otherwise: one event a message is known again.
    """
    most = int(integration.batch["max_records"]) if integration.batch is not None else 1
    devices: dict[str, list[CloudEvent]] = {}
    for event in events:
        devices.setdefault(event["subject"], []).append(event)
    for device, mine in devices.items():
        group = line(integration.id, device)
        head = {"tenant": tenant, "integration": integration.id, "device": device}
        opening = json.dumps(head | {"replay": replay})[:-1]
        while mine:
            some: list[str] = []
            while mine and len(some) < most and sum(map(len, some)) < SIZE_LIMIT:
                some.append(_text(mine.pop(0)))
            body = f'{opening}, "events": [{",".join(some)}]}}'
            yield queues.Message(body, group, same=digest(integration.id, replay, some))


def line(integration_id: str, device: str) -> str:
    """Return the group of an ordered queue in which a device's events go to an integration."""
    return digest(integration_id, device)


def messages(
    hub: Hub,
    tenant: str,
    integration: Integration,
    events: Iterable[CloudEvent],
    replay: str | None = None,
) -> Iterator[queues.Message]:
    """Yield the messages that carry events to one integration, in their order."""
    most, size, wait = EVENTS_LIMIT, SIZE_LIMIT, 0
    if integration.batch is not None:
        most, size = int(integration.batch["max_records"]), BATCH_LIMIT
        if hub.config.deliver_processes > 1:
            # A process would wait alone: so that others' events come to it, they lie in the queue.
            wait = int(integration.batch.get("max_wait_seconds", 1))
    history = History(replay=replay)
    group: list[str] = []
    length = 0
    for event in events:
        text = _text(event)
        bytes_of = len(text)
        assert bytes_of <= BATCH_LIMIT, "a table item holds 400 KB, so no event is as large"  # noqa: S101
        if group and (len(group) == most or length + bytes_of > size):
            yield _message(tenant, integration.id, group, history=history)
            group, length = [], 0
        group.append(text)
        length += bytes_of + 1
    if group:
        yield _message(tenant, integration.id, group, wait if len(group) < most else 0, history)


@dataclass(frozen=True, slots=True)
class History:
    """What happened to a message before.

    ``seen``: somebody may have died over it, so that some of it may have been attempted.  ``replay`` is
    the job that sends its events again.
    """

    seen: bool = False
    returned: int = 0
    replay: str | None = None


def again(
    hub: Hub,
    tenant: str,
    integration_id: str,
    events: Sequence[CloudEvent],
    delay: int,
    history: History,
) -> None:
    """Have events come back after so many seconds."""
    texts = [_text(event) for event in events]
    message = _message(tenant, integration_id, texts, delay, history)
    queues.send(hub, hub.config.deliveries_url, [message])


def schedule(hub: Hub, row: Delivery, returned: int = 0) -> None:
    """Name a pending delivery to the queue, if its time is within the queue's reach."""
    if row.next_attempt_at is None:
        return
    wait = max(0, row.next_attempt_at - hub.now())
    if wait > QUEUE_REACH:
        return
    # A late message is as late as it is, an early one waits for its moment: short waits are cut.
    seconds = wait // 1000 if wait < _EXACT else -(-wait // 1000)
    queues.send(hub, hub.config.deliveries_url, [_naming(row, seconds, returned)])


def schedule_later(hub: Hub, row: Delivery, seconds: int, returned: int) -> None:
    """Name a delivery for which there was no place to the queue."""
    queues.send(hub, hub.config.deliveries_url, [_naming(row, seconds, returned)])


def drain(hub: Hub, tenant: str, integration_id: str, token: str, seconds: int = 0) -> None:
    """Ask for what waits in a lane, after so many seconds."""
    body = {"tenant": tenant, "integration": integration_id, "lane": token}
    message = queues.Message(json.dumps(body), integration_id, min(seconds, QUEUE_REACH // 1000))
    queues.send(hub, hub.config.deliveries_url, [message])


def retry(
    hub: Hub,
    tenant: str,
    delivery_id: str,
    still: Callable[[Delivery], bool] = lambda _: True,
) -> bool:
    """Have a delivery attempted now, whatever became of it, if it is ``still`` so.

    False if it is not, or is not known.  What would open a ticket that nobody closes is cancelled instead.
    """
    table = table_of(hub)
    while True:
        row = deliveries.find(table, tenant, delivery_id)
        if row is None or not still(row):
            return False
        over = row.state == deliveries.DEAD and _ticket_is_over(table, row)
        changed = (
            replace(row, state=deliveries.CANCELLED, next_attempt_at=None)
            if over
            else replace(row, state=PENDING, next_attempt_at=hub.now())
        )
        try:
            row = deliveries.save(table, changed)
        except ConflictError:
            continue
        schedule(hub, row)
        return True


def _ticket_is_over(table: Table, row: Delivery) -> bool:
    """Say whether a delivery would open a ticket of an alert whose clear has gone before it."""
    from chalicelib import destinations  # noqa: PLC0415 - only what was given up is looked at
    from chalicelib.store import alerts, integrations  # noqa: PLC0415

    integration = integrations.find(table, row.tenant, row.integration_id)
    if integration is None or integration.kind not in destinations.names():
        return False
    if not destinations.destination(integration.kind).tickets:
        return False
    event = deliveries.events_of(table, row)[0]
    if event["type"] not in {"alert.raised", "alert.acknowledged"}:
        return False
    item = alerts.find(table, row.tenant, event["data"]["id"])
    return item is not None and alerts.alert_of(item).state == "cleared"


def resume(hub: Hub, tenant: str, integration_id: str) -> None:
    """Have what waits for an integration taken up, and believe that its endpoint works."""
    table, token = table_of(hub), new_id("run")

    def believed(condition: Condition) -> Condition:
        well = replace(condition, paused_until=0, failures=0, failing_since=None, open_until=0)
        return standings.taken_over(token, hub.now())(well)

    standings.change(table, tenant, integration_id, believed)
    drain(hub, tenant, integration_id, token)


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


def size_of(event: CloudEvent) -> int:
    """Return the bytes of an event in a message."""
    return len(_text(event))


def _text(event: CloudEvent) -> str:
    # ASCII: SQS refuses some characters that JSON may hold.
    return json.dumps(event, separators=(",", ":"), allow_nan=False)


def _naming(row: Delivery, delay: int, returned: int) -> queues.Message:
    body = {
        "tenant": row.tenant,
        "integration": row.integration_id,
        "delivery": row.id,
        "attempt": len(row.attempts),
        "returned": returned,
    }
    return queues.Message(json.dumps(body), row.integration_id, delay)


def _message(
    tenant: str,
    integration_id: str,
    texts: Sequence[str],
    delay: int = 0,
    history: History | None = None,
) -> queues.Message:
    head = json.dumps(
        {"tenant": tenant, "integration": integration_id, **asdict(history or History())}
    )
    body = f'{head[:-1]}, "events": [{",".join(texts)}]}}'
    return queues.Message(body, integration_id, delay)
