"""Alerts by what they are: whole, newest first, and without reading others."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.aws import Hub
from chalicelib.model.alerts import Alert
from chalicelib.model.assembly import SignalRecord
from chalicelib.model.receipts import receipt_id
from chalicelib.model.times import DAY
from chalicelib.store import alerts
from chalicelib.store.alert_kinds import Kind, Sought
from chalicelib.store.alert_listings import page
from chalicelib.store.said import Provenance
from chalicelib.store.table import Key, Table
from tests.support.fake_aws import FakeAws, Faults
from tests.support.simulation import CONFIG
from tests.support.strategies import START

SOURCE = Provenance("con_a", receipt_id("con_a", START, "", b""), 1)
DEVICES = ("relayr:a", "relayr:b", "haltian:a")
SEVERITIES = ("info", "warning", "critical")


@dataclass
class Counts(Faults):
    """How often each operation was called."""

    calls: Counter[str] = field(default_factory=Counter)

    def before(self, operation: str) -> None:
        self.calls[operation] += 1


@dataclass
class Reading:
    """DynamoDB, of which only queries are made: how many items each of them read."""

    dynamodb: Any
    read: list[int] = field(default_factory=list)

    def query(self, **request: Any) -> Any:
        answer = self.dynamodb.query(**request)
        self.read.append(answer["Count"])
        return answer


class Alarms:
    """A table of alerts, and what an operator and the vendors do to them."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self.counts = Counts()
        self.aws = FakeAws(self.counts)
        self.table = Table(Hub(CONFIG, self.aws.client, self.aws.clock))
        self.rng = rng or random.Random(1)  # noqa: S311 - a sample, not a secret
        self.known: dict[str, Alert] = {}

    def say(self, device: str, key: str, action: str, at: int, severity: str | None = None) -> None:
        by = "Ada" if action == "acknowledge" else None
        signal = SignalRecord(
            device, key, action, at, f"{action}{at}", name=key, severity=severity, by=by
        )
        alerts.signal(self.table, "ten", signal, SOURCE)
        for alert in alerts.refold(self.table, "ten", device, key, at):
            self.known[alert.id] = alert

    def raised(self, device: str, key: str, at: int, severity: str = "warning") -> None:
        self.say(device, key, "raise", at, severity)

    def anything(self) -> None:
        """Raise an alert of any month, or do something to one that is known."""
        if not self.known or self.rng.random() < 0.5:
            at = START + self.rng.randrange(-400, 400) * DAY // 2 + self.rng.randrange(3)
            device = self.rng.choice(DEVICES)
            return self.raised(device, f"{len(self.known)}", at, self.rng.choice(SEVERITIES))
        alert = self.rng.choice(sorted(self.known.values(), key=lambda each: each.id))
        action = self.rng.choice(("clear", "acknowledge", "raise"))
        severity = self.rng.choice(SEVERITIES) if action == "raise" and not alert.cleared else None
        if action != "raise" or severity:
            self.say(alert.device_id, alert.key, action, alert.updated_at, severity)
        return None

    def expected(self, sought: Sought, start: int | None, end: int | None) -> list[str]:
        found = [
            alert
            for alert in self.known.values()
            if sought.matches(Kind.of(alert))
            and (not sought.devices or alert.device_id in sought.devices)
            and (start is None or alert.raised_at >= start)
            and (end is None or alert.raised_at < end)
        ]
        return [a.id for a in sorted(found, key=lambda a: (a.raised_at, a.id), reverse=True)]

    def pages(
        self, sought: Sought, limit: int, start: int | None = None, end: int | None = None
    ) -> Iterator[list[str]]:
        after = None
        while True:
            got = page(self.table, "ten", sought, start=start, end=end, limit=limit, after=after)
            assert len(got.items) <= limit
            yield [alerts.alert_of(item).id for item in got.items]
            after = got.after
            if after is None:
                return


