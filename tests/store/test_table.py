"""The five verbs: values keep their meaning, writers do not undo each other."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.store.table import (
    ConflictError,
    Key,
    Table,
    marshal,
    pack,
    position,
    unmarshal,
    unpack,
)
from tests.support.fake_aws import FakeAws
from tests.support.strategies import json_values

HERE = Key("p", "s")


@given(json_values)
def test_what_is_packed_comes_back_and_equal_values_give_equal_bytes(value: Any) -> None:
    packed = pack(value)

    assert unpack(packed) == value
    assert pack(json.loads(json.dumps(value))) == packed


def test_packing_compresses_where_that_saves_bytes() -> None:
    assert pack([1, 2]) == b"[1,2]"
    assert len(pack([1] * 1000)) < 100


def test_nothing_that_is_no_json_is_packed() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        pack(float("nan"))


@given(
    st.one_of(
        st.text(), st.binary(), st.booleans(), st.integers(-(2**60), 2**60), st.floats(-1e9, 1e9)
    )
)
def test_an_attribute_keeps_its_value_and_type(value: Any) -> None:
    plain = unmarshal({"a": marshal(value)})["a"]

    assert plain == value
    assert type(plain) is type(value)


def test_a_binary_attribute_of_a_stream_event_comes_as_base64_text() -> None:
    assert unmarshal({"d": {"B": base64.b64encode(b"\x00\xff").decode()}}) == {"d": b"\x00\xff"}


def test_remembering_twice_changes_nothing_and_keeps_the_first_provenance(
    aws: FakeAws, table: Table
) -> None:
    stood = [table.remember(HERE, {"d": b"1"}, {"p": "first"})]
    stood.append(table.remember(HERE, {"d": b"1"}, {"p": "second"}))
    once = len(aws.dynamodb.stream)
    stood.append(table.remember(HERE, {"d": b"2"}, {"p": "third"}))

    assert stood == [False, True, False]
    assert once == 1
    assert table.get(HERE) == {"pk": "p", "sk": "s", "d": b"2", "p": "first"}


def test_numbers_are_added_up_beside_what_is_the_latest(table: Table) -> None:
    table.add(HERE, {"a.b": 2}, {"at": 1})
    table.add(HERE, {"a.b": 3, "c": 1}, {"at": 2})

    assert table.get(HERE) == {"pk": "p", "sk": "s", "a.b": 5, "c": 1, "at": 2}


def test_what_was_not_read_is_not_overwritten(table: Table) -> None:
    table.replace(HERE, {"d": b"1"}, None)
    read = table.get(HERE)
    table.replace(HERE, {"d": b"2"}, read)

    with pytest.raises(ConflictError):
        table.replace(HERE, {"d": b"3"}, read)
    with pytest.raises(ConflictError):
        table.replace(HERE, {"d": b"4"}, None)
    assert (table.get(HERE) or {})["d"] == b"2"


def test_many_items_are_read_in_batches_and_missing_ones_left_out(table: Table) -> None:
    for n in range(130):
        table.put(Key("p", f"{n:03d}"), {"n": n})

    found = table.get_many(Key("p", f"{n:03d}") for n in range(120, 150))
    everything = table.get_many([Key("p", f"{n:03d}") for n in range(130)] * 2)

    assert sorted(item["n"] for item in found.values()) == list(range(120, 130))
    assert len(everything) == 130


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 7, 100])
def test_pages_join_to_the_whole_range(table: Table, limit: int, descending: bool) -> None:
    for n in range(10):
        table.put(Key("p", f"{n}"), {})
        table.put(Key("q", f"{n}"), {})

    walked = [item["sk"] for item in table.walk("p", "2", "7", limit=limit, descending=descending)]

    assert walked == sorted("234567", reverse=descending)


def test_a_range_with_its_ends_the_wrong_way_round_is_empty(table: Table) -> None:
    table.put(Key("p", "5"), {})

    assert table.query("p", "6", "4") == ([], None)


@pytest.mark.parametrize(
    ("low", "high", "found"), [("", "", "135"), ("3", "", "35"), ("", "3", "13")]
)
def test_an_open_end_of_a_range_is_open(table: Table, low: str, high: str, found: str) -> None:
    for sk in "135":
        table.put(Key("p", sk), {})

    assert "".join(item["sk"] for item in table.query("p", low, high)[0]) == found


def test_a_query_continues_after_any_item(table: Table) -> None:
    for n in range(4):
        table.put(Key("p", f"{n}"), {"g1pk": "g", "g1sk": f"{9 - n}"})
    items, _ = table.query("g", index="by_time")

    rest, _ = table.query("g", index="by_time", after=position(items[1], "by_time"))

    assert [item["g1sk"] for item in rest] == ["8", "9"]


def test_deleting_what_is_not_there_is_fine(aws: FakeAws, table: Table) -> None:
    table.delete(HERE)

    assert aws.dynamodb.stream == []
