"""One bad endpoint and its neighbours: what waits, where, at whose cost, and that none of it is lost."""

from __future__ import annotations

import json
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from chalicelib import outbox
from chalicelib.deliver import parked
from chalicelib.deliver.entry import deliver
from chalicelib.model.requests import Request
from chalicelib.outbound.http import Outcome
from chalicelib.store import deliveries, integrations, standings
from chalicelib.store.integrations import Integration
from chalicelib.store.standings import Condition
from tests.support.fake_aws import FakeAws
from tests.support.simulation import Crash
from tests.support.world import CONFIG, OK, QUEUE, TENANT, Nth, World, event, record, settle

REFUSED = Outcome(None, 1, error="connection refused")
DAY = 86_400_000


def condition(world: World, name: str = "int_a") -> Condition:
    return standings.standing(world.table, TENANT, name).condition


def pending(world: World, name: str = "int_a") -> int:
    return sum(1 for _ in deliveries.waiting(world.table, TENANT, name))


def arrived(world: World, host: str = "a.example") -> Counter[str]:
    return Counter(i for s in world.sent if host in s.request.url for i in s.ids)


def by_clock(world: World, works: Any) -> None:
    """Let endpoint a answer by a function of the clock; every other is well."""
    world.answer = lambda request: (
        OK if "a.example" not in request.url or works(world.aws.clock()) else REFUSED
    )


def long_schedule(world: World) -> None:
    world.config = replace(CONFIG, retry_schedule=(5, 60, 300, 1800, 7200, 18_000, 36_000, 86_400))
    world.restart()


def test_an_endpoint_that_is_well_costs_no_write(world: World) -> None:
    world.integrate()
    world.enqueue(*range(40))
    before = len(world.aws.dynamodb.stream)

    world.until_quiet()

    assert sum(arrived(world).values()) == 40
    assert len(world.aws.dynamodb.stream) == before


def test_three_days_of_outage_lose_nothing_and_delay_nobody(world: World) -> None:
    # Tried every half hour: at the default's five seconds a thousand deliveries would all be tried.
    world.config = replace(
        CONFIG, retry_schedule=(1800, 7200, 18_000, 36_000, 86_400, 86_400, 86_400)
    )
    world.restart()
    for name in ("int_a", "int_b"):
        world.integrate(name)
    begin = world.aws.clock()
    by_clock(world, lambda now: now > begin + 3 * DAY)
    sent_at: dict[str, int] = {}
    number = 0
    # A thousand deliveries to each, in bursts over the three days.
    for hour in range(0, 72, 3):
        world.aws.clock.now = max(world.aws.clock(), begin + hour * 3_600_000)
        burst = list(range(number, number + 40))
        number += 40
        for name in ("int_a", "int_b"):
            world.enqueue(*burst, name=name)
        sent_at |= {event(n)["id"]: world.aws.clock() for n in burst}
        world.until(begin + (hour + 3) * 3_600_000)

    failed_attempts = sum(arrived(world).values())
    in_queue = len(world.aws.sqs.queues[QUEUE])
    assert condition(world).open_until
    assert pending(world) > 500

    world.until_quiet()

    got = arrived(world)
    late = [s.at - sent_at[s.ids[0]] for s in world.sent if "b.example" in s.request.url]
    assert set(got) == set(arrived(world, "b.example")) == set(sent_at)
    assert set(arrived(world, "b.example").values()) == {1}
    assert max(late) <= 1000
    assert world.dead_letters() == []
    assert pending(world) == 0
    assert condition(world).lane == ""
    # One delivery a cool-down tries, and what failed keeps to its schedule: nothing bounces.
    assert failed_attempts < 1000
    assert in_queue < 100


