from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from chalicelib import outbox
from chalicelib.deliver.courier import _next_group
from chalicelib.deliver.standing import Standings
from chalicelib.deliver.tally import Tally
from chalicelib.model.cloudevents import CloudEvent
from chalicelib.model.cloudevents import test_event as an_integration_test
from chalicelib.model.requests import Request
from chalicelib.outbound.http import Outcome
from chalicelib.store import deliveries, integrations
from chalicelib.store.deliveries import Delivery
from tests.support.world import CONFIG, DEAD, OK, QUEUE, TENANT, World, event

FAILED = Outcome(500, 7, "sorry")
HOUR = 3_600_000


def answering(*outcomes: Outcome) -> Callable[[Request], Outcome]:
    """Give these answers in turn, the last one for ever."""
    left = list(outcomes)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def times(world: World) -> list[float]:
    first = world.sent[0].at
    return [(each.at - first) / 1000 for each in world.sent]


def states(world: World, name: str = "int_a") -> list[str]:
    page = deliveries.deliveries(
        world.table, TENANT, name, start=None, end=None, limit=100, after=None
    )
    return sorted(item["s"] for item in page.items)


def test_what_succeeds_at_once_is_only_counted(world: World) -> None:
    world.integrate()
    world.enqueue(*range(25))

    world.until_quiet()

    assert sorted(each.ids[0] for each in world.sent) == sorted(f"event{n}" for n in range(25))
    assert states(world) == []
    assert not world.aws.sqs.queues[QUEUE]


def test_a_failed_delivery_follows_the_schedule_and_keeps_its_log(world: World) -> None:
    world.integrate()
    world.answer = answering(FAILED, Outcome(None, 9, error="timeout"), OK)
    world.enqueue(1)

    world.until_quiet()

    row = world.row(1)
    assert row is not None
    assert times(world) == [0, 2, 6]
    assert len({each.request.body for each in world.sent}) == 1
    assert {each.request.headers["webhook-id"] for each in world.sent} == {"event1"}
    shown = row.as_json()
    assert (shown["state"], shown["next_attempt_at"]) == ("delivered", None)
    assert [a["status"] for a in shown["attempts"]] == [500, None, 200]
    assert [a["error"] for a in shown["attempts"]] == [None, "timeout", None]
    assert shown["attempts"][0]["response_excerpt"] == "sorry"
    assert shown["event_ids"] == ["event1"]
    assert shown["integration_id"] == "int_a"


def test_after_the_last_attempt_the_dead_letter_queue_learns_why(world: World) -> None:
    world.integrate()
    world.answer = answering(FAILED)
    world.enqueue(1)

    world.until_quiet()

    row = world.row(1)
    assert row is not None
    assert times(world) == [0, 2, 6, 14]
    assert (row.state, len(row.attempts)) == ("dead", 4)
    (letter,) = world.dead_letters()
    assert letter["delivery"] == row.id
    assert letter["reason"] == "given up after 4 attempts: status 500"


def test_a_schedule_over_days_waits_in_the_table_and_not_in_the_queue(world: World) -> None:
    world.config = replace(CONFIG, retry_schedule=(5, 60, 300, 1800, 7200, 18_000, 36_000, 86_400))
    world.restart()
    world.integrate()
    world.answer = answering(FAILED)
    world.enqueue(1)

    world.until_quiet()

    gaps = [b - a for a, b in zip(times(world), times(world)[1:], strict=False)]
    assert [round(gap) for gap in gaps] == [5, 60, 300, 1800, 7200, 18_000, 36_000, 86_400]


def test_a_message_that_got_lost_is_replaced_by_the_sweep(world: World) -> None:
    world.integrate()
    world.answer = answering(FAILED, OK)
    world.enqueue(1)
    world.work()
    world.aws.sqs.queues[QUEUE].clear()

    world.until_quiet()

    assert 2 <= times(world)[1] < 240
    assert states(world) == ["delivered"]


def test_the_sweep_hands_a_row_over_once(world: World) -> None:
    world.config = replace(CONFIG, retry_schedule=(1000,))
    world.restart()
    world.integrate()
    world.answer = answering(FAILED, OK)
    world.enqueue(1)
    world.work()
    world.aws.clock.forward(950_000)

    counts = [outbox_sweep(world) for _ in range(3)]

    assert counts == [1, 0, 0]
    assert len(world.aws.sqs.queues[QUEUE]) == 1


