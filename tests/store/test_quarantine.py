"""Quarantine: a bad item is kept once, found, listed, and forgotten when it went through."""

from __future__ import annotations

from chalicelib.model.receipts import receipt_id
from chalicelib.model.records import Rejected
from chalicelib.model.times import DAY, to_rfc3339
from chalicelib.store import quarantine
from chalicelib.store.table import Plain, Table
from tests.support.fake_aws import FakeAws
from tests.support.strategies import START


def receipt(n: int) -> str:
    return receipt_id("con_a", START + n, "", b"x")


def keep(table: Table, n: int, path: str = "$[0]") -> str:
    quarantine.keep(table, "ten", "con_a", receipt(n), Rejected(path, "no number"))
    return quarantine.identity_of(receipt(n), path)


def listed(table: Table, tenant: str = "ten") -> list[Plain]:
    page = quarantine.quarantined(
        table, tenant, start=None, end=None, limit=50, after=None, matches=lambda _: True
    )
    return [quarantine.as_json(item) for item in page.items]


def test_a_bad_item_is_shown_with_its_reason_path_and_arrival(table: Table) -> None:
    identity = keep(table, 0)

    assert quarantine.find(table, "ten", identity) == {
        "id": identity,
        "receipt_id": receipt(0),
        "connection_id": "con_a",
        "reason": "no number",
        "path": "$[0]",
        "at": to_rfc3339(START),
    }


def test_keeping_it_again_changes_nothing(aws: FakeAws, table: Table) -> None:
    keep(table, 0)
    before = len(aws.dynamodb.stream)

    keep(table, 0)

    assert len(aws.dynamodb.stream) == before
    assert len(listed(table)) == 1


def test_the_newest_is_listed_first_and_every_bad_item_has_its_row(table: Table) -> None:
    for n, path in ((0, "$[0]"), (0, "$[1]"), (1, "$[0]")):
        keep(table, n, path)

    rows = [(row["receipt_id"], row["path"]) for row in listed(table)]

    assert rows[0] == (receipt(1), "$[0]")
    assert sorted(rows[1:]) == [(receipt(0), "$[0]"), (receipt(0), "$[1]")]


def test_what_went_through_after_all_is_forgotten(table: Table) -> None:
    identity = keep(table, 0)
    other = keep(table, 0, "$[1]")

    quarantine.release(table, "ten", receipt(0), "$[0]")

    assert quarantine.find(table, "ten", identity) is None
    assert [row["id"] for row in listed(table)] == [other]


def test_another_tenant_sees_nothing_of_it(table: Table) -> None:
    identity = keep(table, 0)

    assert quarantine.find(table, "other", identity) is None
    assert listed(table, "other") == []


def test_it_expires_after_30_days(table: Table) -> None:
    keep(table, 0)

    (item,) = table.walk("T#ten#Q")

    assert item["expires_at"] == (START + 30 * DAY) // 1000
