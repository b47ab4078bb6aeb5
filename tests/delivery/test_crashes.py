"""A handler may die between any two steps: nothing is lost, nothing gets a second id."""

from __future__ import annotations

import pytest

from chalicelib.model.requests import Request
from chalicelib.outbound.http import Outcome
from tests.support.fake_aws import FakeAws
from tests.support.world import OK, QUEUE, Nth, World, settle


@pytest.mark.parametrize("lose_answers", [False, True])
@pytest.mark.parametrize("step", range(1, 60))
def test_a_crash_at_any_step_loses_nothing(step: int, *, lose_answers: bool) -> None:
    faults = Nth(lose_answers=lose_answers)
    world = World(aws=FakeAws(faults))
    world.crash = lambda _: faults.before("HTTP")
    world.integrate()
    failing = {"event2": 1, "event3": 3, "event4": 99}
    tries: dict[str, int] = {}

    def answer(request: Request) -> Outcome:
        identity = request.headers["webhook-id"]
        tries[identity] = tries.get(identity, 0) + 1
        return Outcome(500, 1) if tries[identity] <= failing.get(identity, 0) else OK

    world.answer = answer
    world.enqueue(1, 2, 3, 4)
    faults.n = step

    settle(world, faults)

    assert {"event1", "event2", "event3", "event4"} == set(tries)
    for number in (1, 2, 3, 4):
        row = world.row(number)
        if number == 4:
            assert row is not None
            assert row.state == "dead"
            assert len(row.attempts) == 4
        elif row is not None:
            assert row.state == "delivered"
    assert not world.aws.sqs.queues[QUEUE]
    letters = [letter["delivery"] for letter in world.dead_letters()]
    dead = world.row(4)
    assert dead is not None
    assert set(letters) == {dead.id}
    # One attempt may go unrecorded: the one whose process died before it could write.
    assert tries["event4"] <= 5


@pytest.mark.parametrize("step", range(1, 25))
def test_a_crash_around_410_still_disables(step: int) -> None:
    faults = Nth()
    world = World(aws=FakeAws(faults))
    world.crash = lambda _: faults.before("HTTP")
    world.integrate()
    world.answer = lambda _: Outcome(410, 1)
    world.enqueue(1, 2)
    faults.n = step

    settle(world, faults)

    found = world.find()
    assert found is not None
    assert not found.enabled
    states = {row.state for number in (1, 2) if (row := world.row(number)) is not None}
    assert states <= {"dead", "pending"}
    assert all(world.row(number) is not None for number in (1, 2))
