"""Ids: the same thing has the same id in every process, whatever its key order."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from hypothesis import given

from chalicelib.model.assembly import Point, measurement_id
from chalicelib.model.decode import decode
from chalicelib.model.digests import digest
from chalicelib.model.receipts import receipt_id
from tests.support.strategies import json_values

ROOT = Path(__file__).parent.parent.parent
_PROGRAM = """
from chalicelib.model.assembly import Point, measurement_id
from chalicelib.model.digests import digest
from chalicelib.model.receipts import receipt_id
point = Point("temperature", 1, 2.5, "Cel", None, "good", {"class": "a", "cell": 3})
print(digest("a", {"b": [1, None], "c": "\u00fc"}))
print(measurement_id("relayr:d", point), receipt_id("con_a", 5, "t", b"x"))
"""


def shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(list(value))}
    return [shuffled(each) for each in value] if isinstance(value, list) else value


@given(json_values)
def test_the_order_of_keys_does_not_matter(value: Any) -> None:
    assert digest(value) == digest(shuffled(value))


@given(json_values)
def test_an_id_survives_json(value: Any) -> None:
    once = decode(json.dumps(value).encode())

    assert digest(decode(json.dumps(once, indent=1).encode())) == digest(once)


def test_a_number_has_one_id_however_it_is_written() -> None:
    ids = {digest(decode(text)) for text in (b"[1]", b"[1.0]", b"[1e0]", b"[10E-1]")}

    assert len(ids) == 1


def test_different_things_have_different_ids() -> None:
    things: list[Any] = [
        None,
        "",
        0,
        False,
        "0",
        [],
        {},
        [None],
        {"a": 1},
        {"a": "1"},
        1,
        True,
        1.5,
    ]

    assert len({digest(thing) for thing in things}) == len(things)
    assert digest("ab", "c") != digest("a", "bc")


def test_an_id_is_lower_case_base_32_of_the_length_asked_for() -> None:
    assert len(digest("x")) == 26
    assert len(digest("x", length=10)) == 16
    assert set(digest("x")) <= set("abcdefghijklmnopqrstuvwxyz234567")


def test_ids_are_the_same_in_every_process() -> None:
    point = Point("temperature", 1, 2.5, "Cel", None, "good", {"class": "a", "cell": 3})
    here = [
        digest("a", {"b": [1, None], "c": "\u00fc"}),
        measurement_id("relayr:d", point),
        receipt_id("con_a", 5, "t", b"x"),
    ]

    for seed in ("0", "1", "4242"):
        answer = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-c", _PROGRAM],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert answer.stdout.split() == here
