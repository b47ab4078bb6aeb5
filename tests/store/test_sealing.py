"""Secrets at rest: nobody reads them from the table, and none can be moved to another row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.aws import Hub
from chalicelib.store import integrations, sealing
from chalicelib.store.integrations import Integration
from chalicelib.store.sealing import SealError
from chalicelib.store.table import Table, pack
from tests.support.embedded import Embedded
from tests.support.fake_aws import FakeAws, Faults
from tests.support.world import CONFIG

OWNER = ("integration", "ten", "int_a")
YEAR = 365 * 86_400_000
INTEGRATION = Integration(
    "int_a",
    "ten",
    "x",
    "webhook",
    1,
    config={"url": "https://a.example/TOKEN", "headers": {"X-Key": "MARK"}},
    secrets=(("whsec_U0VDUkVU", None), ("whsec_T0xE", 7)),
)


class Counted(Faults):
    """Counts calls by operation."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def before(self, operation: str) -> None:
        """Count a call."""
        self.calls.append(operation)

    def of_kms(self) -> list[str]:
        return [each for each in self.calls if each in {"Decrypt", "GenerateDataKey"}]


@pytest.fixture
def aws() -> FakeAws:
    return FakeAws(Counted())


def process(aws: FakeAws) -> Table:
    """Return the table as a process sees it that knows nothing yet."""
    return Table(Hub(CONFIG, aws.client, aws.clock))


def test_what_is_sealed_is_read_by_every_process_of_its_owner_alone(aws: FakeAws) -> None:
    sealed = sealing.seal(process(aws), OWNER, {"ä": [1, None]})

    assert sealing.unseal(process(aws), OWNER, sealed) == {"ä": [1, None]}
    for other in (
        ("integration", "ten", "int_b"),
        ("integration", "other", "int_a"),
        ("x", "ten", "int_a"),
    ):
        with pytest.raises(SealError, match="somebody else"):
            sealing.unseal(process(aws), other, sealed)


def test_every_damage_is_noticed(aws: FakeAws) -> None:
    table = process(aws)
    sealed = sealing.seal(table, OWNER, "secret")

    for place in range(len(sealed)):
        damaged = bytearray(sealed)
        damaged[place] ^= 1
        with pytest.raises(SealError):
            sealing.unseal(table, OWNER, bytes(damaged))
    with pytest.raises(SealError):
        sealing.unseal(table, OWNER, sealed[:20])


def test_the_same_secret_never_looks_the_same(aws: FakeAws) -> None:
    table = process(aws)

    assert len({sealing.seal(table, OWNER, "x") for _ in range(20)}) == 20


def test_a_process_asks_for_its_data_key_once(aws: FakeAws) -> None:
    first, second = process(aws), process(aws)
    sealed = [sealing.seal(first, OWNER, n) for n in range(3)]

    assert [sealing.unseal(second, OWNER, each) for each in sealed] == [0, 1, 2]
    sealing.seal(second, OWNER, 3)

    faults: Any = aws.faults
    assert faults.of_kms() == ["GenerateDataKey", "Decrypt", "Decrypt"]


def test_a_data_key_is_replaced_after_a_year_and_what_it_sealed_is_still_read(
    aws: FakeAws,
) -> None:
    table = process(aws)
    old = sealing.seal(table, OWNER, "old")
    aws.clock.forward(YEAR)
    new = sealing.seal(table, OWNER, "new")

    faults: Any = aws.faults
    assert faults.of_kms().count("GenerateDataKey") == 2
    assert old[:9] != new[:9]
    assert [sealing.unseal(process(aws), OWNER, each) for each in (old, new)] == ["old", "new"]


def test_two_processes_that_need_the_first_key_at_once_agree(aws: FakeAws) -> None:
    one, two = process(aws), process(aws)
    raced: list[bytes] = []

    class Race(Faults):
        def before(self, operation: str) -> None:
            if operation == "GenerateDataKey" and not raced:
                raced.append(b"")
                raced[0] = sealing.seal(two, OWNER, "two")

    aws.kms.faults = Race()
    sealed = sealing.seal(one, OWNER, "one")

    assert [sealing.unseal(process(aws), OWNER, each) for each in (sealed, raced[0])] == [
        "one",
        "two",
    ]


def test_an_integration_is_stored_without_a_readable_secret(aws: FakeAws) -> None:
    table = process(aws)

    integrations.save(table, INTEGRATION)

    text = repr(aws.dynamodb.items) + repr(aws.dynamodb.stream)
    assert not [each for each in ("TOKEN", "MARK", "U0VDUkVU", "T0xE") if each in text]
    assert integrations.find(process(aws), "ten", "int_a") == replace(INTEGRATION, version=1)


def test_who_only_matches_filters_needs_no_key(aws: FakeAws) -> None:
    integrations.save(process(aws), INTEGRATION)
    faults: Any = aws.faults
    faults.calls.clear()

    (found,) = integrations.integrations(process(aws), "ten")

    assert (found.config, found.secrets, faults.of_kms()) == ({}, (), [])


def test_an_integration_that_was_not_opened_cannot_be_written(aws: FakeAws) -> None:
    table = process(aws)
    integrations.save(table, INTEGRATION)
    (found,) = integrations.integrations(table, "ten")

    with pytest.raises(ValueError, match="opened"):
        integrations.save(table, found)


def test_an_integration_stored_before_anything_was_sealed_is_read_and_sealed_when_written(
    aws: FakeAws,
) -> None:
    table = process(aws)
    body = {
        "name": "x",
        "kind": "webhook",
        "created_at": 1,
        "config": INTEGRATION.config,
        "filter": {},
        "batch": None,
        "ordering": "none",
        "enabled": True,
        "disabled": None,
        "secrets": [list(each) for each in INTEGRATION.secrets],
    }
    table.replace(integrations.key("ten", "int_a"), {"d": pack(body)}, None)

    found = integrations.find(table, "ten", "int_a")
    assert found == replace(INTEGRATION, version=1)
    integrations.save(table, found)

    assert integrations.find(table, "ten", "int_a") == replace(INTEGRATION, version=2)
    assert "MARK" not in repr(aws.dynamodb.items)


def test_the_embedded_kms_opens_what_it_wrapped(embedded: Embedded) -> None:
    hub = embedded.hub()

    sealed = sealing.seal(Table(hub), OWNER, "secret")

    assert sealing.unseal(Table(hub), OWNER, sealed) == "secret"
