"""The courier: takes one queue message at a time and knows what it means now.

No attempt was made: the message stays in the queue (an exception), or is put back.  An attempt failed:
that is a row, written before anything names it, and the row decides what follows.  Between any two
steps the process may die; the message then comes again, and doing the steps again does no harm.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import SystemRandom
from typing import TYPE_CHECKING, Any

from chalicelib import destinations, outbox, queues
from chalicelib.deliver import dead_letters, recovery, retries, signing
from chalicelib.deliver.http import EXCERPT_LIMIT, Outcome, Send, Sender
from chalicelib.deliver.retries import Random
from chalicelib.deliver.standing import Standings
from chalicelib.deliver.tally import Tally
from chalicelib.destinations import Request
from chalicelib.model.cloudevents import CloudEvent
from chalicelib.model.times import to_rfc3339
from chalicelib.store import deliveries
from chalicelib.store.deliveries import CANCELLED, DEAD, DELIVERED, PENDING, Delivery
from chalicelib.store.integrations import Integration
from chalicelib.store.table import ConflictError, table_of

if TYPE_CHECKING:
    from chalicelib.aws import Hub

_BUDGET = 60.0
"""Seconds after which what a message still holds goes back to the queue: others have waited enough."""
_EARLY = 1000
"""Milliseconds that a message may be early and wait here; SQS counts whole seconds."""
_LONGEST_DELAY = 900


@dataclass(frozen=True, slots=True)
class Hands:
    """What a courier touches of the world, so that a test can hand it another."""

    send: Send
    random: Random
    sleep: Callable[[float], None] = time.sleep
    elapsed: Callable[[], float] = time.monotonic
    slice: recovery.Size = recovery.SLICE


def real_hands(hub: Hub) -> Hands:
    """Return the network, chance and the clock."""
    return Hands(Sender(hub.config.private_targets), SystemRandom())


class Courier:
    """Delivers for one hub.  Its methods may run in several threads at a time."""

    def __init__(self, hub: Hub, hands: Hands) -> None:
        self._hub = hub
        self._table = table_of(hub)
        self._hands = hands
        self._standings = Standings(self._table)

    def take(self, message: Mapping[str, Any], tally: Tally, *, again: bool) -> None:
        """Deal with one message.  ``again``: it was received before, so somebody may have died over it.

        Raises whatever AWS raises; the message then comes again.
        """
        where = (message["tenant"], message["integration"])
        if "job" in message:
            recovery.take(self._hub, message, again=again, size=self._hands.slice)
        elif "delivery" in message:
            self._named(*where, message["delivery"], message["attempt"], tally, again=again)
        else:
            self._carried(
                *where,
                message["events"],
                tally,
                again=again or message.get("seen", False),
                replay=message.get("replay"),
            )

    # --- events that a message carries ---------------------------------------------------------------

    def _carried(
        self,
        tenant: str,
        integration_id: str,
        events: list[CloudEvent],
        tally: Tally,
        *,
        again: bool,
        replay: str | None,
    ) -> None:
        begun = self._hands.elapsed()
        while events:
            standing = self._standings.now(tenant, integration_id)
            integration = standing.integration
            if integration is None:
                return  # deleted: nobody is left to send to
            group, batch = _next_group(integration, events)
            row = self._row(tenant, integration_id, group, batch=batch, again=again, replay=replay)
            if row.version:
                self._follow(row)
            elif not integration.enabled:
                self._store(row)
            elif (wait := standing.paused_until - self._hub.now()) > 0:
                self._put_back(tenant, integration_id, events, wait, seen=again, replay=replay)
                return
            elif self._hands.elapsed() - begun > _BUDGET:
                self._put_back(tenant, integration_id, events, 0, seen=again, replay=replay)
                return
            else:
                self._first(integration, row, group, tally)
            events = events[len(group) :]

    def _row(
        self,
        tenant: str,
        integration_id: str,
        group: Sequence[CloudEvent],
        *,
        batch: bool,
        again: bool,
        replay: str | None,
    ) -> Delivery:
        """Return the stored row where there may be one, else one that is not stored."""
        now = self._hub.now()
        row = deliveries.begun(tenant, integration_id, group, batch=batch, now=now, replay=replay)
        if again:
            return deliveries.find(self._table, tenant, row.id) or row
        return row

    def _first(
        self, integration: Integration, row: Delivery, group: Sequence[CloudEvent], tally: Tally
    ) -> None:
        outcome = self._attempt(integration, row, group, tally)
        if not outcome.delivered:
            self._settle(integration, row, outcome)

    def _put_back(
        self,
        tenant: str,
        integration_id: str,
        events: Sequence[CloudEvent],
        wait: int,
        *,
        seen: bool,
        replay: str | None,
    ) -> None:
        delay = min(-(-wait // 1000), _LONGEST_DELAY)
        message = outbox.again(tenant, integration_id, events, delay, seen=seen, replay=replay)
        queues.send(self._hub, self._hub.config.deliveries_url, [message])

    # --- a delivery that a message names --------------------------------------------------------------

    def _named(
        self,
        tenant: str,
        integration_id: str,
        identity: str,
        made: int,
        tally: Tally,
        *,
        again: bool,
    ) -> None:
        row = deliveries.find(self._table, tenant, identity)
        if row is None:
            return
        standing = self._standings.now(tenant, integration_id)
        if standing.integration is None:
            self._cancel(row)
            return
        if row.state != PENDING or len(row.attempts) != made or row.next_attempt_at is None:
            if again:
                self._follow(row)  # whoever wrote the row may have died before saying so
            return
        now = self._hub.now()
        if not standing.integration.enabled:
            self._store(replace(row, next_attempt_at=None))
        elif standing.paused_until > max(now, row.next_attempt_at):
            self._store(replace(row, next_attempt_at=standing.paused_until))
        elif row.next_attempt_at - now > _EARLY:
            outbox.schedule(self._hub, row)
        else:
            self._hands.sleep(max(0, row.next_attempt_at - now) / 1000)
            # Somebody may have deleted or disabled it meanwhile.
            integration = self._standings.now(tenant, integration_id).integration
            if integration is None:
                self._cancel(row)
                return
            if not integration.enabled:
                self._store(replace(row, next_attempt_at=None))
                return
            events = deliveries.events_of(self._table, row)
            outcome = self._attempt(integration, row, events, tally)
            self._settle(integration, row, outcome)

    # --- one attempt and what follows -------------------------------------------------------------------

    def _attempt(
        self,
        integration: Integration,
        row: Delivery,
        events: Sequence[CloudEvent],
        tally: Tally,
    ) -> Outcome:
        now = self._hub.now()
        try:
            request = _signed(integration, events, batch=row.batch, now=now)
        except Exception as error:  # noqa: BLE001 - a config that no longer renders is a failed attempt
            outcome = Outcome(None, 0, error=f"not rendered: {type(error).__name__}")
        else:
            outcome = self._hands.send(request)
        tally.attempted(row, events, outcome, self._hub.now())
        return outcome

    def _settle(self, integration: Integration, row: Delivery, outcome: Outcome) -> None:
        """Write what an attempt led to and do what follows from it."""
        now = self._hub.now()
        attempts = (*row.attempts, _logged(outcome, now))
        row = replace(row, attempts=attempts, next_attempt_at=None)
        if outcome.delivered:
            self._store(replace(row, state=DELIVERED))
            return
        if outcome.status == retries.GONE:
            self._standings.disable(row.tenant, integration.id, "the endpoint answered 410 Gone")
            self._store(replace(row, state=DEAD))
            return
        asked = retries.retry_after(outcome, now)
        if asked is not None:
            self._standings.pause(row.tenant, integration.id, now + round(asked * 1000))
        schedule = self._hub.config.retry_schedule
        delay = retries.delay(schedule, len(attempts), outcome, now, self._hands.random)
        if delay is None:
            self._store(replace(row, state=DEAD))
        else:
            self._store(replace(row, next_attempt_at=now + round(delay * 1000)))

    def _cancel(self, row: Delivery) -> None:
        """Give up a delivery whose integration is gone; it stays readable by its id."""
        if row.state == PENDING:
            self._store(replace(row, state=CANCELLED, next_attempt_at=None))

    def _store(self, row: Delivery) -> None:
        """Write a row and do what follows, unless somebody else wrote it meanwhile: then theirs counts."""
        try:
            self._follow(deliveries.save(self._table, row))
        except ConflictError:
            stored = deliveries.find(self._table, row.tenant, row.id)
            # A write whose answer was lost is tried again by the client, and conflicts with itself.
            if stored is not None and _same(stored, row):
                self._follow(stored)

    def _follow(self, row: Delivery) -> None:
        """Do what follows from a row.  Doing it twice does no harm."""
        if row.state == PENDING:
            outbox.schedule(self._hub, row)
        elif row.state == DEAD:
            dead_letters.bury(self._hub, row)


def _next_group(
    integration: Integration, events: Sequence[CloudEvent]
) -> tuple[Sequence[CloudEvent], bool]:
    """Return the events of the next request, and whether they go as a list."""
    if integration.batch is None:
        return events[:1], False
    return events[: int(integration.batch["max_records"])], True


def _signed(
    integration: Integration, events: Sequence[CloudEvent], *, batch: bool, now: int
) -> Request:
    destination = destinations.destination(integration.kind)
    request = destination.render(events, integration.config, batch)
    if not destination.signed:
        return request
    webhook_id = signing.identity(events, batch=batch)
    signature = signing.headers(webhook_id, request.body, integration.secrets, now)
    return replace(request, headers={**request.headers, **signature})


def _logged(outcome: Outcome, now: int) -> dict[str, Any]:
    return {
        "at": to_rfc3339(now - outcome.latency_ms),
        "status": outcome.status,
        "latency_ms": outcome.latency_ms,
        "response_excerpt": outcome.excerpt[:EXCERPT_LIMIT],
        "error": outcome.error,
    }


def _same(stored: Delivery, row: Delivery) -> bool:
    return (stored.state, stored.attempts, stored.next_attempt_at) == (
        row.state,
        row.attempts,
        row.next_attempt_at,
    )