def test_what_waits_goes_in_its_order_when_the_endpoint_is_back(world: World) -> None:
    long_schedule(world)
    world.integrate()
    begin = world.aws.clock()
    by_clock(world, lambda now: now > begin + 3_600_000)
    for minute in range(10):
        world.enqueue(*range(minute * 10, minute * 10 + 10))
        world.until(begin + (minute + 1) * 60_000)

    world.until_quiet()

    first: dict[str, int] = {}
    for sent in world.sent:
        if sent.at > begin + 3_600_000:
            first.setdefault(sent.ids[0], len(first))
    waited = [i for i in first if int(i.removeprefix("event")) >= 50]
    minutes = [int(i.removeprefix("event")) // 10 for i in waited]
    assert minutes == sorted(minutes)
    assert len(waited) >= 30


def test_retries_keep_to_their_schedule_while_the_breaker_is_open(world: World) -> None:
    world.integrate()
    open_now = Condition(
        failures=99, failing_since=0, failing_at=1, open_until=world.aws.clock() + 3_600_000
    )
    standings.change(world.table, TENANT, "int_a", lambda _: open_now)
    row = deliveries.begun(TENANT, "int_a", [event(1)], batch=False, now=world.aws.clock())
    failed = {"at": "x", "status": 500, "latency_ms": 1, "response_excerpt": "", "error": None}
    due = world.aws.clock() + 2000
    stored = deliveries.save(world.table, replace(row, attempts=(failed,), next_attempt_at=due))
    outbox.schedule(world.hub, stored)

    world.until_quiet()

    assert [s.at for s in world.sent] == [due]
    assert condition(world).open_until == 0


def test_a_hanging_endpoint_takes_no_more_places_than_it_may(world: World) -> None:
    world.integrate("int_a", concurrency=3)
    world.integrate("int_b")
    hanging, most, under_way = threading.Event(), [0], [0]
    lock = threading.Lock()

    def answer(request: Request) -> Outcome:
        if "b.example" in request.url:
            return OK
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        hanging.wait(20)
        with lock:
            under_way[0] -= 1
        return OK

    world.answer = answer
    for number in range(20):
        world.enqueue(number)
        world.enqueue(number, name="int_b")
    messages = world.aws.sqs.visible(QUEUE)
    for message in messages:
        message.received += 1

    run = threading.Thread(
        target=lambda: deliver([record(m) for m in messages], world.courier, threads=40)
    )
    run.start()
    for _ in range(2000):
        if len(arrived(world, "b.example")) == 20 and under_way[0] == 3:
            break
        hanging.wait(0.01)
    healthy = len(arrived(world, "b.example"))
    hanging.set()
    run.join()

    assert healthy == 20
    assert most[0] == 3


def test_a_burst_waits_in_the_queue_and_then_in_the_table(world: World) -> None:
    integration = world.integrate("int_a", concurrency=1)
    for number in range(4):
        world.enqueue(number)
    with world.courier._standings.place(integration, None) as wait:
        assert wait == 0
        world.until(world.aws.clock() + 30_000)
        assert world.sent == []
        assert pending(world) == 4
        assert condition(world).waits

    world.until_quiet()

    assert arrived(world) == dict.fromkeys((f"event{n}" for n in range(4)), 1)
    assert not condition(world).lane


def test_behind_slow_attempts_nothing_comes_back_for_a_place(world: World) -> None:
    integration = world.integrate("int_a", concurrency=1)
    with world.courier._standings.place(integration, None) as wait:
        assert wait == 0
        world.aws.clock.forward(1000)
        for number in range(4):
            world.enqueue(number)
        begun = world.aws.clock()
        world.until(begun)
        assert world.aws.clock() == begun
        assert pending(world) == 4

    world.until_quiet()

    assert arrived(world) == dict.fromkeys((f"event{n}" for n in range(4)), 1)


def test_a_rate_is_kept(world: World) -> None:
    world.integrate(rate_limit={"requests": 5, "seconds": 10})
    begin = world.aws.clock()
    world.enqueue(*range(30))

    world.until_quiet()

    moments = [s.at - begin for s in world.sent]
    assert sorted(arrived(world)) == sorted(f"event{n}" for n in range(30))
    for at in moments:
        assert sum(at <= other < at + 10_000 for other in moments) <= 5
    assert max(moments) <= 75_000


def test_503_brings_it_down_to_one_and_success_back(world: World) -> None:
    world.integrate()
    left = [Outcome(503, 1), Outcome(503, 1)]
    world.answer = lambda _: left.pop() if left else OK
    world.enqueue(1)
    world.work()
    assert condition(world).limit == 1

    world.enqueue(*range(2, 20))
    world.until_quiet()

    assert condition(world).limit is None
    assert set(arrived(world)) == {f"event{n}" for n in range(1, 20)}


def test_five_days_of_only_failures_disable_it(world: World) -> None:
    long_schedule(world)
    world.integrate()
    by_clock(world, lambda _: False)
    begin = world.aws.clock()
    for day in range(7):
        world.enqueue(*range(day * 10, day * 10 + 10))
        world.until(begin + (day + 1) * DAY)

    found = world.find()
    assert found is not None
    assert not found.enabled
    assert found.disabled is not None
    assert found.disabled["reason"] == "only failures for 5 days"
    assert max(s.at for s in world.sent) <= begin + 6 * DAY

    by_clock(world, lambda _: True)
    world.change(enabled=True, disabled=None)
    outbox.resume(world.hub, TENANT, "int_a")
    world.until_quiet()

    assert set(arrived(world)) == {f"event{n}" for n in range(70)}
    assert condition(world).failures == 0


def test_a_lost_drain_is_replaced_by_the_sweep(world: World) -> None:
    long_schedule(world)
    world.integrate()
    begin = world.aws.clock()
    by_clock(world, lambda now: now > begin + 600_000)
    world.enqueue(*range(30))
    world.until(begin + 120_000)
    world.enqueue(*range(30, 60))
    world.until(begin + 300_000)
    assert pending(world)
    world.aws.sqs.queues[QUEUE].clear()

    world.until_quiet()

    assert set(arrived(world)) == {f"event{n}" for n in range(60)}


def test_what_is_held_back_is_told_by_its_age(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_LEVEL", "INFO")
    integration = world.integrate()
    assert parked.tell_ages(world.hub) == 0
    park(world, integration, 1, 2)
    world.aws.clock.forward(90_000)

    assert parked.tell_ages(world.hub) == 1

    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["integration"], told["undelivered"]) == ("int_a", [90_002.0])


def test_only_one_drains(world: World) -> None:
    integration = world.integrate()
    park(world, integration, *range(5))
    token = condition(world).lane
    outbox.drain(world.hub, TENANT, "int_a", "run_another")
    outbox.drain(world.hub, TENANT, "int_a", token)
    world.aws.sqs.queues[QUEUE] = dict(list(world.aws.sqs.queues[QUEUE].items())[-2:])

    world.until_quiet()

    assert arrived(world) == dict.fromkeys((f"event{n}" for n in range(5)), 1)


def test_a_message_that_comes_twice_begins_no_second_chain_of_drains(world: World) -> None:
    integration = world.integrate()
    park(world, integration, *range(20))
    world.answer = lambda _: Outcome(500, 1)
    until = world.aws.clock() + 1000
    standings.change(
        world.table, TENANT, "int_a", lambda found: replace(found, failures=100, open_until=until)
    )
    for _ in range(6):
        for message in world.aws.sqs.next(QUEUE):
            if token := json.loads(message.body).get("lane"):
                outbox.drain(world.hub, TENANT, "int_a", token)
        world.until(world.aws.clock() + 3000)

    drains = [m for m in world.aws.sqs.next(QUEUE) if "lane" in json.loads(m.body)]
    assert len(drains) == 1


def test_whoever_died_with_a_lane_goes_on_when_its_message_comes_again(world: World) -> None:
    integration = world.integrate()
    park(world, integration, *range(3))
    token = condition(world).lane
    now = world.aws.clock()
    taken = standings.claimed("run_dead", token, now, now + 120_000)
    standings.change(world.table, TENANT, "int_a", taken)
    (message,) = world.aws.sqs.queues[QUEUE].values()
    message.received = 1

    world.until(now + 5000)

    assert set(arrived(world)) == {"event0", "event1", "event2"}


def test_enabling_while_the_lane_closes_leaves_nothing_behind(world: World) -> None:
    integration = world.integrate()
    park(world, integration, 1)
    world.change(enabled=False)
    (message,) = world.aws.sqs.queues[QUEUE].values()
    token = json.loads(message.body)["lane"]
    world.change(enabled=True)
    outbox.resume(world.hub, TENANT, "int_a")
    # Whoever drained before and saw it disabled wants to close now.
    standings.change(world.table, TENANT, "int_a", standings.closed(token))

    world.until_quiet()

    assert arrived(world) == {"event1": 1}


def test_what_comes_as_the_lane_closes_is_found(world: World) -> None:
    integration = world.integrate()
    park(world, integration, 1)
    world.work()
    world.work()
    assert condition(world).closing
    park(world, integration, 2)

    world.until_quiet()

    assert arrived(world) == {"event1": 1, "event2": 1}
    assert not condition(world).lane


def test_the_lane_of_a_deleted_integration_is_closed(world: World) -> None:
    integration = world.integrate()
    park(world, integration, 1)
    integrations.remove(world.table, TENANT, "int_a")
    world.aws.clock.forward(500)

    world.until_quiet()

    assert world.sent == []
    assert not condition(world).lane


@pytest.mark.parametrize("lose_answers", [False, True])
@pytest.mark.parametrize("step", range(1, 70, 2))
def test_a_crash_anywhere_in_a_lane_loses_nothing(step: int, *, lose_answers: bool) -> None:
    faults = Nth(lose_answers=lose_answers)
    world = World(aws=FakeAws(faults))
    world.crash = lambda _: faults.before("HTTP")
    integration = world.integrate()
    faults.n = step
    faults.armed = True
    for number in range(6):
        with suppress(Crash, TimeoutError):
            park(world, integration, number)
    faults.armed = False
    parked = {i for row in deliveries.waiting(world.table, TENANT, "int_a") for i in row.event_ids}

    if not faults.died:
        settle(world, faults)
    world.until_quiet()

    assert faults.died
    assert set(arrived(world)) == parked
    assert max(arrived(world).values()) <= 2
    assert pending(world) == 0
    assert not condition(world).lane


def park(world: World, integration: Integration, *numbers: int) -> None:
    """Have events wait in the lane as if there had been no place for them."""
    for number in numbers:
        row = deliveries.begun(
            TENANT, integration.id, [event(number)], batch=False, now=world.aws.clock()
        )
        world.aws.clock.forward(1)
        world.courier._park(integration, row)