some = st.sets(st.sampled_from(SEVERITIES), max_size=2).map(tuple)
whatever = st.builds(
    Sought,
    state=st.sampled_from((None, "active", "cleared")),
    acknowledged=st.sampled_from((None, True, False)),
    severities=some,
    vendors=st.sampled_from(((), ("relayr",), ("haltian", "relayr"))),
    devices=st.sampled_from(((), (), ("relayr:a",), ("haltian:a", "relayr:b"))),
)
ends = st.none() | st.integers(-400, 400).map(lambda half: START + half * DAY // 2)
chances = st.randoms(use_true_random=False)


@settings(max_examples=60)
@given(chances, st.integers(0, 25), whatever, ends, ends, st.integers(1, 7))
def test_pages_join_to_all_that_is_sought_newest_first(
    rng: random.Random, acts: int, sought: Sought, start: int | None, end: int | None, limit: int
) -> None:
    alarms = Alarms(rng)
    for _ in range(acts):
        alarms.anything()

    found = list(alarms.pages(sought, limit, start, end))

    assert [each for one in found for each in one] == alarms.expected(sought, start, end)


@settings(max_examples=60)
@given(chances, st.integers(5, 20), whatever, st.integers(1, 5))
def test_what_happens_between_pages_loses_and_repeats_nothing(
    rng: random.Random, acts: int, sought: Sought, limit: int
) -> None:
    alarms = Alarms(rng)
    for _ in range(acts):
        alarms.anything()
    always = set(alarms.expected(sought, None, None))
    found: list[str] = []

    for got in alarms.pages(sought, limit):
        found += got
        for _ in range(2):
            alarms.anything()
        always &= set(alarms.expected(sought, None, None))

    assert len(found) == len(set(found))
    assert always <= set(found)


@pytest.mark.parametrize("act", ["acknowledge", "clear"])
def test_an_alert_that_goes_on_while_a_page_is_read_is_neither_lost_nor_shown_twice(
    act: str,
) -> None:
    alarms = Alarms()
    alarms.raised("relayr:a", "first", START)
    alarms.raised("relayr:a", "second", START + 1)
    for action in ("acknowledge", "clear"):
        alarms.say("relayr:a", "second", action, START + 1)
    (first,) = alarms.expected(Sought(state="active"), None, None)

    class Meanwhile(Counts):
        """Somebody acts on the first alert when the first kind of the page was read."""

        done = False

        def after(self, operation: str) -> None:
            if operation == "Query" and not self.done and self.calls["Query"] == 2:
                self.done = True
                alarms.say("relayr:a", "first", act, START)

    alarms.aws.dynamodb.faults = watching = Meanwhile()
    (found,) = alarms.pages(Sought(vendors=("relayr",)), 10)

    assert watching.done
    assert sorted(found) == sorted(alarms.known)
    assert found.count(first) == 1


@pytest.mark.parametrize("cleared", [False, True])
@pytest.mark.parametrize(
    "sought",
    [
        Sought(severities=("critical",)),
        Sought(vendors=("haltian",)),
        Sought(acknowledged=True),
    ],
)
def test_a_rare_kind_is_one_page_of_few_calls_however_many_others_there_are(
    sought: Sought, *, cleared: bool
) -> None:
    alarms = Alarms()
    for number in range(150):
        alarms.raised("relayr:a", f"{number}", START + number, "info")
    alarms.raised("haltian:a", "rare", START - DAY, "critical")
    alarms.say("haltian:a", "rare", "acknowledge", START - DAY)
    if cleared:
        for alert in list(alarms.known.values()):
            alarms.say(alert.device_id, alert.key, "clear", alert.raised_at)
    alarms.counts.calls.clear()

    (found,) = alarms.pages(sought, 10)

    assert found == alarms.expected(sought, None, None)
    assert len(found) == 1
    # What kinds there are of active and of cleared ones, and the kinds through which this one passed.
    assert alarms.counts.calls["Query"] <= 5
    assert alarms.counts.calls.total() == alarms.counts.calls["Query"]


def test_a_page_of_several_kinds_reads_little_more_than_it_shows() -> None:
    alarms = Alarms()
    for number in range(120):
        severity = "warning" if number >= 60 else SEVERITIES[number % 3]
        alarms.raised("relayr:a", f"{number}", START + number, severity)
    pages = Reading(alarms.table.hub.dynamodb)
    alarms.table = Table(Hub(CONFIG, lambda _: pages, alarms.table.hub.now))

    first = next(alarms.pages(Sought(state="active"), 30))

    assert first == alarms.expected(Sought(state="active"), None, None)[:30]
    assert sum(pages.read) <= 3 + 32


def monthly(count: int) -> Alarms:
    """An alert of each month, all of them cleared."""
    alarms = Alarms()
    for month in range(count):
        alarms.raised("relayr:a", f"{month}", START - month * 31 * DAY)
        alarms.say("relayr:a", f"{month}", "clear", START - month * 31 * DAY)
    alarms.counts.calls.clear()
    return alarms


def test_months_before_the_last_row_of_a_page_are_not_read() -> None:
    alarms = monthly(12)

    first = next(alarms.pages(Sought(state="cleared"), 2))

    assert len(first) == 2
    assert alarms.counts.calls["Query"] <= 1 + 3


def test_many_months_of_nothing_end_a_page_with_a_cursor() -> None:
    alarms = monthly(120)
    for alert in sorted(alarms.known.values(), key=lambda each: -each.raised_at)[:-1]:
        where = alerts.find(alarms.table, "ten", alert.id)
        assert where is not None
        alarms.table.delete(Key(where["pk"], where["sk"]))  # as if it had expired
        del alarms.known[alert.id]

    alarms.raised("relayr:a", "old", START - 118 * 31 * DAY)  # and active: it comes in its place

    found = list(alarms.pages(Sought(vendors=("relayr",)), 10))

    assert found == [[], alarms.expected(Sought(), None, None)]
