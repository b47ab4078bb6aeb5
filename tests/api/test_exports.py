"""Exports over the API: ordered, refused, followed to a file, listed and deleted."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib import aws as hands
from chalicelib.export import entry, stalled
from chalicelib.model.times import from_rfc3339, to_rfc3339
from chalicelib.store import exports
from chalicelib.store.table import table_of

AT = 1_794_000_000_000
RANGE = {"from": "2026-11-01T00:00:00Z", "to": "2026-12-01T00:00:00Z"}
ORDER = {"devices": ["relayr:d1"], **RANGE, "format": "csv"}
DAY = 86_400_000


def work(tenant: Any) -> None:
    """Do what is queued, and what is queued by that."""
    while messages := tenant.aws.sqs.queues.pop("exports", {}):
        for message in messages.values():
            record = {
                "messageId": message.id,
                "body": message.body,
                "attributes": {"ApproximateReceiveCount": "1"},
            }
            assert entry.run({"Records": [record]}, tenant.hub) == {"batchItemFailures": []}


def done(tenant: Any, **wanted: Any) -> tuple[dict[str, Any], bytes]:
    """Order an export and have it made; return it and its file."""
    made = tenant.post("/v1/exports", {**ORDER, **wanted})
    work(tenant)
    export = tenant.get(f"/v1/exports/{made['id']}")
    assert export["state"] == "done"
    return export, tenant.aws.s3.objects[key_of(export)]


def key_of(export: dict[str, Any]) -> str:
    prefix, _, rest = export["url"].partition("?")[0].partition("/get_object/")
    assert prefix == "https://fake.example"
    return str(rest)


def shown(tenant: Any, device: str) -> list[dict[str, Any]]:
    """What the API shows of a device's measurements."""
    path = f"{tenant.device(device)}/measurements"
    rows: list[dict[str, Any]] = tenant.all(path, from_=RANGE["from"], to=RANGE["to"])
    return rows


def measure(tenant: Any, device: str, count: int = 5) -> None:
    for number in range(count):
        tenant.measured(device, AT + number * 60_000, number - 1.5)
        tenant.measured(device, AT + number * 60_000, number % 2 == 0, metric="occupied")


def test_an_export_is_followed_from_its_order_to_its_file(tenant: Any) -> None:
    measure(tenant, "d1")

    made = tenant.post("/v1/exports", ORDER)
    before = tenant.get(f"/v1/exports/{made['id']}")
    work(tenant)
    after = tenant.get(f"/v1/exports/{made['id']}")

    assert made == before
    assert (made["state"], made["progress"], made["url"], made["expires_at"]) == (
        "running",
        0,
        None,
        None,
    )
    assert (after["state"], after["progress"], after["rows"], after["reason"]) == (
        "done",
        1,
        10,
        None,
    )
    file = tenant.aws.s3.objects[key_of(after)]
    assert after["bytes"] == len(file)
    assert key_of(after) == f"exports/{tenant.id}/{made['id']}.csv"
    assert after["url"].endswith("?3600")
    assert from_rfc3339(after["expires_at"]) == tenant.clock.now + 3_600_000


def test_ndjson_holds_measurements_as_the_api_shows_them(tenant: Any) -> None:
    measure(tenant, "d1")
    measure(tenant, "d2", 2)

    _, file = done(tenant, devices=["relayr:d2", "relayr:d1"], format="ndjson")

    rows = [json.loads(line) for line in file.decode().splitlines()]
    assert rows == shown(tenant, "relayr:d2") + shown(tenant, "relayr:d1")
    assert file.endswith(b"\n")


def test_csv_holds_the_same_in_columns(tenant: Any) -> None:
    measure(tenant, "d1")

    _, file = done(tenant)

    rows = list(csv.DictReader(io.StringIO(file.decode(), newline="")))
    for row, wanted in zip(rows, shown(tenant, "relayr:d1"), strict=True):
        assert json.loads(row["value"]) == wanted["value"]
        assert json.loads(row["attributes"]) == wanted["attributes"]
        for name in ("id", "device_id", "metric", "observed_at", "quality"):
            assert row[name] == wanted[name]
        assert row["unit"] == (wanted["unit"] or "")
        assert row["receipt_id"] == wanted["provenance"]["receipt_id"]
    assert file.split(b"\r\n")[0] == (
        b"id,device_id,metric,value,unit,observed_at,window_start,window_end,quality,attributes,"
        b"connection_id,receipt_id,adapter_version"
    )


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_gzip_is_the_same_file_compressed(tenant: Any, form: str) -> None:
    measure(tenant, "d1")

    _, plain = done(tenant, format=form)
    export, small = done(tenant, format=form, compression="gzip")

    assert gzip.decompress(small) == plain
    assert key_of(export).endswith(f".{form}.gz")


