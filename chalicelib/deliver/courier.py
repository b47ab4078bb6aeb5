"""The courier: takes one queue message at a time and knows what it means now.

No attempt was made: the message stays in the queue (an exception), or is put back.  An attempt failed:
that is a row, written before anything names it, and the row decides what follows.  Between any two
steps the process may die; the message then comes again, and doing the steps again does no harm.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain
from random import SystemRandom
from threading import Lock
from typing import TYPE_CHECKING, Any

from chalicelib import destinations, outbox
from chalicelib.deliver import breaker, dead_letters, recovery, retries
from chalicelib.deliver.gathering import Gathering, Linger
from chalicelib.deliver.in_order import InOrder
from chalicelib.deliver.messenger import Messenger
from chalicelib.deliver.retries import Random
from chalicelib.deliver.standing import Standings
from chalicelib.deliver.tally import Tally
from chalicelib.model.cloudevents import CloudEvent
from chalicelib.model.times import to_rfc3339
from chalicelib.outbound.http import EXCERPT_LIMIT, Outcome, Send, Sender
from chalicelib.outbox import History
from chalicelib.security import new_id
from chalicelib.store import deliveries, standings
from chalicelib.store.deliveries import CANCELLED, DEAD, DELIVERED, PENDING, Delivery
from chalicelib.store.integrations import Integration
from chalicelib.store.standings import Condition
from chalicelib.store.table import ConflictError, table_of

if TYPE_CHECKING:
    from chalicelib.aws import Hub

_BUDGET = 20.0
"""Seconds after which what a message still holds goes back to the queue: others have waited enough."""
_SHORT = 20_000
"""Milliseconds of a pause that messages wait out in the queue; longer ones they wait out in the table."""
_RETURNS = 2
"""Times that a message is put back for want of a place (1 and 2 s), before it waits in the table: it goes
there at once where attempts take a second or longer."""
_LONGEST_RETURN = 64
_GLANCE = 0.05
"""Seconds in which a batch's other messages join where they have lain in the queue before."""
_LEASE = 120_000
"""Milliseconds for which a lane is held: longer than one run through it takes."""
_CLOSING = 10_000
"""Milliseconds between two looks at an empty lane: the index that lists it may be behind."""
_EARLY = 1000
"""Milliseconds that a message may be early and wait here; SQS counts whole seconds."""


@dataclass(frozen=True, slots=True)
class Hands:
    """What a courier touches of the world, so that a test can hand it another."""

    send: Send
    random: Random
    sleep: Callable[[float], None] = time.sleep
    elapsed: Callable[[], float] = time.monotonic
    side_by_side: Callable[[Callable[[], None], int], None] = field(default=lambda work, _: work())
    """Does a piece of work so many times at once; a test does it once."""
    linger: Linger = field(default=lambda full, seconds: full.wait(seconds))
    slice: recovery.Size = recovery.SLICE


def real_hands(hub: Hub) -> Hands:
    """Return the network, chance and the clock."""
    return Hands(Sender(hub.config.private_targets), SystemRandom(), side_by_side=_side_by_side)


def _side_by_side(work: Callable[[], None], times: int) -> None:
    with ThreadPoolExecutor(times) as pool:
        for done in [pool.submit(work) for _ in range(times)]:
            done.result()