def outbox_sweep(world: World) -> int:
    from chalicelib.deliver import parked  # noqa: PLC0415

    return parked.sweep(world.hub)


@pytest.mark.parametrize("text", ["30", "date"])
def test_retry_after_holds_back_everything_for_that_integration(world: World, text: str) -> None:
    from email.utils import formatdate  # noqa: PLC0415

    world.integrate()
    world.integrate("int_b")
    asked = formatdate(world.aws.clock() / 1000 + 30, usegmt=True) if text == "date" else text
    world.answer = lambda request: (
        Outcome(429, 3, retry_after=asked)
        if "a.example" in request.url and len([s for s in world.sent if "a." in s.request.url]) == 1
        else OK
    )
    begin = world.aws.clock()
    world.enqueue(1, 2, 3)
    world.enqueue(4, name="int_b")

    world.until_quiet()

    held = {s.ids[0]: s.at - begin for s in world.sent[1:] if "a.example" in s.request.url}
    assert set(held) == {"event1", "event2", "event3"}
    assert all(at >= 30_000 for at in held.values())
    assert max(held.values()) <= 37_000
    assert next(s.at for s in world.sent if "b.example" in s.request.url) == begin


def test_a_pause_holds_back_what_failed_before_it(world: World) -> None:
    world.integrate()
    world.answer = answering(FAILED, Outcome(503, 3, retry_after="60"), OK)
    begin = world.aws.clock()
    world.enqueue(1)
    world.work()
    world.enqueue(2)

    world.until_quiet()

    assert [s.ids[0] for s in world.sent[:2]] == ["event1", "event2"]
    assert all(s.at - begin >= 60_000 for s in world.sent[2:])
    assert states(world) == ["delivered", "delivered"]


def test_410_disables_the_integration_and_says_so(world: World) -> None:
    world.integrate()
    world.answer = answering(Outcome(410, 3), OK)
    world.enqueue(1, 2)

    world.until_quiet()

    found = world.find()
    assert found is not None
    assert not found.enabled
    assert found.disabled is not None
    assert found.disabled["reason"] == "the endpoint answered 410 Gone"
    assert [s.ids for s in world.sent] == [["event1"]]
    assert states(world) == ["dead", "pending"]
    assert len(world.dead_letters()) == 1


def test_disabling_parks_what_is_pending_and_enabling_resumes_it(world: World) -> None:
    world.integrate()
    world.answer = answering(FAILED, OK)
    world.enqueue(1)
    world.work()
    world.change(enabled=False)
    world.enqueue(2)

    world.until_quiet()

    assert len(world.sent) == 1
    assert states(world) == ["pending", "pending"]
    row = world.row(2)
    assert row is not None
    assert row.as_json()["next_attempt_at"] is None

    world.change(enabled=True)
    outbox.resume(world.hub, TENANT, "int_a")
    world.until_quiet()

    # What nobody had attempted before leaves nothing.
    assert [each.ids[0] for each in world.sent] == ["event1", "event1", "event2"]
    assert states(world) == ["delivered"]


def test_after_a_deletion_nothing_is_sent_and_what_is_pending_is_cancelled(world: World) -> None:
    world.integrate()
    world.answer = answering(FAILED)
    world.enqueue(1)
    world.work()
    world.enqueue(2)
    integrations.remove(world.table, TENANT, "int_a")
    world.aws.clock.forward(500)

    world.until_quiet()

    assert len(world.sent) == 1
    row = world.row(1)
    assert row is not None
    assert (row.state, row.as_json()["next_attempt_at"], len(row.attempts)) == (
        "cancelled",
        None,
        1,
    )
    assert world.row(2) is None


def test_an_integration_is_read_at_most_twice_a_second(world: World) -> None:
    world.integrate()
    standings = Standings(world.table)
    before = standings.now(TENANT, "int_a")

    world.aws.clock.forward(499)
    assert standings.now(TENANT, "int_a") is before
    world.aws.clock.forward(1)
    assert standings.now(TENANT, "int_a") is not before


@pytest.mark.parametrize("received", [1, 2])
def test_a_message_that_comes_again_after_a_failure_attempts_nothing(
    world: World, received: int
) -> None:
    world.integrate()
    world.answer = answering(FAILED, OK)
    world.enqueue(1)
    (message,) = world.aws.sqs.visible(QUEUE)
    world.work()
    message.received, message.visible_at = received - 1, world.aws.clock()
    world.aws.sqs.queues[QUEUE][message.id] = message

    world.until_quiet()

    # A second message of its own is one more attempt; the same message, received again, is none.
    assert len(world.sent) == (3 if received == 1 else 2)
    assert states(world) == ["delivered"]


