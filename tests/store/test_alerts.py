"""Stored alerts are what folding all signals gives, whatever the order in which signals come."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.aws import Hub
from chalicelib.model.alerts import Alert, fold
from chalicelib.model.assembly import SignalRecord
from chalicelib.model.receipts import receipt_id
from chalicelib.store import alert_listings, alerts, keys
from chalicelib.store.alert_kinds import Sought
from chalicelib.store.changes import changes
from chalicelib.store.said import Provenance
from chalicelib.store.table import Table, unmarshal
from tests.support.fake_aws import FakeAws, Faults
from tests.support.simulation import CONFIG
from tests.support.strategies import CONDITION, DEVICE, START, signals

SOURCE = Provenance("con_a", receipt_id("con_a", START, "", b""), 1)


def fresh_table(faults: Faults | None = None) -> Table:
    aws = FakeAws(faults or Faults())
    return Table(Hub(CONFIG, aws.client, aws.clock))


def stored(table: Table) -> list[Alert]:
    pk = keys.device_pk("ten", DEVICE)
    return [alerts.alert_of(item) for item in table.walk(pk, keys.ALERT, f"{keys.ALERT}~")]


def active(table: Table) -> list[str]:
    sought = Sought(state="active")
    page = alert_listings.page(table, "ten", sought, start=None, end=None, limit=50, after=None)
    return [alerts.alert_of(item).id for item in page.items]


def hear(table: Table, signal: SignalRecord) -> None:
    alerts.signal(table, "ten", signal, SOURCE)
    alerts.refold(table, "ten", DEVICE, CONDITION, signal.at)


@given(st.lists(signals(), max_size=14))
def test_folding_signal_by_signal_gives_what_folding_all_of_them_gives(
    said: list[SignalRecord],
) -> None:
    table = fresh_table()

    for each in said:
        hear(table, each)

    expected = fold({each.digest: each for each in said}.values())
    assert stored(table) == expected
    assert active(table) == [alert.id for alert in expected if alert.state == "active"]


@given(st.lists(signals(), max_size=10), st.randoms(use_true_random=False))
def test_signals_stored_at_once_and_folded_in_any_order_give_the_same(
    said: list[SignalRecord], rng: random.Random
) -> None:
    table = fresh_table()
    for each in said:
        alerts.signal(table, "ten", each, SOURCE)

    moments = [each.at for each in said] * 2
    rng.shuffle(moments)
    for at in moments:
        alerts.refold(table, "ten", DEVICE, CONDITION, at)

    assert stored(table) == fold({each.digest: each for each in said}.values())


@given(st.lists(signals(), min_size=1, max_size=8))
def test_folding_again_writes_nothing(said: list[SignalRecord]) -> None:
    aws = FakeAws()
    table = Table(Hub(CONFIG, aws.client, aws.clock))
    for each in said:
        hear(table, each)
    before = len(aws.dynamodb.stream)

    for each in said:
        alerts.refold(table, "ten", DEVICE, CONDITION, each.at)

    assert len(aws.dynamodb.stream) == before


def raised(second: int) -> SignalRecord:
    return SignalRecord(
        DEVICE, CONDITION, "raise", START + second * 1000, f"r{second}", "hot", "major"
    )


def cleared(second: int) -> SignalRecord:
    return SignalRecord(DEVICE, CONDITION, "clear", START + second * 1000, f"c{second}")


def test_an_alert_is_found_by_its_former_id_after_an_earlier_raise_has_come() -> None:
    table = fresh_table()
    hear(table, raised(5))
    (first,) = stored(table)

    found = alerts.find(table, "ten", first.id)
    hear(table, raised(3))
    (second,) = stored(table)

    assert found is not None
    assert alerts.alert_of(found) == first
    former = alerts.find(table, "ten", first.id)
    assert former is not None
    assert alerts.alert_of(former) == second
    assert second.raised_at == START + 3000
    assert alerts.find(table, "other", second.id) is None


def test_who_was_told_of_an_alert_is_told_when_it_becomes_part_of_another() -> None:
    aws = FakeAws(Faults())
    table = Table(Hub(CONFIG, aws.client, aws.clock))
    hear(table, raised(5))
    (first,) = stored(table)
    hear(table, raised(3))
    hear(table, cleared(9))
    hear(table, cleared(9))

    told = [
        (event["type"], event["data"]["id"])
        for record in aws.dynamodb.stream
        if "NewImage" in (image := record["dynamodb"])
        for event in changes(
            unmarshal(image["OldImage"]) if image.get("OldImage") else None,
            unmarshal(image["NewImage"]),
            None,
        )
    ]

    (second,) = stored(table)
    assert told == [
        ("alert.raised", first.id),
        ("alert.raised", second.id),
        ("alert.cleared", first.id),
        ("alert.cleared", second.id),
    ]


def test_an_alert_tells_where_its_raise_came_from() -> None:
    table = fresh_table()
    alerts.signal(table, "ten", raised(1), SOURCE)
    alerts.signal(table, "ten", cleared(2), Provenance("con_b", SOURCE.receipt_id, 9))

    alerts.refold(table, "ten", DEVICE, CONDITION, START + 1000)

    (item,) = table.walk(keys.device_pk("ten", DEVICE), keys.ALERT, f"{keys.ALERT}~")
    assert alerts.as_json(item)["provenance"] == SOURCE.as_json()
    assert alerts.as_json(item)["state"] == "cleared"


def test_other_conditions_of_the_device_are_left_alone() -> None:
    table = fresh_table()
    hear(table, raised(1))

    alerts.signal(table, "ten", SignalRecord(DEVICE, "cold", "raise", START, "x"), SOURCE)
    alerts.refold(table, "ten", DEVICE, "cold", START)

    assert sorted(alert.key for alert in stored(table)) == ["cold", CONDITION]


class Meanwhile(Faults):
    """Somebody else folds the same condition between our reading and our writing, once."""

    def __init__(self) -> None:
        self.table: Table | None = None
        self.done = False

    def before(self, operation: str) -> None:
        if operation == "PutItem" and self.table is not None and not self.done:
            self.done = True
            hear(self.table, cleared(9))


def test_a_fold_that_is_overtaken_folds_again() -> None:
    faults = Meanwhile()
    table = fresh_table(faults)
    hear(table, raised(1))
    faults.table = table

    hear(table, SignalRecord(DEVICE, CONDITION, "acknowledge", START + 2000, "a", by="Ada"))

    (alert,) = stored(table)
    assert faults.done
    assert alert.acknowledged == (START + 2000, "Ada", None)
    assert alert.cleared == (START + 9000, None, None)
