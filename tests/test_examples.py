"""Every example of every vendor: this payload becomes these records."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from chalicelib import vendors
from chalicelib.model.assembly import Assembly, assemble
from chalicelib.model.decode import decode, gunzip, is_gzip
from chalicelib.model.records import Event, MalformedPayloadError, Rejected
from chalicelib.model.times import from_rfc3339
from chalicelib.model.views import describe
from chalicelib.vendors import Item, Outcome, Payload

CONNECTION = "con_example"
RECEIVED_AT = "2026-01-31T12:00:00.000Z"


def examples() -> list[Any]:
    folders = Path(vendors.__file__).parent
    return [
        pytest.param(path.parent.parent.name, path, id=f"{path.parent.parent.name}-{path.stem}")
        for path in sorted(folders.glob("*/examples/*.json"))
    ]


def body_of(example: dict[str, Any]) -> bytes:
    if "body_base64" in example:
        return base64.b64decode(example["body_base64"])
    if "body" in example:
        return str(example["body"]).encode()
    return b"" if example.get("payload") is None else json.dumps(example["payload"]).encode()


def records_of(vendor: str, example: dict[str, Any]) -> Assembly:
    settings = example.get("settings", {})
    received_at = from_rfc3339(example.get("received_at", RECEIVED_AT))
    assert received_at is not None
    data = body_of(example)
    data = gunzip(data) if is_gzip(data) else data
    try:
        body = decode(data, any_depth=True) if data else None
    except MalformedPayloadError as error:
        outcomes = [Outcome(Item("payload", None), rejected=Rejected("$", error.reason))]
        return assemble(vendor, CONNECTION, received_at, outcomes, settings)
    payload = Payload(body, example.get("topic", ""), example.get("query", {}), settings)
    return assemble(vendor, CONNECTION, received_at, vendors.normalize(vendor, payload), settings)


def in_order(rows: list[dict[str, Any]]) -> str:
    # One text, so that a failure shows whole records that can be compared, or taken over, line by line.
    return "\n".join(sorted(json.dumps(row, ensure_ascii=False, sort_keys=True) for row in rows))


@pytest.mark.parametrize(("vendor", "path"), examples())
def test_the_payload_becomes_exactly_these_records(vendor: str, path: Path) -> None:
    example = json.loads(path.read_text())

    got = describe(records_of(vendor, example))

    assert in_order(got) == in_order(example["records"])


@pytest.mark.parametrize(("vendor", "path"), examples())
def test_an_example_says_what_it_shows_and_where_it_comes_from(vendor: str, path: Path) -> None:
    example = json.loads(path.read_text())

    assert example["description"]
    assert example["source"]
    found = {"invented"} if vendor == vendors.EXAMPLE else {"captured", "documented", "derived"}
    assert example["evidence"] in found


@pytest.mark.parametrize(("vendor", "path"), examples())
def test_an_example_is_of_a_modelled_kind_unless_it_shows_an_unlisted_one(
    vendor: str, path: Path
) -> None:
    example = json.loads(path.read_text())
    data = body_of(example)
    data = gunzip(data) if is_gzip(data) else data
    try:
        body = decode(data, any_depth=True) if data else None
    except MalformedPayloadError:
        return
    payload = Payload(
        body, example.get("topic", ""), example.get("query", {}), example.get("settings", {})
    )
    adapter = vendors.adapter(vendor)

    for outcome in vendors.normalize(vendor, payload):
        if outcome.rejected is None and not adapter.models(outcome.item.kind):
            assert "unlisted" in path.stem or outcome.item.kind in {"99123", "0"}
            assert {type(record) for record in outcome.records} == {Event}
