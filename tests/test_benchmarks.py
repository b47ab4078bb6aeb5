"""The benchmarks run and measure what they say; how fast anything is, no test asserts."""

from __future__ import annotations

import pytest

from benchmarks import adapters, imports, timing
from benchmarks.__main__ import main
from benchmarks.payloads import KINDS, Kind
from chalicelib import vendors


def test_every_vendor_is_measured_at_every_size() -> None:
    rows = adapters.measure(rounds=1, seconds=0, sizes=(1, 3))

    assert {row.vendor for row in rows} == set(vendors.names())
    assert {row.items for row in rows} == {1, 3}
    assert all(min(row.parsed, row.checked, row.records, row.stored) > 0 for row in rows)
    assert len(adapters.table(rows).splitlines()) == len(rows) + 3


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.vendor)
def test_the_yardstick_checks_what_is_sent(kind: Kind) -> None:
    body = kind.body(2)

    assert kind.body(2) == body
    kind.checks.validate_json(body)
    with pytest.raises(ValueError, match="validation error"):
        kind.checks.validate_json(b'{"nothing": "of it"}')


def test_the_best_round_counts() -> None:
    calls: list[str] = []
    found = timing.best_of(
        [lambda: calls.append("a"), lambda: calls.append("b")], rounds=3, seconds=0
    )

    assert len(found) == 2
    assert calls[2:] == ["a", "b"] * 3  # in turns, after one look at each


def test_imports_are_measured_in_fresh_interpreters() -> None:
    rows = imports.measure(rounds=1)

    assert [row.what for row in rows] == list(imports.CASES)
    assert rows[0].modules < min(row.modules for row in rows[1:])
    assert "boto3" in imports.table(rows)


def test_a_wrong_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nonsense"]) == 2

    assert "adapters, imports" in capsys.readouterr().err
