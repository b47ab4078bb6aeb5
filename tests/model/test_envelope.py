"""Envelopes and receipts: a payload keeps its bytes and its name on the way."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.model.envelope import arrived, from_json, with_body
from chalicelib.model.receipts import arrival_of, parse, receipt_id
from tests.support.strategies import START


@given(st.binary(max_size=2000), st.text(), st.dictionaries(st.text(), st.text(), max_size=3))
def test_an_envelope_survives_the_queue(body: bytes, topic: str, query: dict[str, str]) -> None:
    envelope = arrived("con_a", START, body, topic, query)

    assert from_json(envelope.to_json()) == envelope
    assert envelope.to_json().isascii()


@given(st.integers(0, 2**43), st.binary(max_size=50))
def test_a_receipt_tells_connection_and_arrival(at: int, body: bytes) -> None:
    receipt = parse(receipt_id("con_k3j2", at, "topic", body))

    assert receipt is not None
    assert (receipt.received_at, receipt.connection_id) == (at, "con_k3j2")


def test_a_receipt_names_one_payload() -> None:
    names = {
        receipt_id(connection, at, topic, body)
        for connection in ("con_a", "con_b")
        for at in (1, 2)
        for topic in ("", "t")
        for body in (b"", b"t")
    }

    assert len(names) == 16


def test_the_parameters_of_a_get_are_part_of_its_name() -> None:
    one = arrived("con_a", START, b"", "", {"deviceId": "1"})
    other = arrived("con_a", START, b"", "", {"deviceId": "2"})

    assert one.receipt_id != other.receipt_id


@pytest.mark.parametrize(
    "text", ["", "rcp_", "rcp_zz_a_b", "con_a", "rcp_00000000001_A_" + "0" * 20]
)
def test_a_text_that_is_no_receipt_arrived_at_no_time(text: str) -> None:
    assert parse(text) is None
    assert arrival_of(text) == 0


def test_what_the_iot_rule_sends_becomes_an_envelope() -> None:
    message = {
        "body": base64.b64encode(b'{"a":1}').decode(),
        "topic": "hub/con_a/devices/d1/measurements",
        "received_at": START,
    }

    envelope = from_json(json.dumps(message))

    assert envelope == arrived("con_a", START, b'{"a":1}', "devices/d1/measurements")


@pytest.mark.parametrize("topic", ["hub", "other/con_a/x"])
def test_a_message_of_another_topic_is_refused(topic: str) -> None:
    with pytest.raises(ValueError, match="not a topic of the hub"):
        from_json(json.dumps({"body": "", "topic": topic, "received_at": START}))


def test_a_pointing_envelope_carries_no_body_until_it_is_given_back() -> None:
    envelope = arrived("con_a", START, b"x" * 5000)

    pointing = from_json(envelope.pointing("large/1").to_json())

    assert (pointing.body, pointing.pointer) == (b"", "large/1")
    assert with_body(pointing, envelope.body) == envelope
