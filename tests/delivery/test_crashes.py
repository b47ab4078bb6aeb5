"""A handler may die between any two steps: nothing is lost, nothing gets a second id."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from chalicelib.deliver.http import Outcome
from chalicelib.destinations import Request
from tests.support.fake_aws import FakeAws, Faults
from tests.support.simulation import Crash
from tests.support.world import OK, QUEUE, World


@dataclass
class Nth(Faults):
    """Dies at the n-th step, counting what comes before and after each call."""

    n: int = 0
    armed: bool = False
    died: bool = False
    lose_answers: bool = False

    def before(self, operation: str) -> None:
        self._step(operation, after=False)

    def after(self, operation: str) -> None:
        self._step(operation, after=True)

    def _step(self, operation: str, *, after: bool) -> None:
        if not self.armed:
            return
        self.n -= 1
        if self.n == 0:
            self.died, self.armed = True, False
            if self.lose_answers and after:
                raise TimeoutError(operation)
            raise Crash(operation)


def settle(world: World, faults: Nth) -> None:
    """Run until all is quiet; a dead process is replaced, its messages come again."""
    faults.armed = True
    while True:
        try:
            world.until_quiet(longest=86_400_000)
        except (Crash, TimeoutError):  # a sweep that fails is followed by the next
            world.restart()
            continue
        return


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
