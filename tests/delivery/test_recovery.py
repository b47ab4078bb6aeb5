"""Failed deliveries go again: all since a moment, or out of the dead-letter queue; or they are cancelled."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from chalicelib import outbox, queues
from chalicelib.deliver import recovery
from chalicelib.deliver.recovery import Size
from chalicelib.model.assembly import Assembly, SignalRecord
from chalicelib.model.cloudevents import CloudEvent, about_device
from chalicelib.model.requests import Request
from chalicelib.outbound.http import Outcome
from chalicelib.store import alerts, deliveries, integrations, jobs, said, standings
from chalicelib.store.jobs import Job
from chalicelib.store.said import Provenance
from tests.support.fake_aws import FakeAws
from tests.support.world import (
    DEAD,
    OK,
    ORDERED,
    ORDERED_DEAD,
    QUEUE,
    TENANT,
    Nth,
    World,
    event,
    settle,
)

pytestmark = pytest.mark.usefixtures("quiet")
FAILED = Outcome(500, 1)


def asked(world: World, kind: str, name: str = "int_a", **request: Any) -> Job:
    """Begin a job a moment later than whatever failed before."""
    world.aws.clock.forward(1)
    job = Job(f"job_{world.aws.clock()}", TENANT, name, kind, world.aws.clock(), request)
    outbox.begin(world.hub, job)
    return job


def now(world: World, job: Job) -> Job:
    found = jobs.find(world.table, TENANT, job.owner, job.id)
    assert found is not None
    return found


def failing(world: World, *numbers: int, name: str = "int_a") -> None:
    """Let deliveries die."""
    world.answer = lambda _: FAILED
    world.enqueue(*numbers, name=name)
    world.until_quiet()
    world.answer = lambda _: OK
    world.sent.clear()


def states(world: World, *numbers: int, name: str = "int_a") -> list[str]:
    rows = [world.row(number, name=name) for number in numbers]
    return [row.state for row in rows if row is not None]


def sent(world: World) -> list[str]:
    return sorted(identity for each in world.sent for identity in each.ids)


def paused(world: World, until: int) -> None:
    """Have the endpoint ask for nothing new before a moment."""
    standings.change(world.table, TENANT, "int_a", lambda found: replace(found, paused_until=until))


def test_everything_that_failed_since_a_moment_goes_again(world: World) -> None:
    world.integrate()
    world.integrate("int_b")
    failing(world, 1, 2)
    since = world.aws.clock() + 1
    world.aws.clock.forward(1)
    failing(world, 3, 4)
    failing(world, 3, name="int_b")

    job = asked(world, "retry", since=since)
    world.until_quiet()

    assert sent(world) == ["event3", "event4"]
    assert states(world, 1, 2, 3, 4) == ["dead", "dead", "delivered", "delivered"]
    assert (now(world, job).state, now(world, job).count) == ("done", 2)
    assert states(world, 3, name="int_b") == ["dead"]


def test_what_waits_for_its_next_attempt_goes_at_once(world: World) -> None:
    world.integrate()
    world.answer = lambda _: Outcome(503, 1, retry_after="3600")
    world.enqueue(1)
    world.work()
    world.aws.clock.forward(1)
    world.answer = lambda _: OK
    row = world.row(1)
    assert row is not None
    assert row.next_attempt_at is not None
    # What the endpoint asked for is over.
    paused(world, 0)
    world.aws.clock.forward(1000)
    before = world.aws.clock()

    asked(world, "retry", since=0)
    world.work()
    world.work()

    assert states(world, 1) == ["delivered"]
    assert world.sent[-1].at <= before + 1000 < row.next_attempt_at


def test_a_delivery_that_fails_again_is_retried_once_a_job(world: World) -> None:
    world = World(slice=Size(rows=1))
    world.integrate()
    failing(world, 1, 2, 3)
    world.answer = lambda _: FAILED

    job = asked(world, "retry", since=0)
    world.until_quiet()

    assert sent(world) == ["event1", "event2", "event3"]
    assert [len(r.attempts) for n in (1, 2, 3) if (r := world.row(n))] == [5, 5, 5]
    assert states(world, 1, 2, 3) == ["dead"] * 3
    assert (now(world, job).count, now(world, job).looked_at) == (3, 3)


def test_what_was_delivered_is_not_sent_again(world: World) -> None:
    world.integrate()
    answers = iter([FAILED, OK])
    world.answer = lambda _: next(answers, OK)
    world.enqueue(1)
    world.until_quiet()
    world.sent.clear()

    for kind in ("retry", "redrive"):
        asked(world, kind, since=0)
        world.until_quiet()

    assert sent(world) == []


def letters(world: World) -> list[str]:
    return sorted(str(each["integration"]) for each in world.dead_letters())


def test_a_redrive_sends_what_is_dead_and_takes_its_letters(world: World) -> None:
    world.integrate()
    world.integrate("int_b")
    failing(world, 1, 2)
    failing(world, 1, 2, name="int_b")
    assert letters(world) == ["int_a", "int_a", "int_b", "int_b"]

    job = asked(world, "redrive")
    world.until_quiet()

    assert sent(world) == ["event1", "event2"]
    assert states(world, 1, 2) == ["delivered", "delivered"]
    assert states(world, 1, 2, name="int_b") == ["dead", "dead"]
    assert letters(world) == ["int_b", "int_b"]
    assert len(world.aws.sqs.visible(DEAD)) == 2
    assert now(world, job).state == "done"


def test_a_delivery_that_dies_again_keeps_its_new_letter(world: World) -> None:
    world.integrate()
    failing(world, 1)
    world.answer = lambda _: FAILED

    asked(world, "redrive")
    world.until_quiet()

    assert sent(world) == ["event1"]
    assert states(world, 1) == ["dead"]
    assert letters(world) == ["int_a"]


def test_events_that_only_a_letter_holds_are_delivered(world: World) -> None:
    """SQS puts a message aside over which deliver kept failing; no row tells of its events."""
    integration = world.integrate()
    messages = outbox.messages(world.hub, TENANT, integration, [event(7), event(8)])
    queues.send(world.hub, DEAD, messages)
    queues.send(world.hub, DEAD, [queues.Message("no JSON"), queues.Message("[1]")])

    job = asked(world, "redrive")
    world.until_quiet()

    assert sent(world) == ["event7", "event8"]
    assert now(world, job).count == 1
    left = sorted(m.body for m in world.aws.sqs.queues[DEAD].values())
    assert left == ["[1]", "no JSON"]


def test_letters_of_an_integration_that_asks_for_order_go_back_in_order(world: World) -> None:
    integration = world.integrate(ordering="device")
    other = world.integrate("int_b", ordering="device")
    for number in (1, 2):
        letters_of = outbox.in_order(TENANT, integration, [event(number)])
        queues.send_in_order(world.hub, ORDERED, letters_of)
    world.aws.sqs.queues[ORDERED_DEAD] = world.aws.sqs.queues.pop(ORDERED)  # as SQS moves them
    theirs = outbox.in_order(TENANT, other, [event(3)])
    queues.send_in_order(world.hub, ORDERED_DEAD, theirs)

    job = asked(world, "redrive")
    world.until_quiet()

    assert [identity for each in world.sent for identity in each.ids] == ["event1", "event2"]
    assert now(world, job).count == 2
    left = [json.loads(m.body) for m in world.aws.sqs.queues[ORDERED_DEAD].values()]
    assert [each["integration"] for each in left] == ["int_b"]


def alert_event(world: World, *, cleared: bool) -> CloudEvent:
    """Return the event of an alert's raise, which by now may have ended."""
    at = world.aws.clock() - 1000
    signals = [SignalRecord("acme:d1", "k", "raise", at, "r", "frost", "major")]
    if cleared:
        signals.append(SignalRecord("acme:d1", "k", "clear", at + 500, "c"))
    said.write(world.table, TENANT, Assembly(signals=signals), Provenance("con_a", "rcp_a", 1))
    (alert,) = alerts.refold(world.table, TENANT, "acme:d1", "k", at)
    data = alert.as_json() | {"state": "active", "cleared": None, "cleared_at": None}
    return about_device("alert.raised", "raised", "acme:d1", "con_a", at=at, data=data)


