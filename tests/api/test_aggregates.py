"""Aggregates as callers get them: what is asked, what is answered, pages, completeness."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from chalicelib.aws import Hub
from chalicelib.model.functions import FUNCTIONS
from chalicelib.model.times import DAY, HOUR, MINUTE, from_rfc3339, hour_of, to_rfc3339
from tests.support.examples import example

DEVICE = "/v1/devices/relayr:a"
PATH = f"{DEVICE}/measurements/aggregate"
MAP = {
    "leq": {"metric": "sound_level_eq", "unit": "dB[SPL]"},
    "in": {"metric": "people_in_total", "unit": "1"},
}
NAMES = {"temperature": "temperature", "leq": "sound_level_eq", "in": "people_in_total"}
START = from_rfc3339("2026-03-28T00:00:00Z") or 0


@pytest.fixture(autouse=True)
def _map(tenant: Any) -> None:
    settings = {"settings": {"metric_map": MAP}}
    tenant.patch(f"/v1/connections/{tenant.connection()}", settings)
    tenant.clock.forward(10_000)


def report(tenant: Any, points: list[tuple[int, str, Any]]) -> None:
    items = [{"name": name, "value": value, "timestamp": at} for at, name, value in points]
    tenant.receives(items, "devices/a/measurements")


def span(start: int, end: int) -> dict[str, str]:
    return {"from_": to_rfc3339(start), "to": to_rfc3339(end)}


def test_the_answer(tenant: Any) -> None:
    report(tenant, [(START + n * 20 * MINUTE, "temperature", 20 + n) for n in range(5)])

    answer = tenant.get(PATH, frame="1h", **span(START, START + DAY))

    assert answer == {
        "data": [
            {
                "metric": "temperature",
                "attributes": {},
                "start": "2026-03-28T00:00:00.000Z",
                "end": "2026-03-28T01:00:00.000Z",
                "values": {"mean": 21, "min": 20, "max": 22, "count": 3},
            },
            {
                "metric": "temperature",
                "attributes": {},
                "start": "2026-03-28T01:00:00.000Z",
                "end": "2026-03-28T02:00:00.000Z",
                "values": {"mean": 23.5, "min": 23, "max": 24, "count": 2},
            },
        ],
        "next_cursor": None,
        "unit": "Cel",
        "completeness": {"temperature": None},
    }


@pytest.mark.parametrize("query", [{}, {"metric": ["temperature", "sound_level_eq"]}])
def test_of_several_metrics_rows_and_units_go_by_name(tenant: Any, query: Any) -> None:
    report(tenant, [(START, "temperature", 20), (START, "leq", 60), (START + HOUR, "leq", 70)])

    answer = tenant.get(PATH, frame="1h", functions="max", **span(START, START + DAY), **query)

    rows = [(row["metric"], row["start"][11:13], row["values"]) for row in answer["data"]]
    assert rows == [
        ("sound_level_eq", "00", {"max": 60}),
        ("temperature", "00", {"max": 20}),
        ("sound_level_eq", "01", {"max": 70}),
    ]
    assert answer["unit"] == {"sound_level_eq": "dB[SPL]", "temperature": "Cel"}
    assert answer["completeness"] == {"sound_level_eq": None, "temperature": None}


@pytest.fixture
def history(tenant: Any) -> pd.DataFrame:
    """Payloads that come late, twice and corrected, over a change of the clock; returns what counts."""
    rng = random.Random(11)  # noqa: S311 - a sample
    arrived: list[tuple[int, str, float]] = []
    total = 0
    for at in sorted(rng.sample(range(START, START + 3 * DAY), 220)):
        total = 0 if rng.random() < 0.05 else total + rng.randrange(4)
        drawn = {"temperature": rng.gauss(20, 4), "leq": rng.uniform(40, 90), "in": total}
        arrived += [(at, name, drawn[name]) for name in rng.sample(sorted(drawn), 2)]
    rng.shuffle(arrived)
    arrived += [
        (at, name, value if name == "in" else value + 1)
        for at, name, value in rng.sample(arrived, 60)
    ]
    for place in range(0, len(arrived), 9):
        report(tenant, arrived[place : place + 9])
        tenant.clock.forward(1000)
        if rng.random() < 0.2:
            report(tenant, arrived[place : place + 9])
    table = pd.DataFrame(arrived, columns=["at", "name", "value"])
    return table.drop_duplicates(["at", "name"], keep="last").sort_values("at")


def of_pandas(table: pd.DataFrame, frame: str) -> dict[tuple[str, str], dict[str, float]]:
    """Return the functions of each bucket in Berlin's time, by metric and start."""
    found = {}
    for name, rows in table.groupby("name"):
        moments = pd.DatetimeIndex(pd.to_datetime(rows["at"].to_numpy(), unit="ms", utc=True))
        values = pd.Series(rows["value"].to_numpy(dtype=float), index=moments)
        local = moments.tz_convert("Europe/Berlin")
        starts = local.normalize() if frame == "1d" else moments.floor("h")
        rise = values.diff()
        climbed = rise.where(rise >= 0, values).fillna(0)
        climbed.iloc[0] = 0
        for start, bucket in values.groupby(starts):
            plain = bucket.to_numpy()
            mean = 10 * np.log10(np.mean(10 ** (plain / 10))) if name == "leq" else plain.mean()
            key = start.tz_convert("UTC").strftime("%Y-%m-%dT%H:%M:%S.000Z"), NAMES[str(name)]
            found[key] = {
                "min": plain.min(),
                "max": plain.max(),
                "mean": mean,
                "sum": plain.sum(),
                "count": len(plain),
                "first": plain[0],
                "last": plain[-1],
                "diff": climbed[starts == start].sum() if name == "in" else plain[-1] - plain[0],
                "stddev": plain.std(),
                **{f"p{q}": np.percentile(plain, q) for q in (10, 50, 90, 95)},
            }
    return found