def test_an_outdated_message_means_nothing(world: World) -> None:
    world.integrate()
    world.answer = answering(FAILED, OK)
    world.enqueue(1)
    world.work()
    (message,) = world.aws.sqs.queues[QUEUE].values()
    body = message.body
    world.until_quiet()
    world.aws.sqs.send_message(QueueUrl=QUEUE, MessageBody=body)

    world.until_quiet()

    assert len(world.sent) == 2


def test_an_early_message_waits_for_its_moment(world: World) -> None:
    world.integrate()
    world.answer = answering(FAILED, OK)
    world.enqueue(1)
    world.work()
    (message,) = world.aws.sqs.queues[QUEUE].values()
    message.visible_at = world.aws.clock()

    world.until_quiet()

    assert times(world) == [0, 2]


@pytest.mark.parametrize("state", ["pending", "dead", "delivered"])
def test_a_retry_attempts_now_whatever_became_of_it(world: World, state: str) -> None:
    world.integrate()
    world.answer = answering(FAILED)
    world.enqueue(1)
    world.work()
    if state == "dead":
        world.until_quiet()
    world.answer = answering(OK)
    if state == "delivered":
        world.until_quiet()
    row = world.row(1)
    assert row is not None
    assert row.state == state
    made, at = len(world.sent), world.aws.clock()

    assert outbox.retry(world.hub, TENANT, row.id)
    world.until_quiet()

    assert (len(world.sent), world.sent[-1].at) == (made + 1, at)
    assert states(world) == ["delivered"]
    assert not outbox.retry(world.hub, "another", row.id)
    assert not outbox.retry(world.hub, TENANT, "dlv_a_x")
    assert not outbox.retry(world.hub, TENANT, "nonsense")


def test_a_batch_is_one_list_and_is_retried_whole(world: World) -> None:
    world.integrate(batch={"max_records": 3})
    world.answer = answering(FAILED, OK)
    world.enqueue(*range(7))
    world.work()
    world.change(batch=None)

    world.until_quiet()

    lists = [json.loads(s.request.body) for s in world.sent]
    assert [len(each) for each in lists] == [3, 3, 1, 3]
    assert lists[3] == lists[0]
    first, last = world.sent[0].request, world.sent[3].request
    assert first.headers["webhook-id"] == last.headers["webhook-id"]
    assert last.headers["Content-Type"] == "application/cloudevents-batch+json"
    assert len({s.request.headers["webhook-id"] for s in world.sent}) == 3
    assert states(world) == ["delivered"]


def test_a_batch_too_large_for_a_row_waits_in_the_bucket(world: World) -> None:
    import random  # noqa: PLC0415

    chance = random.Random(1)  # noqa: S311 - noise, not a secret
    noise = [
        "".join(chance.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=90_000)) for _ in "x" * 9
    ]
    integration = world.integrate(batch={"max_records": 100})
    world.answer = answering(FAILED, OK)
    events = [{**event(n), "data": {"text": text}} for n, text in enumerate(noise)]
    outbox.enqueue(world.hub, TENANT, integration, events)

    world.until_quiet()

    assert [s.ids for s in world.sent] == [[f"event{n}" for n in range(9)]] * 2
    assert world.sent[0].request.body == world.sent[1].request.body
    assert [name.split("/")[0] for name in world.aws.s3.names] == ["deliveries"]


def test_messages_stay_within_what_the_queue_takes(world: World) -> None:
    integration = world.integrate()
    large = [{**event(n), "data": {"text": "ü" * 15_000}} for n in range(12)]

    found = list(outbox.messages(world.hub, TENANT, integration, large))
    small = list(outbox.messages(world.hub, TENANT, integration, [event(n) for n in range(21)]))

    assert [len(json.loads(m.body)["events"]) for m in found] == [2] * 6
    assert [len(json.loads(m.body)["events"]) for m in small] == [10, 10, 1]
    assert {m.group for m in small} == {"int_a"}
    assert all(m.body.isascii() for m in found)


