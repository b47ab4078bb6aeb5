"""Batches: what comes within the time an integration gives goes as one delivery."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from chalicelib import outbox
from chalicelib.deliver.courier import Courier, Hands
from chalicelib.deliver.entry import deliver
from chalicelib.deliver.gathering import GatheredError, Gathering
from chalicelib.outbound.http import Outcome
from tests.support.world import CONFIG, OK, QUEUE, TENANT, World, event, record

WHERE = ("ten", "int_a")


class Lingering:
    """Waits until the batch is full or a test says that the time has passed."""

    def __init__(self) -> None:
        self.passed = threading.Event()
        self.asked: list[float] = []

    def __call__(self, full: threading.Event, seconds: float) -> None:
        self.asked.append(seconds)
        while not (full.wait(0.001) or self.passed.is_set()):
            pass


def batches(world: World) -> list[int]:
    return sorted(len(each.ids) for each in world.sent)


def lingering(world: World) -> Lingering:
    found = Lingering()
    hands = Hands(world._send, world.chance, world._sleep, lambda: 0.0, linger=found)
    world.courier = Courier(world.hub, hands)
    return found


def all_at_once(world: World) -> dict[str, Any]:
    messages = world.aws.sqs.visible(QUEUE)
    for message in messages:
        message.received += 1
    return deliver([record(m) for m in messages], world.courier, threads=50)


def test_what_comes_in_time_goes_together(world: World) -> None:
    world.integrate(batch={"max_records": 100, "max_wait_seconds": 2.5})
    found = lingering(world)
    for number in range(12):
        world.enqueue(number)
    found.passed.set()

    assert all_at_once(world) == {"batchItemFailures": []}

    assert sum(batches(world)) == 12
    assert found.asked[0] == 2.5


def test_a_full_batch_waits_no_longer(world: World) -> None:
    world.integrate(batch={"max_records": 4, "max_wait_seconds": 300})
    lingering(world)
    for number in range(12):
        world.enqueue(number)

    all_at_once(world)

    assert batches(world) == [4, 4, 4]


def test_no_batch_is_larger_than_a_request_may_be() -> None:
    lists: list[int] = []
    gathering = Gathering(lambda full, _: full.wait(0.05))
    with ThreadPoolExecutor(6) as pool:
        work = [
            pool.submit(
                gathering.together,
                WHERE,
                [event(n)],
                400_000,
                full_at=(100, 1_000_000),
                seconds=1,
                send=lambda found: lists.append(len(found)),
            )
            for n in range(6)
        ]
        for each in work:
            each.result()

    assert sum(lists) == 6
    assert max(lists) <= 2


def test_a_batch_that_cannot_be_dealt_with_fails_for_all_its_messages() -> None:
    both = threading.Barrier(2)

    def send(_: list[Any]) -> None:
        raise TimeoutError

    gathering = Gathering(lambda full, _: full.wait(10))

    def join(number: int) -> str:
        both.wait(10)
        try:
            gathering.together(WHERE, [event(number)], 1, full_at=(2, 99), seconds=1, send=send)
        except (TimeoutError, GatheredError) as error:
            return type(error).__name__
        return "well"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(join, (1, 2))) == ["GatheredError", "TimeoutError"]


def test_a_failed_batch_is_retried_whole_under_one_id(world: World) -> None:
    world.integrate(batch={"max_records": 3, "max_wait_seconds": 9})
    lingering(world)
    answers = [Outcome(500, 1), OK]
    world.answer = lambda _: answers.pop(0) if len(answers) > 1 else OK
    for number in range(3):
        world.enqueue(number)
    all_at_once(world)
    world.aws.sqs.queues[QUEUE] = {
        i: m for i, m in world.aws.sqs.queues[QUEUE].items() if "delivery" in json.loads(m.body)
    }

    world.until_quiet()

    first, second = world.sent
    assert first.request.body == second.request.body
    assert first.request.headers["webhook-id"] == second.request.headers["webhook-id"]


@pytest.mark.parametrize(("processes", "delay"), [(1, 0), (4, 2)])
def test_where_many_processes_deliver_batches_lie_in_the_queue(
    world: World, processes: int, delay: int
) -> None:
    world.config = replace(CONFIG, deliver_processes=processes)
    world.restart()
    integration = world.integrate(batch={"max_records": 3, "max_wait_seconds": 2.9})
    wanted = [event(number) for number in range(7)]

    found = list(outbox.messages(world.hub, TENANT, integration, wanted))

    assert [len(json.loads(m.body)["events"]) for m in found] == [3, 3, 1]
    assert [m.delay for m in found] == [0, 0, delay]