@pytest.mark.parametrize("frame", ["1h", "1d"])
@pytest.mark.parametrize("limit", [7, 500])
def test_late_repeated_and_corrected_points_are_aggregated_as_pandas_does(
    tenant: Any, history: pd.DataFrame, frame: str, limit: int
) -> None:
    rows = tenant.all(
        PATH, frame=frame, functions=",".join(FUNCTIONS), timezone="Europe/Berlin", limit=limit,
        **span(START - DAY, START + 5 * DAY),
    )  # fmt: skip

    wanted = of_pandas(history, frame)
    assert [(row["start"], row["metric"]) for row in rows] == sorted(wanted)
    for row in rows:
        assert row["values"] == pytest.approx(wanted[row["start"], row["metric"]], abs=1e-9)


@pytest.mark.parametrize("fill", ["none", "null", "previous", "linear"])
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.usefixtures("history")
def test_pages_make_the_whole(tenant: Any, fill: str, order: str) -> None:
    query = {
        "frame": "1h", "functions": "mean,diff,p90,count", "timezone": "Asia/Kathmandu", "fill": fill,
        **span(START + 1234, START + 2 * DAY),
    }  # fmt: skip
    whole = tenant.get(PATH, limit=500, **query)
    assert whole["next_cursor"] is None

    pages = tenant.pages(PATH, limit=11, order=order, **query)

    rows = [row for page in pages for row in page]
    assert rows == (whole["data"] if order == "asc" else whole["data"][::-1])
    assert {len(page) for page in pages[:-1]} == {11}


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_page_that_would_take_too_long_ends_with_what_it_has(
    tenant: Any, history: pd.DataFrame, order: str
) -> None:
    query = {
        "frame": "1h", "functions": "p50", "timezone": "Europe/Berlin", "order": order, "limit": 500,
        **span(START - DAY, START + 5 * DAY),
    }  # fmt: skip
    whole = tenant.get(PATH, **query)["data"]

    def slow() -> int:
        """Let every look at the clock take six seconds."""
        tenant.clock.forward(6000)
        return int(tenant.clock.now)

    elsewhere = replace(tenant, hub=Hub(tenant.hub.config, tenant.aws.client, slow))
    pages = elsewhere.pages(PATH, **query)

    assert len(pages) > 3
    assert [row for page in pages for row in page] == whole
    assert len(whole) == len(of_pandas(history, "1h"))