@pytest.mark.parametrize("kind", ["retry", "redrive"])
@pytest.mark.parametrize("cleared", [False, True])
def test_a_ticket_is_not_opened_again_behind_the_clear_of_its_alert(
    world: World, kind: str, *, cleared: bool
) -> None:
    config = {"routing_key": "r" * 32}
    integration = world.integrate(kind="pagerduty", config=config, ordering="device")
    raised = alert_event(world, cleared=cleared)
    world.answer = lambda _: FAILED
    outbox.enqueue(world.hub, TENANT, integration, [raised])
    world.until_quiet()
    world.answer = lambda _: OK
    world.sent.clear()
    (row,) = deliveries.in_order(
        world.table, TENANT, "int_a", world.aws.clock() + 1, limit=9, after=None
    ).items

    asked(world, kind, since=0)
    world.until_quiet()

    found = deliveries.find(world.table, TENANT, deliveries.delivery_of(row).id)
    assert found is not None
    assert found.state == ("cancelled" if cleared else "delivered")
    assert len(world.sent) == (0 if cleared else 1)


@pytest.mark.parametrize("lose_answers", [False, True])
@pytest.mark.parametrize("kind", ["retry", "redrive"])
def test_a_crash_at_any_call_leaves_nothing_dead(kind: str, *, lose_answers: bool) -> None:
    died, step = True, 0
    while died:
        step += 1
        faults = Nth(lose_answers=lose_answers)
        world = World(aws=FakeAws(faults), slice=Size(rows=2))
        world.integrate()
        failing(world, 1, 2, 3)
        job = asked(world, kind, since=0)
        faults.n = step

        settle(world, faults)

        died, faults.armed = faults.died, False
        assert states(world, 1, 2, 3) == ["delivered"] * 3, step
        assert set(sent(world)) == {"event1", "event2", "event3"}
        assert now(world, job).state == "done"
        if kind == "redrive":
            assert letters(world) == [], step
    assert step > 20