def test_only_the_metrics_that_are_wanted(tenant: Any) -> None:
    measure(tenant, "d1")

    _, file = done(tenant, metrics=["temperature", "air_pressure"], format="ndjson")

    assert {json.loads(line)["metric"] for line in file.splitlines()} == {"temperature"}
    assert len(file.splitlines()) == 5


@pytest.mark.parametrize(("form", "lines"), [("csv", 1), ("ndjson", 0)])
def test_an_empty_range_is_a_file_without_rows(tenant: Any, form: str, lines: int) -> None:
    measure(tenant, "d1", 1)

    export, file = done(tenant, to=RANGE["from"], format=form)

    _, small = done(tenant, to=RANGE["from"], format=form, compression="gzip")
    assert export["rows"] == 0
    assert len(file.splitlines()) == lines
    assert small[:2] == b"\x1f\x8b"
    assert gzip.decompress(small) == file


def test_from_is_inclusive_and_to_exclusive(tenant: Any) -> None:
    for number in range(3):
        tenant.measured("d1", AT + number * 1000, number)
    first, last = to_rfc3339(AT), to_rfc3339(AT + 2000)

    _, file = done(tenant, **{"from": first, "to": last}, format="ndjson")

    assert [json.loads(line)["value"] for line in file.splitlines()] == [0, 1]


def test_texts_of_vendors_are_no_formulas_and_break_no_line(tenant: Any) -> None:
    settings = {"metric_map": {"Warmth": {"metric": "relayr.warmth", "unit": '=cmd|"x",\n1'}}}
    tenant.patch(f"/v1/connections/{tenant.connection()}", {"settings": settings})
    tenant.measured("d1", AT, -1, metric="Warmth")

    _, table = done(tenant)
    _, lines = done(tenant, format="ndjson")

    (row,) = csv.DictReader(io.StringIO(table.decode(), newline=""))
    assert row["unit"] == """'=cmd|"x",\n1"""
    assert row["value"] == "-1"
    assert json.loads(lines)["unit"] == '=cmd|"x",\n1'
    assert lines.count(b"\n") == 1


@pytest.mark.parametrize(
    ("change", "status", "pointers"),
    [
        ({"from": RANGE["to"], "to": RANGE["from"]}, 400, set()),
        ({"from": "2026-11-01"}, 422, {"/from"}),
        ({"to": 5}, 422, {"/to"}),
        ({"devices": []}, 422, {"/devices"}),
        ({"devices": "relayr:d1"}, 422, {"/devices"}),
        ({"devices": ["relayr:d1", "relayr:d1"]}, 422, {"/devices"}),
        ({"devices": ["relayr:d1", "relayr:none", ""]}, 422, {"/devices/2"}),
        ({"devices": ["relayr:none", "relayr:d1", "x"]}, 422, {"/devices/0", "/devices/2"}),
        ({"devices": ["ü" * 1000]}, 422, {"/devices/0"}),
        ({"devices": [f"relayr:{n}" for n in range(1001)]}, 422, {"/devices"}),
        ({"metrics": []}, 422, {"/metrics"}),
        ({"metrics": ["temperature", "warmth"]}, 422, {"/metrics/1"}),
        ({"format": "xml"}, 422, {"/format"}),
        ({"compression": "zip"}, 422, {"/compression"}),
        ({"columns": []}, 422, {"/columns"}),
    ],
)
def test_a_wrong_order_is_refused(
    tenant: Any, change: dict[str, Any], status: int, pointers: set[str]
) -> None:
    tenant.measured("d1", AT, 1)

    problem = tenant.refused("POST", "/v1/exports", {**ORDER, **change})

    assert problem["status"] == status
    assert {each["pointer"] for each in problem.get("errors", ())} == pointers
    assert tenant.all("/v1/exports") == []
    assert tenant.queued("exports") == []


@pytest.mark.parametrize("member", ["devices", "from", "to", "format"])
def test_what_must_be_said_must_be_said(tenant: Any, member: str) -> None:
    body = {name: value for name, value in ORDER.items() if name != member}

    (problem,) = tenant.refused("POST", "/v1/exports", body)["errors"]

    assert problem["pointer"] == f"/{member}"