def test_a_page_begun_survives_what_comes_meanwhile(tenant: Any) -> None:
    report(tenant, [(START + n * HOUR, "temperature", n) for n in range(6)])
    tenant.patch(DEVICE, {"expected_interval_seconds": 3600})
    query = {"frame": "1h", "functions": "sum", "limit": 3, **span(START, START + DAY)}
    first = tenant.get(PATH, **query)

    report(tenant, [(START - HOUR, "temperature", 9), (START + 1, "temperature", 9)])
    report(tenant, [(START + 5 * HOUR, "leq", 9)])
    rest = tenant.get(PATH, cursor=first["next_cursor"], **query)

    sums = [row["values"]["sum"] for row in first["data"] + rest["data"]]
    assert (sums, rest["next_cursor"]) == ([0, 1, 2, 3, 4, 5], None)
    assert first["completeness"] == rest["completeness"] == {"temperature": 6 / 24}


def test_filled_buckets_have_count_zero_and_nothing_from_outside(tenant: Any) -> None:
    report(tenant, [(START + n * HOUR, "temperature", n) for n in (0, 2, 5, 7)])
    query = {"frame": "1h", "functions": "mean,count", **span(START + HOUR, START + 7 * HOUR)}

    found = {
        fill: [tuple(row["values"].values()) for row in tenant.all(PATH, fill=fill, **query)]
        for fill in ("none", "null", "previous", "linear")
    }

    assert found == {
        "none": [(2, 1), (5, 1)],
        "null": [(None, 0), (2, 1), (None, 0), (None, 0), (5, 1), (None, 0)],
        "previous": [(None, 0), (2, 1), (2, 0), (2, 0), (5, 1), (5, 0)],
        "linear": [(None, 0), (2, 1), (3, 0), (4, 0), (5, 1), (None, 0)],
    }


def test_a_counters_step_counts_where_it_ends_and_never_from_before_the_range(tenant: Any) -> None:
    totals = [(0, 100), (1, 110), (2, 115), (5, 4), (6, 10)]
    report(tenant, [(START + n * HOUR, "in", total) for n, total in totals])

    rows = tenant.all(
        PATH, metric="people_in_total", frame="1h", functions="diff", limit=1,
        **span(START + HOUR, START + DAY),
    )  # fmt: skip

    assert [row["values"]["diff"] for row in rows] == [0, 5, 4, 6]


def test_a_windowed_value_belongs_to_the_bucket_in_which_it_was_observed(tenant: Any) -> None:
    # A minute of sound that ends with the hour.
    body = example("soundsensing", "soundlevel").body.replace(b"1627902750}", b"1627902000}")
    tenant.receives(body, vendor="soundsensing")
    device = tenant.device("soundsensing:040517af-71c5-4fa3-a1d1-ec5a9112ce0a")
    query = {"from_": "2021-08-02T10:00:00Z", "to": "2021-08-02T12:00:00Z"}

    rows = tenant.get(f"{device}/measurements/aggregate", frame="1h", **query)["data"]

    assert {row["start"] for row in rows} == {"2021-08-02T11:00:00.000Z"}
    assert len(rows) == 3


def test_each_discriminator_has_its_own_buckets_named_as_in_its_measurements(tenant: Any) -> None:
    tenant.receives(example("haltian", "17201-grid").body, vendor="haltian")
    (device,) = tenant.get("/v1/devices", vendor="haltian")["data"]
    path = f"{tenant.device(device['id'])}/measurements"
    query = {"from_": "2000-01-01T00:00:00Z", "to": "2030-01-01T00:00:00Z"}
    raw = tenant.get(path, **query)["data"]
    assert len(raw) > 2

    rows = tenant.get(f"{path}/aggregate", frame="1d", functions="last", **query)["data"]

    said = [(row["metric"], row["attributes"], row["values"]["last"]) for row in rows]
    assert said == [(row["metric"], row["attributes"], row["value"]) for row in raw]