def test_after_a_deletion_what_waits_is_cancelled_and_readable(world: World) -> None:
    world.integrate()
    world.answer = lambda _: FAILED
    world.enqueue(1)
    world.work()
    world.change(enabled=False)
    world.enqueue(2)
    world.work()
    sent_before = len(world.sent)

    job = Job("job_x", TENANT, "int_a", "cancel", world.aws.clock())
    outbox.begin(world.hub, job, delay=2)
    integrations.remove(world.table, TENANT, "int_a")
    world.until_quiet()

    assert states(world, 1, 2) == ["cancelled", "cancelled"]
    assert len(world.sent) == sent_before
    assert now(world, job).state == "done"


def test_a_deletion_that_did_not_come_through_cancels_nothing(world: World) -> None:
    world.integrate()
    world.answer = lambda _: FAILED
    world.enqueue(1)
    world.work()

    asked(world, "cancel")
    world.work()

    assert states(world, 1) == ["pending"]


def replaying(world: World) -> Job:
    request: dict[str, Any] = {"from": 0, "to": 1, "filter": {}}
    return asked(world, "replay", **request)


def test_a_replay_waits_while_its_integration_is_disabled(world: World) -> None:
    world.integrate()
    job = replaying(world)
    world.change(enabled=False)
    for _ in range(5):
        world.work()
        world.aws.clock.forward(60_000)
        recovery.sweep(world.hub)
    assert now(world, job).state == "running"

    world.change(enabled=True)
    world.until_quiet()

    assert now(world, job).state == "done"


def test_a_replay_waits_as_long_as_the_endpoint_asked(world: World) -> None:
    world.integrate()
    until = world.aws.clock() + 1_800_000
    paused(world, until)
    job = replaying(world)

    world.until_quiet()

    done = now(world, job)
    assert done.state == "done"
    assert done.finished_at is not None
    assert done.finished_at >= until


def test_a_job_of_a_deleted_integration_ends(world: World) -> None:
    world.integrate()
    job = replaying(world)
    integrations.remove(world.table, TENANT, "int_a")

    world.until_quiet()

    assert now(world, job).state == "cancelled"


def test_a_lost_message_is_replaced_and_a_second_one_is_outdated(world: World) -> None:
    world.integrate()
    job = replaying(world)
    (message,) = world.aws.sqs.queues[QUEUE].values()
    world.aws.sqs.queues[QUEUE].clear()
    assert recovery.sweep(world.hub) == 0

    world.aws.clock.forward(jobs.GRACE + 1000)
    assert recovery.sweep(world.hub) == 1
    world.until_quiet()
    done = now(world, job)
    queues.send(world.hub, QUEUE, [queues.Message(message.body)])
    queues.send(world.hub, QUEUE, [queues.Message(_named(job, slice=7))])
    world.until_quiet()

    assert done.state == "done"
    assert now(world, job) == done


def _named(job: Job, **change: Any) -> str:
    body = {"tenant": job.tenant, "integration": job.owner, "job": job.id, "slice": 0}
    return json.dumps(body | change)


def test_a_replayed_batch_that_is_put_back_stays_a_replay(world: World) -> None:
    integration = world.integrate()
    world.answer = _asking_for_time
    outbox.enqueue(world.hub, TENANT, integration, [event(1), event(2)], "job_1")
    world.work()
    world.answer = lambda _: OK
    world.until_quiet()

    ids = [deliveries.identity_of("int_a", [f"event{n}"], "job_1") for n in (1, 2)]
    rows = deliveries.many(world.table, TENANT, ids)
    assert {row.state for row in rows.values()} == {"delivered"}
    assert states(world, 1, 2) == []


def _asking_for_time(_: Request) -> Outcome:
    return Outcome(429, 1, retry_after="5")