def test_metrics_and_compression_may_be_null(tenant: Any) -> None:
    measure(tenant, "d1", 1)

    assert done(tenant, metrics=None, compression=None)[0]["rows"] == 2


def test_exports_are_listed_newest_first_without_links(tenant: Any) -> None:
    tenant.measured("d1", AT, 1)
    made = []
    for _ in range(3):
        made.append(done(tenant)[0]["id"])
        tenant.clock.forward(1)

    rows = tenant.all("/v1/exports", limit=2)

    assert [row["id"] for row in rows] == made[::-1]
    assert {(row["state"], row["url"], row["expires_at"]) for row in rows} == {("done", None, None)}


def test_a_link_never_outlives_the_file(tenant: Any) -> None:
    tenant.measured("d1", AT, 1)
    export, _ = done(tenant)
    path = f"/v1/exports/{export['id']}"

    tenant.clock.forward(7 * DAY - 60_000)
    late = tenant.get(path)
    tenant.clock.forward(60_000)
    too_late = tenant.get(path)

    assert late["url"].endswith("?60")
    assert (too_late["state"], too_late["url"], too_late["expires_at"]) == ("expired", None, None)
    assert tenant.all("/v1/exports")[0]["state"] == "expired"


def test_a_deleted_export_is_gone_with_its_file(tenant: Any) -> None:
    tenant.measured("d1", AT, 1)
    export, _ = done(tenant)
    path = f"/v1/exports/{export['id']}"

    tenant.delete(path)

    assert tenant.refused("GET", path)["status"] == 404
    assert tenant.refused("DELETE", path)["status"] == 404
    assert tenant.all("/v1/exports") == []
    work(tenant)
    assert not [name for name in tenant.aws.s3.objects if name.startswith("exports/")]
    assert exports.find(table_of(tenant.hub), tenant.id, export["id"]) is None


def test_an_export_that_is_deleted_while_it_runs_ends(tenant: Any) -> None:
    tenant.measured("d1", AT, 1)
    export = tenant.post("/v1/exports", ORDER)

    tenant.delete(f"/v1/exports/{export['id']}")
    work(tenant)

    assert not [name for name in tenant.aws.s3.objects if name.startswith("exports/")]


def test_what_is_deleted_is_cleared_away_though_the_message_was_lost(tenant: Any) -> None:
    tenant.measured("d1", AT, 1)
    export, _ = done(tenant)

    tenant.delete(f"/v1/exports/{export['id']}")
    assert tenant.queued("exports")
    tenant.clock.forward(DAY)
    assert stalled.sweep(tenant.hub) == 1
    work(tenant)

    assert not [name for name in tenant.aws.s3.objects if name.startswith("exports/")]
    assert stalled.sweep(tenant.hub) == 0


def test_only_admins_may(tenant: Any) -> None:
    tenant.measured("d1", AT, 1)
    export, _ = done(tenant)
    other = tenant.key_of("read", "write")

    for method, path in (
        ("POST", "/v1/exports"),
        ("GET", "/v1/exports"),
        ("GET", f"/v1/exports/{export['id']}"),
        ("DELETE", f"/v1/exports/{export['id']}"),
    ):
        assert other.refused(method, path, ORDER if method == "POST" else None)["status"] == 403


def test_tenants_are_apart(tenant: Any, new_tenant: Callable[[], Any]) -> None:
    tenant.measured("d1", AT, 1)
    export, _ = done(tenant)
    other = new_tenant()
    path = f"/v1/exports/{export['id']}"

    assert other.refused("GET", path)["status"] == 404
    assert other.refused("DELETE", path)["status"] == 404
    assert other.all("/v1/exports") == []
    assert other.refused("POST", "/v1/exports", ORDER)["status"] == 422
    other.measured("d1", AT, 2)
    _, file = done(other, format="ndjson")
    assert [json.loads(line)["value"] for line in file.splitlines()] == [2]
    assert tenant.get(path)["state"] == "done"


def test_a_link_is_signed_for_one_object_in_its_region(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    s3 = hands.client(
        "s3", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="y"
    )

    url = s3.generate_presigned_url(
        "get_object", Params={"Bucket": "hub-bucket", "Key": "exports/t/exp_1.csv"}, ExpiresIn=3600
    )

    assert url.startswith("https://s3.eu-west-1.amazonaws.com/hub-bucket/exports/t/exp_1.csv?")
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url
    assert "X-Amz-Expires=3600" in url