class Courier:
    """Delivers for one hub.  Its methods may run in several threads at a time."""

    def __init__(self, hub: Hub, hands: Hands) -> None:
        self._hub = hub
        self._table = table_of(hub)
        self._hands = hands
        self._standings = Standings(self._table)
        self._messenger = Messenger(hub, hands.send)
        self._gathering = Gathering(hands.linger)
        self._lines = InOrder(self._table, self._standings)

    def take(self, message: Mapping[str, Any], tally: Tally, *, again: bool) -> None:
        """Deal with one message.  ``again``: it was received before, so somebody may have died over it.

        Raises whatever AWS raises; the message then comes again.
        """
        where = (message["tenant"], message["integration"])
        history = History(
            again or message.get("seen", False), message.get("returned", 0), message.get("replay")
        )
        if "job" in message:
            recovery.take(self._hub, message, again=again, size=self._hands.slice)
        elif "device" in message:
            self._ordered(*where, message, tally, history)
        elif "lane" in message:
            self._drain(*where, message["lane"], tally, again=again)
        elif "delivery" in message:
            self._named(*where, message["delivery"], message["attempt"], tally, history)
        elif history != History() or not self._gathers(*where):
            self._carried(*where, message["events"], tally, history)
        else:
            self._gathered(*where, message["events"], tally)

    def _ordered(
        self,
        tenant: str,
        integration_id: str,
        message: Mapping[str, Any],
        tally: Tally,
        history: History,
    ) -> None:
        device, number = message["device"], message["number"]

        def rows(integration: Integration) -> Iterator[tuple[Delivery, Sequence[CloudEvent]]]:
            for part, (group, batch) in enumerate(_groups(integration, message["events"])):
                row = self._row(tenant, integration_id, group, batch=batch, history=history)
                if not row.version:
                    row = replace(row, place=deliveries.line_of(device, number, part))
                yield row, group

        def attempt(integration: Integration, row: Delivery, events: Sequence[CloudEvent]) -> bool:
            return self._first(integration, row, events, tally)

        self._lines.take((tenant, integration_id), device, rows, attempt)

    def _gathers(self, tenant: str, integration_id: str) -> bool:
        integration = self._standings.now(tenant, integration_id).integration
        return integration is not None and integration.batch is not None

    def _gathered(
        self, tenant: str, integration_id: str, events: list[CloudEvent], tally: Tally
    ) -> None:
        integration = self._standings.now(tenant, integration_id).integration
        assert integration is not None, "who calls has looked"  # noqa: S101
        assert integration.batch is not None, "who calls has looked"  # noqa: S101
        alone = self._hub.config.deliver_processes == 1
        self._gathering.together(
            (tenant, integration_id),
            events,
            sum(map(outbox.size_of, events)),
            full_at=(int(integration.batch["max_records"]), outbox.BATCH_LIMIT),
            seconds=integration.batch.get("max_wait_seconds", 1) if alone else _GLANCE,
            send=lambda found: self._carried(tenant, integration_id, found, tally, History()),
        )

    def set_aside(self, messages: Mapping[str, Mapping[str, Any]]) -> set[str]:
        """Store what has to wait in any case, in few writes; return the ids of those messages.

        ``messages`` were never received before: nothing of them can be stored already.
        """
        rows: dict[str, Delivery] = {}
        lanes: dict[str, Integration] = {}
        found: set[str] = set()
        for identity, message in messages.items():
            if "events" not in message or "device" in message or message.get("seen"):
                continue
            history = History(replay=message.get("replay"))
            standing = self._standings.now(message["tenant"], message["integration"])
            integration = standing.integration
            if integration is None:
                continue
            if integration.enabled and not self._must_wait(standing.condition):
                continue
            if integration.enabled:
                lanes[integration.id] = integration
            for group, batch in _groups(integration, message["events"]):
                where = (integration.tenant, integration.id)
                row = self._row(*where, group, batch=batch, history=history)
                rows[row.id] = row
            found.add(identity)
        for integration in lanes.values():
            self._open_lane(integration)
        deliveries.save_new(self._table, rows.values())
        return found

    # --- events that a message carries ---------------------------------------------------------------

    def _carried(
        self,
        tenant: str,
        integration_id: str,
        events: list[CloudEvent],
        tally: Tally,
        history: History,
    ) -> None:
        begun = self._hands.elapsed()
        while events:
            standing = self._standings.now(tenant, integration_id)
            integration = standing.integration
            if integration is None:
                return  # deleted: nobody is left to send to
            group, batch = _next_group(integration, events)
            row = self._row(tenant, integration_id, group, batch=batch, history=history)
            if row.version:
                self._follow(row)
            elif not integration.enabled:
                self._store(row)
            elif self._must_wait(standing.condition):
                self._park(integration, row)
            elif (
                wait := breaker.wait(standing.condition, self._hub.now())
            ) > 0 or self._hands.elapsed() - begun > _BUDGET:
                self._put_back(integration, events, -(-wait // 1000), history)
                return
            else:
                with self._standings.place(integration, standing.condition.limit) as wait:
                    if not wait:
                        self._first(integration, row, group, tally)
                if wait and (history.returned >= _RETURNS or self._standings.slow(integration)):
                    self._park(integration, row)
                elif wait:
                    once_more = replace(history, returned=history.returned + 1)
                    self._put_back(integration, events, 2**history.returned, once_more)
                    return
            events = events[len(group) :]

    def _must_wait(self, condition: Condition) -> bool:
        """Say whether events have to wait in the table: behind others, or for long."""
        if condition.waits or condition.open_until:
            return True
        return breaker.wait(condition, self._hub.now()) > _SHORT

    def _row(
        self,
        tenant: str,
        integration_id: str,
        group: Sequence[CloudEvent],
        *,
        batch: bool,
        history: History,
    ) -> Delivery:
        """Return the stored row where there may be one, else one that is not stored."""
        now, replay = self._hub.now(), history.replay
        row = deliveries.begun(tenant, integration_id, group, batch=batch, now=now, replay=replay)
        if history.seen:
            return deliveries.find(self._table, tenant, row.id) or row
        return row

    def _first(
        self, integration: Integration, row: Delivery, group: Sequence[CloudEvent], tally: Tally
    ) -> bool:
        outcome = self._attempt(integration, row, group, tally)
        if outcome.delivered:
            self._standings.succeeded(integration)
        else:
            self._settle(integration, row, outcome)
        return outcome.delivered

    def _put_back(
        self, integration: Integration, events: Sequence[CloudEvent], delay: int, history: History
    ) -> None:
        outbox.again(self._hub, integration.tenant, integration.id, events, delay, history)

    def _park(self, integration: Integration, row: Delivery) -> None:
        """Have a delivery wait in its integration's lane.  The lane is opened first: it may be empty."""
        self._open_lane(integration)
        self._store(row)

    def _open_lane(self, integration: Integration) -> None:
        where, token = (integration.tenant, integration.id), new_id("run")
        opened = standings.opened(token, self._hub.now())
        if self._standings.change(*where, opened).condition.lane == token:
            outbox.drain(self._hub, *where, token)

    # --- a delivery that a message names --------------------------------------------------------------

    def _named(
        self,
        tenant: str,
        integration_id: str,
        identity: str,
        made: int,
        tally: Tally,
        history: History,
    ) -> None:
        row = deliveries.find(self._table, tenant, identity)
        if row is None:
            return
        standing = self._standings.now(tenant, integration_id)
        if standing.integration is None:
            self._cancel(row)
            return
        if row.state != PENDING or len(row.attempts) != made or row.next_attempt_at is None:
            if history.seen:
                self._follow(row)  # whoever wrote the row may have died before saying so
            return
        now, paused_until = self._hub.now(), standing.condition.paused_until
        if not standing.integration.enabled:
            self._store(replace(row, next_attempt_at=None))
        elif paused_until > max(now, row.next_attempt_at):
            self._store(replace(row, next_attempt_at=paused_until))
        elif row.next_attempt_at - now > _EARLY:
            outbox.schedule(self._hub, row)
        else:
            self._hands.sleep(max(0, row.next_attempt_at - now) / 1000)
            self._again(row, tally, history)

    def _again(self, row: Delivery, tally: Tally, history: History) -> None:
        """Attempt a delivery whose time has come."""
        # Somebody may have deleted or disabled it meanwhile.
        standing = self._standings.now(row.tenant, row.integration_id)
        integration = standing.integration
        if integration is None:
            self._cancel(row)
            return
        if not integration.enabled:
            self._store(replace(row, next_attempt_at=None))
            return
        with self._standings.place(integration, standing.condition.limit) as wait:
            if not wait:
                events = deliveries.events_of(self._table, row)
                outcome = self._attempt(integration, row, events, tally)
                self._settle(integration, row, outcome)
        if wait:
            delay = min(2**history.returned, _LONGEST_RETURN)
            outbox.schedule_later(self._hub, row, delay, history.returned + 1)

    # --- what waits in a lane -----------------------------------------------------------------------------

    def _drain(
        self, tenant: str, integration_id: str, named: str, tally: Tally, *, again: bool
    ) -> None:
        """Take what waits for an integration, the oldest first, as long as it may be sent.

        Only one process drains a lane.  Whatever stops it, the message comes again or the sweep sends
        another; a delivery that was sent and not yet removed is sent twice under one id.
        """
        where, token = (tenant, integration_id), new_id("run")
        now = self._hub.now()
        claimed = standings.claimed(token, named, now, now + _LEASE, again=again)
        standing = self._standings.change(*where, claimed)
        integration, condition = standing.integration, standing.condition
        if condition.lane != token:
            return  # nothing waits, or somebody else drains
        if integration is None or not integration.enabled:
            self._standings.change(*where, standings.closed(token))  # enabling opens it again
            return
        if (wait := breaker.wait(condition, now)) > 0:
            until = now + wait
            self._standings.change(*where, standings.kept(token, until + _LEASE))
            outbox.drain(self._hub, *where, token, -(-wait // 1000))
            return
        rows = deliveries.waiting(self._table, tenant, integration_id)
        first = next(rows, None)
        if first is None and condition.closing:
            self._standings.change(*where, standings.closed(token))
            return
        if first is None:
            self._standings.change(*where, standings.looked_at_once_more(token))
            outbox.drain(self._hub, *where, token, _CLOSING // 1000)
            return
        if condition.closing:
            self._standings.change(*where, standings.opened(token, now))
        outbox.drain(self._hub, *where, token, self._run(integration, first, rows, tally))

    def _run(
        self, integration: Integration, first: Delivery, rest: Iterator[Delivery], tally: Tally
    ) -> int:
        """Send what waits, several at a time; return the seconds after which to go on."""
        where = (integration.tenant, integration.id)
        condition = self._standings.now(*where).condition
        if breaker.half_open(condition, self._hub.now()):
            now, cool_down = self._hub.now(), self._cool_down()
            self._standings.change(*where, lambda found: breaker.trying(found, now, cool_down))
            with self._standings.place(integration, None, alone=True) as wait:
                if not wait:
                    self._waiting(integration, first, tally)
            return -(-wait // 1000)
        begun, rows, lock = self._hands.elapsed(), chain((first,), rest), Lock()
        waits: list[int] = []

        def work() -> None:
            while self._hands.elapsed() - begun < _BUDGET:
                standing = self._standings.now(*where)
                found, condition = standing.integration, standing.condition
                if found is None or not found.enabled or breaker.wait(condition, self._hub.now()):
                    return
                with self._standings.place(found, condition.limit, alone=True) as wait:
                    waits.append(wait)
                    if wait:
                        return
                    with lock:
                        row = next(rows, None)
                    if row is None:
                        return
                    self._waiting(found, row, tally)

        most = self._standings.share(integration, condition.limit, alone=True)
        self._hands.side_by_side(work, most)
        return -(-min(waits, default=0) // 1000)

    def _waiting(self, integration: Integration, row: Delivery, tally: Tally) -> None:
        """Attempt a delivery that waited; one that nobody had attempted leaves nothing if it succeeds."""
        events = deliveries.events_of(self._table, row)
        outcome = self._attempt(integration, row, events, tally)
        if outcome.delivered and not row.attempts and row.place is None:
            deliveries.forget(self._table, row)
            self._standings.succeeded(integration)
        else:
            self._settle(integration, row, outcome)

    # --- one attempt and what follows -------------------------------------------------------------------

    def _attempt(
        self,
        integration: Integration,
        row: Delivery,
        events: Sequence[CloudEvent],
        tally: Tally,
    ) -> Outcome:
        outcome = self._messenger.attempt(integration, events, batch=row.batch)
        tally.attempted(row, events, outcome, self._hub.now())
        return outcome

    def _settle(self, integration: Integration, row: Delivery, outcome: Outcome) -> None:
        """Write what an attempt led to and do what follows from it."""
        now = self._hub.now()
        attempts = (*row.attempts, _logged(outcome, now))
        row = replace(row, attempts=attempts, next_attempt_at=None)
        if outcome.delivered:
            self._store(replace(row, state=DELIVERED))
            self._standings.succeeded(integration)
            return
        if outcome.status == retries.GONE:
            self._standings.disable(row.tenant, integration.id, "the endpoint answered 410 Gone")
            self._store(replace(row, state=DEAD))
            return
        schedule = self._hub.config.retry_schedule
        delay = retries.delay(schedule, len(attempts), outcome, now, self._hands.random)
        self._ill(integration, outcome, now, given_up=delay is None)
        if delay is None:
            self._store(replace(row, state=DEAD))
        else:
            self._store(replace(row, next_attempt_at=now + round(delay * 1000)))

    def _cancel(self, row: Delivery) -> None:
        """Give up a delivery whose integration is gone; it stays readable by its id."""
        if row.state == PENDING:
            self._store(replace(row, state=CANCELLED, next_attempt_at=None))

    def _ill(self, integration: Integration, outcome: Outcome, now: int, *, given_up: bool) -> None:
        """Remember that an attempt failed, and what the endpoint asks for."""
        asked = retries.retry_after(outcome, now)
        pause_until = now + round(asked * 1000) if asked is not None else None
        condition = self._standings.failed(
            integration.tenant,
            integration.id,
            lambda found, times: breaker.failed(
                found,
                now=now,
                cool_down_ms=self._cool_down(),
                times=times,
                reason=outcome.error or f"status {outcome.status}",
                status=outcome.status,
                pause_until=pause_until,
                given_up=given_up,
            ),
        )
        if breaker.worn_out(condition, now):
            self._standings.disable(integration.tenant, integration.id, "only failures for 5 days")

    def _cool_down(self) -> int:
        return round(self._hub.config.retry_schedule[0] * 1000)

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
        if row.state != PENDING and row.place is not None:
            self._lines.next(row)


def _next_group(
    integration: Integration, events: Sequence[CloudEvent]
) -> tuple[Sequence[CloudEvent], bool]:
    """Return the events of the next request, and whether they go as a list."""
    most = destinations.most(integration.kind)
    if integration.batch is None or most is None:
        return events[:1], False
    taken, size = 0, 0
    for event in events[: min(int(integration.batch["max_records"]), most.records)]:
        size += outbox.size_of(event) + 1
        if taken and size > most.size:
            break
        taken += 1
    return events[:taken], True


def _groups(
    integration: Integration, events: Sequence[CloudEvent]
) -> Iterator[tuple[Sequence[CloudEvent], bool]]:
    while events:
        group, batch = _next_group(integration, events)
        yield group, batch
        events = events[len(group) :]


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
