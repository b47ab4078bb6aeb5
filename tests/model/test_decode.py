"""Untrusted bytes: every damage has one stated outcome."""

from __future__ import annotations

import json
import math
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.model.decode import (
    BODY_LIMIT,
    DEPTH,
    TooLargeError,
    compress,
    decode,
    gunzip,
    is_gzip,
    is_secret,
    leaves,
    redacted,
)
from chalicelib.model.records import MalformedPayloadError
from tests.support.strategies import json_values


@given(json_values)
def test_what_is_json_comes_out_as_it_went_in(value: Any) -> None:
    assert decode(json.dumps(value).encode()) == value
    assert decode(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary())
@example(b"\xff\xfe{\x00}\x00")
@example(b"[" * 10_000)
@example(b'"\\')
def test_any_bytes_are_either_a_value_or_malformed(data: bytes) -> None:
    try:
        text = json.dumps(decode(data))
    except MalformedPayloadError as error:
        text = error.reason

    assert text.encode()


def test_a_byte_order_mark_is_stripped() -> None:
    assert decode(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


def test_the_last_of_duplicate_keys_wins() -> None:
    assert decode(b'{"a": 1, "b": 2, "a": 3}') == {"a": 3, "b": 2}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Infinity", math.inf), ("-Infinity", -math.inf), ("1e400", math.inf), ("-1e400", -math.inf),
        ("9" * 5000, math.inf), ("-" + "9" * 5000, -math.inf),
    ],
)  # fmt: skip
def test_a_number_beyond_a_double_comes_out_infinite_and_its_siblings_whole(
    text: str, value: float
) -> None:
    assert decode(f'{{"bad": {text}, "good": 1}}'.encode()) == {"bad": value, "good": 1}


def test_not_a_number_comes_out_as_one_and_its_siblings_whole() -> None:
    value = decode(b"[NaN, 1]")

    assert math.isnan(value[0])
    assert value[1] == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.0", 1), ("-0.0", 0), ("-0", 0), ("1E2", 100), ("9007199254740992", 2**53),
        ("-9007199254740992.0", -(2**53)), ("12345678901234567890", 12345678901234567890.0),
        ("1e308", 1e308), ("5e-324", 5e-324), ("0.1", 0.1),
    ],
)  # fmt: skip
def test_numbers_are_doubles_and_whole_ones_integers(text: str, value: float) -> None:
    number = decode(text.encode())

    assert number == value
    assert type(number) is type(value)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (rb'"\ud800"', "\ufffd"),
        (rb'"\udc00x"', "\ufffdx"),
        (rb'"x\uD83D"', "x\ufffd"),
        (rb'"\ud83d\ude00"', "\U0001f600"),
        (rb'"\udc00\ud800"', "\ufffd\ufffd"),
        (rb'{"\ud800": ["\udfff", {"a\ud900": 1}]}', {"\ufffd": ["\ufffd", {"a\ufffd": 1}]}),
        (rb'"\\ud800"', "\\ud800"),
        (rb'"\ufeffx\ud800"', "\ufeffx\ufffd"),
    ],
)
def test_a_lone_surrogate_becomes_the_replacement_character_in_keys_too(
    data: bytes, value: Any
) -> None:
    assert decode(data) == value


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_nesting_ends_at_64(opening: str) -> None:
    def nested(depth: int) -> bytes:
        closing = "]" if opening == "[" else "}"
        return (opening * depth + "1" + closing * depth).encode()

    assert decode(nested(DEPTH)) is not None
    for depth in (DEPTH + 1, 100, 10_000, 200_000):
        with pytest.raises(MalformedPayloadError, match="nested deeper than 64"):
            decode(nested(depth))


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xef\xbb\xbf", b"{", b"[1,]", b"{'a': 1}", b"nul", b"01", b"1 2", b'{"a": 1}x', b"+1", b".5",
        b'"a\nb"', b"nan", b"\x00", b"<xml/>", b"a=1&b=2", b'{"a"}',
    ],
)  # fmt: skip
def test_illegal_json_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedPayloadError, match="illegal JSON"):
        decode(data)


@pytest.mark.parametrize(
    "data",
    [
        '{"a": "ü"}'.encode("latin-1"),
        '{"a": 1}'.encode("utf-16"),
        b'"\xed\xa0\x80"',
        b'"\xc0\xaf"',
        b"\x80",
    ],
)
def test_another_encoding_than_utf_8_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedPayloadError, match="not UTF-8"):
        decode(data)


@given(st.binary(max_size=500))
def test_compressed_bytes_come_back_and_depend_on_nothing_else(data: bytes) -> None:
    assert gunzip(compress(data)) == data
    assert compress(data) == compress(bytes(bytearray(data)))
    assert is_gzip(compress(data))


def test_members_of_one_gzip_stream_belong_together() -> None:
    assert gunzip(compress(b"one ") + compress(b"two") + b"\0\0\0") == b"one two"


def test_a_gzip_bomb_is_refused_without_being_held() -> None:
    bomb = compress(b"\0" * (64 * 1024 * 1024))
    tracemalloc.start()

    with pytest.raises(TooLargeError):
        gunzip(bomb)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(bomb) < 100_000
    assert peak < 4 * BODY_LIMIT


def test_the_limit_holds_over_all_members_and_its_last_byte_is_allowed() -> None:
    assert len(gunzip(compress(b"x" * BODY_LIMIT))) == BODY_LIMIT
    with pytest.raises(TooLargeError):
        gunzip(compress(b"x" * BODY_LIMIT) + compress(b"x"))
    with pytest.raises(TooLargeError):
        gunzip(compress(b"x" * (BODY_LIMIT + 1)))


@pytest.mark.parametrize(
    "data",
    [
        compress(b"hello" * 100)[:-1],
        compress(b"hello" * 100)[:20],
        compress(b"hello") + b"rubbish that is no member",
        b"\x1f\x8b",
        b"\x1f\x8b" + b"\xff" * 40,
        zlib.compress(b"hello"),
        compress(b"hello")[:-8] + b"\0" * 8,
        b"",
    ],
)
def test_damaged_gzip_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedPayloadError, match="damaged gzip"):
        gunzip(data)


@pytest.mark.parametrize(
    "key", ["password", "apiKey", "API_KEY", "client_secret", "mqttToken", "imsi", "IMEI"]
)
def test_secrets_and_identifiers_are_dropped_wherever_they_stand(key: str) -> None:
    body = {"keep": [{key: "x", "n": 1}], key: {"a": 1}}

    assert redacted(body) == {"keep": [{"n": 1}]}
    assert is_secret(f"a.{key}")


def test_identifiers_stay_where_the_connection_allows_them() -> None:
    body = {"imsi": "1", "imei": "2", "password": "3"}

    assert redacted(body, identifiers=True) == {"imsi": "1", "imei": "2"}
    assert not is_secret("modem.imsi", identifiers=True)
    assert not is_secret("imsized")


@given(json_values)
def test_what_is_redacted_can_be_written_as_strict_json(value: Any) -> None:
    whole = [value, math.nan, math.inf, -math.inf]

    text = json.dumps(redacted(whole), allow_nan=False)

    assert json.loads(text)[1:] == ["NaN", "Infinity", "-Infinity"]


def test_leaves_come_in_order_under_their_dotted_paths() -> None:
    found = leaves({"a": [1, {"b": None}], "c": {"d": "x"}, "e": {}, "f": []})

    assert found == [("a.0", 1), ("a.1.b", None), ("c.d", "x")]
