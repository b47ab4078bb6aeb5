"""Order: a device's deliveries one at a time as they were committed, whatever fails."""

from __future__ import annotations

from collections import Counter

import pytest

from chalicelib import outbox, queues
from chalicelib.model.requests import Request
from chalicelib.outbound.http import Outcome
from chalicelib.store import deliveries, integrations, keys
from tests.support.fake_aws import FakeAws, Faults
from tests.support.world import OK, ORDERED, QUEUE, TENANT, Nth, World, event, settle

FAILED = Outcome(500, 3)


def commit(world: World, *numbers: int, device: str = "acme:d1") -> None:
    """Enqueue what was committed for a device, in its order."""
    integration = world.find()
    assert integration is not None
    outbox.enqueue(world.hub, TENANT, integration, [event(n, device) for n in numbers])


def order(world: World) -> list[str]:
    """Return what was delivered, each when it first was."""
    return list(dict.fromkeys(each.ids[0] for each in world.delivered))


def ids(*numbers: int) -> list[str]:
    return [f"event{n}" for n in numbers]


def line(world: World, device: str = "acme:d1") -> str | None:
    row = deliveries.first_in_line(world.table, TENANT, "int_a", device)
    return row.event_ids[0] if row else None


class Endpoint:
    """Refuses some events so many times."""

    def __init__(self, world: World, **refused: int) -> None:
        self.world = world
        self.left = Counter(refused)
        world.answer = self

    def __call__(self, request: Request) -> Outcome:
        identity = request.headers["webhook-id"]
        if self.left[identity] > 0:
            self.left[identity] -= 1
            return FAILED
        return OK


def test_what_is_well_goes_in_its_order_and_writes_nothing(world: World) -> None:
    world.integrate(ordering="device")
    commit(world, *range(5))
    commit(world, *range(5, 9))
    before = len(world.aws.dynamodb.stream)

    world.until_quiet()

    assert order(world) == ids(*range(9))
    assert len(world.aws.dynamodb.stream) == before


def test_a_failing_delivery_holds_back_its_device_alone(world: World) -> None:
    world.integrate(ordering="device")
    Endpoint(world, event1=2)
    commit(world, 0, 1, 2, 3)
    commit(world, 10, 11, device="acme:d2")
    begin = world.aws.clock()
    while world.work():
        pass
    assert set(order(world)) == set(ids(0, 10, 11))
    assert all(s.at == begin for s in world.sent)
    commit(world, 4, 5)

    world.until_quiet()

    assert [i for i in order(world) if len(i) == 6] == ids(0, 1, 2, 3, 4, 5)
    assert line(world) is None
    row = world.row(1)
    assert row is not None
    assert len(row.attempts) == 3


def test_what_is_given_up_lets_the_next_one_go(world: World) -> None:
    world.integrate(ordering="device")
    Endpoint(world, event0=99)
    commit(world, 0, 1, 2)

    world.until_quiet()

    assert order(world) == ids(1, 2)
    assert [letter["event_ids"] for letter in world.dead_letters()] == [ids(0)]
    assert line(world) is None


def test_a_device_is_sent_one_at_a_time_under_retries(world: World) -> None:
    world.integrate(ordering="device")
    Endpoint(world, event0=1, event1=1, event2=2)
    commit(world, 0, 1, 2, 3)

    world.until_quiet()

    assert order(world) == ids(0, 1, 2, 3)


def test_disabling_parks_the_lines_and_enabling_resumes_them(world: World) -> None:
    world.integrate(ordering="device")
    Endpoint(world, event0=1)
    commit(world, 0, 1)
    world.work()
    world.change(enabled=False)
    commit(world, 2)
    commit(world, 10, 11, device="acme:d2")
    world.until_quiet()
    assert order(world) == []

    world.change(enabled=True)
    outbox.resume(world.hub, TENANT, "int_a")
    world.until_quiet()

    assert [i for i in order(world) if len(i) == 6] == ids(0, 1, 2)
    assert [i for i in order(world) if len(i) == 7] == ids(10, 11)


def test_a_pause_holds_everything_and_keeps_the_order(world: World) -> None:
    world.integrate(ordering="device")
    answers = [Outcome(503, 1, retry_after="30")]
    world.answer = lambda _: answers.pop() if answers else OK
    begin = world.aws.clock()
    commit(world, 0, 1, 2)
    commit(world, 10, device="acme:d2")

    world.until_quiet()

    assert [i for i in order(world) if len(i) == 6] == ids(0, 1, 2)
    assert all(s.at >= begin + 30_000 for s in world.sent[1:])


def test_batches_are_of_one_device(world: World) -> None:
    world.integrate(ordering="device", batch={"max_records": 3})
    commit(world, 0, 1, 2, 3)
    commit(world, 10, 11, device="acme:d2")

    world.until_quiet()

    assert sorted(s.ids for s in world.sent) == sorted([ids(0, 1, 2), ids(3), ids(10, 11)])


def test_a_stream_batch_that_is_tried_again_in_parts_is_known(world: World) -> None:
    world.integrate(ordering="device")
    commit(world, 0, 1, 2)
    commit(world, 0, 1)
    commit(world, 2, 3)

    world.until_quiet()

    assert [s.ids[0] for s in world.sent] == ids(0, 1, 2, 3)


def test_a_refused_entry_is_not_overtaken(world: World) -> None:
    class Refusing(Faults):
        left = 2

        def refuses(self, _operation: str) -> bool:
            self.left -= 1
            return self.left in {0, 1}

    integration = world.integrate(ordering="device")
    world.aws.sqs.faults = Refusing()

    messages = outbox.in_order(TENANT, integration, [event(n) for n in range(4)])
    queues.send_in_order(world.hub, ORDERED, messages)

    world.until_quiet()
    assert [s.ids[0] for s in world.sent] == ids(0, 1, 2, 3)


def test_a_deleted_integration_gets_nothing_more(world: World) -> None:
    world.integrate(ordering="device")
    Endpoint(world, event0=1)
    commit(world, 0, 1)
    while world.work():
        pass
    commit(world, 2)
    integrations.remove(world.table, TENANT, "int_a")
    world.aws.clock.forward(500)

    world.until_quiet()

    assert len(world.sent) == 1


@pytest.mark.parametrize("lose_answers", [False, True])
@pytest.mark.parametrize("step", range(1, 60))
def test_a_crash_anywhere_keeps_the_order(step: int, *, lose_answers: bool) -> None:
    faults = Nth(lose_answers=lose_answers)
    world = World(aws=FakeAws(faults))
    world.crash = lambda _: faults.before("HTTP")
    world.integrate(ordering="device")
    Endpoint(world, event1=1, event3=1)
    commit(world, *range(5))
    commit(world, 10, 11, device="acme:d2")
    faults.n = step

    settle(world, faults)

    assert [i for i in order(world) if len(i) == 6] == ids(0, 1, 2, 3, 4)
    assert [i for i in order(world) if len(i) == 7] == ids(10, 11)
    assert max(Counter(s.ids[0] for s in world.sent).values()) <= 4
    assert line(world) is None
    left = world.aws.dynamodb.items.get(keys.integration_pk(TENANT, "int_a"), {})
    assert not any(sk.startswith(keys.LINE) for sk in left)
    assert not world.aws.sqs.queues[ORDERED]
    assert not world.aws.sqs.queues.get(QUEUE)