def test_a_message_that_takes_too_long_gives_the_rest_back(world: World) -> None:
    from chalicelib.deliver.courier import Courier, Hands  # noqa: PLC0415

    world.integrate()
    world.enqueue(*range(10))
    started = world.aws.clock()

    def slow(_: Request) -> Outcome:
        world.aws.clock.forward(6_000)
        return OK

    world.answer = slow
    hands = Hands(
        world._send, world.chance, world._sleep, lambda: (world.aws.clock() - started) / 1000
    )
    world.courier = Courier(world.hub, hands)
    world.work()

    assert len(world.sent) == 4
    world.until_quiet()
    assert sorted(s.ids[0] for s in world.sent) == sorted(f"event{n}" for n in range(10))


def test_one_bad_message_does_not_bring_its_siblings_back(world: World) -> None:
    world.integrate()
    world.enqueue(1)
    world.aws.sqs.send_message(QueueUrl=QUEUE, MessageBody="{")
    world.enqueue(2)

    world.work(threads=3)

    assert sorted(s.ids[0] for s in world.sent) == ["event1", "event2"]
    assert [m.body for m in world.aws.sqs.queues[QUEUE].values()] == ["{"]


@pytest.mark.parametrize(
    ("broken", "why"),
    [({"kind": "carrier-pigeon"}, "no kind carrier-pigeon"), ({"config": {}}, "KeyError")],
)
def test_what_cannot_be_rendered_is_a_failed_attempt(world: World, broken: Any, why: str) -> None:
    world.integrate()
    world.change(**broken)
    world.enqueue(1)

    world.until_quiet()

    row = world.row(1)
    assert row is not None
    assert row.state == "dead"
    assert row.attempts[0]["error"] == f"not rendered: {why}"


def test_deliveries_are_found_by_receipt(world: World) -> None:
    world.integrate()
    world.integrate("int_b")
    world.answer = answering(FAILED)
    world.enqueue(1, 2)
    world.enqueue(1, name="int_b")
    world.work()

    found = deliveries.of_receipt(world.table, TENANT, "rcp_1")

    assert sorted(row.integration_id for row in found) == ["int_a", "int_b"]
    assert deliveries.of_receipt(world.table, TENANT, "rcp_9") == []
    assert deliveries.of_receipt(world.table, "another", "rcp_1") == []


def test_an_operators_test_is_delivered_like_anything_else(world: World) -> None:
    integration = world.integrate()
    test = an_integration_test("int_a", world.aws.clock())

    outbox.enqueue(world.hub, TENANT, integration, [test])
    world.until_quiet()

    body = json.loads(world.sent[0].request.body)
    assert (body["source"], body["subject"]) == ("/integrations/int_a", "int_a")
    assert DEAD not in world.aws.sqs.queues


def test_a_shadow_is_attempted_once_and_nothing_is_sent_or_stored(world: World) -> None:
    world.integrate(shadow=True)
    world.enqueue(1)

    world.until_quiet()

    assert world.sent == []
    assert world.row(1) is None
    assert world.dead_letters() == []


class Sizes(Tally):
    """Remembers how many events each attempt had."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def attempted(
        self, row: Delivery, events: Sequence[CloudEvent], outcome: Outcome, now: int
    ) -> None:
        self.sizes.append(len(events))
        super().attempted(row, events, outcome, now)


def test_a_batch_holds_no_more_than_its_destination_takes(world: World) -> None:
    arn = "arn:aws:sqs:eu-central-1:123456789012:events"
    world.integrate(kind="sqs", config={"queue_arn": arn}, batch={"max_records": 25}, shadow=True)
    tally = Sizes()
    message = {
        "tenant": TENANT,
        "integration": "int_a",
        "seen": True,
        "events": [event(number) for number in range(25)],
    }

    world.courier.take(message, tally, again=False)

    assert tally.sizes == [10, 10, 5]


def test_a_kind_that_takes_no_batches_gets_one_event_at_a_time(world: World) -> None:
    integration = world.integrate(kind="slack", batch={"max_records": 25})

    group, batch = _next_group(integration, [event(1), event(2)])

    assert (len(group), batch) == (1, False)


def test_a_batch_is_no_larger_than_its_destination_takes(world: World) -> None:
    integration = world.integrate(kind="sns", batch={"max_records": 25})
    large = [{**event(number), "data": "x" * 100_000} for number in range(5)]

    assert len(_next_group(integration, large)[0]) == 2
    assert len(_next_group(integration, [{**event(1), "data": "x" * 300_000}])[0]) == 1