# --- completeness --------------------------------------------------------------------------------


def test_completeness_is_of_the_whole_range_up_to_now_and_the_same_on_every_page(
    tenant: Any,
) -> None:
    end = hour_of(tenant.clock.now)
    report(tenant, [(end - n * MINUTE, "temperature", n) for n in range(1, 601) if n % 4])
    tenant.patch(DEVICE, {"expected_interval_seconds": 60})
    query = {"frame": "1h", "limit": 3, **span(end - 20 * HOUR, end)}

    answer = tenant.get(PATH, **query)
    shares = [answer["completeness"]]
    while answer["next_cursor"]:
        answer = tenant.get(PATH, cursor=answer["next_cursor"], **query)
        shares.append(answer["completeness"])

    assert shares == [{"temperature": 450 / 1200}] * 4


def test_what_is_not_due_yet_is_not_missing(tenant: Any) -> None:
    now = tenant.clock.now
    report(tenant, [(now - n * MINUTE, "temperature", n) for n in range(1, 61)])
    tenant.patch(DEVICE, {"expected_interval_seconds": 60})
    tenant.clock.now = now

    answer = tenant.get(PATH, frame="1d", **span(now - HOUR, now + DAY))

    assert answer["completeness"] == {"temperature": 1}


def test_a_learned_interval_tells_completeness_until_an_operator_says_another(tenant: Any) -> None:
    report(tenant, [(START + n * MINUTE, "temperature", n) for n in range(60) if n != 13])
    query = {"frame": "1h", "metric": ["temperature", "tvoc"], **span(START, START + HOUR)}

    learned = tenant.get(PATH, **query)["completeness"]
    tenant.patch(DEVICE, {"expected_interval_seconds": 30})
    said = tenant.get(PATH, **query)["completeness"]
    tenant.patch(DEVICE, {"expected_interval_seconds": None})
    again = tenant.get(PATH, **query)["completeness"]

    assert learned == again == {"temperature": 59 / 60, "tvoc": None}
    assert said == {"temperature": 59 / 120, "tvoc": 0}


def test_an_interval_is_learned_from_the_newest_day(tenant: Any) -> None:
    report(tenant, [(START + n * MINUTE, "temperature", n) for n in range(300)])
    report(tenant, [(START + 9 * DAY + n * HOUR, "temperature", n) for n in range(13)])

    answer = tenant.get(PATH, frame="1h", **span(START + 9 * DAY, START + 10 * DAY))

    assert answer["completeness"] == {"temperature": 13 / 24}


def test_of_several_series_the_fullest_tells_completeness(tenant: Any) -> None:
    at = tenant.clock.now // 60_000 * 60
    for number, cells in enumerate(([[1, 2]], [[1]], [[1]])):
        item = {
            "tsmId": 17201,
            "tsmEv": 10,
            "tsmTs": at + 60 * number,
            "tsmTuid": "T",
            "dist": cells,
        }
        tenant.receives([item], vendor="haltian")
    device = tenant.device("haltian:T")
    tenant.patch(device, {"expected_interval_seconds": 60})
    tenant.clock.forward(HOUR)

    answer = tenant.get(
        f"{device}/measurements/aggregate", frame="1h", metric="distance",
        **span(at * 1000, at * 1000 + 4 * MINUTE),
    )  # fmt: skip

    assert answer["completeness"] == {"distance": 3 / 4}


# --- what is asked -------------------------------------------------------------------------------


@pytest.mark.parametrize("query", [{}, {"metric": "temperature"}, {"metric": "relayr.own"}])
def test_an_empty_range_is_empty(tenant: Any, query: Any) -> None:
    report(tenant, [(START, "temperature", 20)])

    answer = tenant.get(PATH, frame="1h", fill="null", **span(START, START), **query)

    assert (answer["data"], answer["next_cursor"]) == ([], None)


@pytest.mark.parametrize("fill", ["none", "null", "previous", "linear"])
def test_a_metric_the_device_lacks_has_no_rows(tenant: Any, fill: str) -> None:
    report(tenant, [(START, "temperature", 20)])

    answer = tenant.get(PATH, metric="tvoc", frame="1h", fill=fill, **span(START, START + DAY))

    assert answer == {
        "data": [],
        "next_cursor": None,
        "unit": "[ppb]",
        "completeness": {"tvoc": None},
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"frame": "2h"}, "invalid-parameter"),
        ({"frame": ""}, "invalid-parameter"),
        ({"frame": ["1h", "1h"]}, "repeated-parameter"),
        ({"functions": "median"}, "invalid-parameter"),
        ({"functions": "mean,"}, "invalid-parameter"),
        ({"functions": ""}, "invalid-parameter"),
        ({"functions": "mean, min"}, "invalid-parameter"),
        ({"functions": ["mean", "min"]}, "repeated-parameter"),
        ({"timezone": "Mars/Olympus"}, "invalid-parameter"),
        ({"timezone": "../../etc/passwd"}, "invalid-parameter"),
        ({"timezone": "localtime"}, "invalid-parameter"),
        ({"timezone": "Europe"}, "invalid-parameter"),
        ({"timezone": "+01:00"}, "invalid-parameter"),
        ({"timezone": ""}, "invalid-parameter"),
        ({"fill": "zero"}, "invalid-parameter"),
        ({"metric": "colour"}, "unknown-metric"),
        ({"limit": "501"}, "invalid-parameter"),
        ({"to": "2025-01-01T00:00:00Z"}, "reversed-range"),
        ({"to": "2027-11-27T10:40:01Z", "frame": "1m"}, "too-many-buckets"),
        ({"cursor": "AAAA"}, "invalid-cursor"),
    ],
)
def test_what_is_asked_wrongly_is_400(tenant: Any, query: Any, expected: str) -> None:
    report(tenant, [(START, "temperature", 20)])
    asked = {"frame": "1h", "from_": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z", **query}

    problem = tenant.refused("GET", PATH, **asked)

    assert (problem["status"], problem["type"]) == (400, f"/problems/{expected}")


@pytest.mark.parametrize("left_out", ["frame", "from_", "to"])
def test_frame_and_range_must_be_sent(tenant: Any, left_out: str) -> None:
    report(tenant, [(START, "temperature", 20)])
    query = {"frame": "1h", **span(START, START + DAY)}
    del query[left_out]

    assert tenant.refused("GET", PATH, **query)["type"] == "/problems/missing-parameter"


def test_a_million_buckets_are_not_too_many(tenant: Any) -> None:
    report(tenant, [(START, "temperature", 20)])
    query = {"frame": "1m", "from_": "2026-01-01T00:00:00Z", "to": "2027-11-26T10:40:00Z"}

    assert len(tenant.all(PATH, **query)) == 1


def test_the_ends_of_the_calendar_can_be_asked_for(tenant: Any) -> None:
    report(tenant, [(START, "temperature", 20)])
    ends = {"from_": "0001-01-01T00:00:00Z", "to": "9999-12-31T23:59:59.999Z"}
    query = {"frame": "1w", "timezone": "America/New_York", "fill": "previous", **ends}

    for order in ("asc", "desc"):
        assert len(tenant.get(PATH, order=order, **query)["data"]) == 100


def test_an_unknown_device_is_404(tenant: Any) -> None:
    query = {"frame": "1h", "from": to_rfc3339(START), "to": to_rfc3339(START + DAY)}

    assert tenant.refused("GET", PATH, **query)["status"] == 404


@pytest.mark.parametrize("change", [{"functions": "max"}, {"fill": "null"}, {"timezone": "UTC"}])
def test_a_cursor_is_of_one_question(tenant: Any, change: Any) -> None:
    report(tenant, [(START + n * HOUR, "temperature", n) for n in range(6)])
    query = {"frame": "1h", "timezone": "Europe/Berlin", **span(START, START + DAY)}
    cursor = tenant.get(PATH, limit=2, **query)["next_cursor"]

    problem = tenant.refused("GET", PATH, cursor=cursor, **{**query, **change})

    assert problem["type"] == "/problems/invalid-cursor"
