"""The view in the words of SensorThings, asked as any tool would ask, without a client of its own."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.api.problems import ProblemError
from chalicelib.api.sta import addresses, ids, queries
from chalicelib.api.sta.ids import Series
from chalicelib.api.sta.reader import Budget, Reader
from chalicelib.api.sta.service import Service
from chalicelib.aws import Hub
from chalicelib.model.times import HOUR, to_rfc3339
from chalicelib.store import signing
from chalicelib.store.table import table_of
from tests.support.counting import Counting
from tests.support.examples import example

ROOT = "https://hub.example/sta/v1.1"
OM = "http://www.opengis.net/def/observationType/OGC-OM/2.0/"
SETS = [
    "Datastreams", "FeaturesOfInterest", "HistoricalLocations", "Locations", "Observations",
    "ObservedProperties", "Sensors", "Things",
]  # fmt: skip


class Tool:
    """A tool of the standard: follows absolute links and knows nothing else."""

    def __init__(self, caller: Any) -> None:
        self.caller = caller

    def send(self, link: str, **options: Any) -> Any:
        url = urlsplit(link if "://" in link else f"{ROOT}/{link}")
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        query |= {f"${name}": str(value) for name, value in options.items()}
        return self.caller.send("GET", url.path, query=query)

    def get(self, link: str, **options: Any) -> Any:
        response = self.send(link, **options)
        assert response.status == 200, response.text
        return json.loads(response.text)

    def refused(self, link: str, status: int = 400, /, **options: Any) -> str:
        response = self.send(link, **options)
        assert response.status == status, response.text
        assert response.content_type == "application/problem+json"
        return str(response.value["detail"])

    def pages(self, link: str, **options: Any) -> list[list[Any]]:
        page = self.get(link, **options)
        found = [page["value"]]
        while "@iot.nextLink" in page:
            page = self.get(page["@iot.nextLink"])
            found.append(page["value"])
        return found

    def all(self, link: str, **options: Any) -> list[Any]:
        return [each for page in self.pages(link, **options) for each in page]

    def names(self, link: str, **options: Any) -> list[Any]:
        return [each["name"] for each in self.all(link, **options)]

    def results(self, link: str, **options: Any) -> list[Any]:
        return [each["result"] for each in self.all(link, **options)]


@pytest.fixture
def tool(tenant: Any) -> Tool:
    return Tool(tenant)


@pytest.fixture
def start(tenant: Any) -> int:
    """Let three devices report: a boiler over some time, a pump, and a sensor with a place; return when."""
    start = int(tenant.clock.now) - 3_600_000
    for number in range(12):
        tenant.measured("boiler", start + number * 1000, 20.0 + number)
    tenant.measured("boiler", start, 40.0, "humidity")
    tenant.measured("pump", start, 7.0, "strokes")
    header = {"tsmTuid": "TSAR", "tsmTs": start // 1000, "tsmEv": 10}
    tenant.receives({**header, "tsmId": 1210, "lat": 60.2, "lon": 24.9}, vendor="haltian")
    tenant.receives({**header, "tsmId": 2100, "state": 1}, vendor="haltian")
    return start


BOILER = "Datastreams('relayr:boiler!temperature')"


def test_the_root_names_every_collection_absolutely(tool: Tool) -> None:
    for link in ("", "/"):
        root = tool.get(ROOT + link)

        assert root["value"] == [{"name": name, "url": f"{ROOT}/{name}"} for name in SETS]
        conformance = root["serverSettings"]["conformance"]
        assert all(
            each.startswith("http://www.opengis.net/spec/iot_sensing/1.1/") for each in conformance
        )
        for unkept in ("filter", "count", "create", "update", "batch", "array", "mqtt", "multi"):
            assert not any(unkept in each.split("/req/")[1] for each in conformance), unkept


@pytest.mark.usefixtures("start")
def test_links_are_on_the_host_that_was_asked(tool: Tool) -> None:
    tool.caller.base_url = "http://127.0.0.1:8080/stage"

    (thing,) = tool.get("Things('relayr:boiler')/$ref").values()
    assert thing == "http://127.0.0.1:8080/stage/sta/v1.1/Things('relayr:boiler')"


@pytest.mark.usefixtures("start")
def test_a_thing_is_a_device(tool: Tool) -> None:
    tool.caller.patch("/v1/devices/relayr%3Aboiler", {"name": "The boiler", "tags": ["hot"]})

    thing = tool.get("Things('relayr:boiler')")

    link = f"{ROOT}/Things('relayr:boiler')"
    assert thing.pop("properties")["tags"] == ["hot"]
    assert thing == {
        "@iot.id": "relayr:boiler",
        "@iot.selfLink": link,
        "name": "The boiler",
        "description": "relayr device",
        "Locations@iot.navigationLink": f"{link}/Locations",
        "HistoricalLocations@iot.navigationLink": f"{link}/HistoricalLocations",
        "Datastreams@iot.navigationLink": f"{link}/Datastreams",
    }


@pytest.mark.usefixtures("start")
def test_a_datastream_is_a_metric_of_a_device(tool: Tool) -> None:
    stream = tool.get(BOILER)

    assert stream["name"] == "temperature"
    assert stream["observationType"] == f"{OM}OM_Measurement"
    assert stream["unitOfMeasurement"] == {
        "name": "degree Celsius",
        "symbol": "°C",
        "definition": "http://www.opengis.net/def/uom/UCUM/0/Cel",
    }
    for name in ("Thing", "Sensor", "ObservedProperty", "Observations"):
        assert stream[f"{name}@iot.navigationLink"] == f"{stream['@iot.selfLink']}/{name}"
        assert tool.get(stream[f"{name}@iot.navigationLink"])


@pytest.mark.usefixtures("start")
def test_a_unit_that_nobody_stated_is_null_in_every_member(tool: Tool) -> None:
    (stream,) = tool.all("Things('relayr:pump')/Datastreams")

    assert stream["name"] == "relayr.strokes"
    assert stream["unitOfMeasurement"] == {"name": None, "symbol": None, "definition": None}


@pytest.mark.usefixtures("start")
def test_booleans_are_truth_observations(tool: Tool) -> None:
    (stream,) = tool.all("Things('haltian:TSAR')/Datastreams", filter="name eq 'occupied'")
    (observation,) = tool.all(stream["Observations@iot.navigationLink"])

    assert stream["observationType"] == f"{OM}OM_TruthObservation"
    assert stream["unitOfMeasurement"]["name"] is None
    assert observation["result"] is True
    link = stream["Observations@iot.navigationLink"]
    assert tool.results(link, filter="result eq true") == [True]
    assert tool.results(link, filter="result eq 1") == []


def test_readings_set_apart_are_datastreams_of_their_own(tool: Tool) -> None:
    at = tool.caller.clock.now // 1000
    message = {"tsmId": 1202, "tsmEv": 10, "tsmTs": at, "tsmTuid": "T"}
    heard = [{**message, "tuid": f"n {number}!", "rssiDbm": -number} for number in range(2)]
    tool.caller.receives(heard, vendor="haltian")

    streams = tool.all("Things('haltian:T')/Datastreams")

    assert [each["name"] for each in streams] == [
        "signal_rssi, neighbour n 0!",
        "signal_rssi, neighbour n 1!",
    ]
    for number, stream in enumerate(streams):
        assert stream["@iot.id"] == f"haltian:T!signal_rssi!neighbour=n~20{number}~21"
        assert tool.get(stream["@iot.selfLink"]) == stream
        (observation,) = tool.all(stream["Observations@iot.navigationLink"], count="true")
        assert observation["result"] == -number
        assert observation["parameters"] == stream["properties"]["attributes"]
        assert tool.get(observation["@iot.selfLink"]) == observation


def test_an_observation_is_a_measurement_and_found_by_its_id(tool: Tool, start: int) -> None:
    first = tool.all(f"{BOILER}/Observations")[0]

    assert first["result"] == 20.0
    assert first["phenomenonTime"] == first["resultTime"] == to_rfc3339(start)
    assert tool.get(first["@iot.selfLink"]) == first
    assert tool.get(first["Datastream@iot.navigationLink"])["name"] == "temperature"
    assert tool.get(first["FeatureOfInterest@iot.navigationLink"])["feature"]["geometry"] is None


def test_a_window_is_an_interval_that_counts_by_its_end(tool: Tool) -> None:
    payload = example("soundsensing", "device-metric")
    tool.caller.receives(payload.body, payload.topic, "soundsensing")
    link = tool.all("Datastreams", top=1)[0]["Observations@iot.navigationLink"]
    first = tool.all(link)[0]
    begin, end = first["phenomenonTime"].split("/")

    assert begin < end == first["resultTime"]
    for name in ("phenomenonTime", "resultTime"):
        assert tool.all(link, filter=f"{name} eq {end}") == [first]
        assert first not in tool.all(link, filter=f"{name} lt {end}")
        assert tool.all(link, filter=f"{name} eq {begin}") == []


@pytest.mark.usefixtures("start")
def test_locations_are_the_positions_that_are_known(tool: Tool) -> None:
    (place,) = tool.all("Locations")

    assert place["@iot.id"] == "haltian:TSAR"
    assert place["encodingType"] == "application/geo+json"
    assert place["location"] == {"type": "Point", "coordinates": [24.9, 60.2]}
    assert tool.all("Things('relayr:boiler')/Locations") == []
    assert tool.refused("Locations('relayr:boiler')", 404)
    (thing,) = tool.all(place["Things@iot.navigationLink"])
    assert thing["@iot.id"] == "haltian:TSAR"
    assert tool.get("FeaturesOfInterest('haltian:TSAR')")["feature"] == place["location"]


@pytest.mark.usefixtures("start")
def test_maps_learn_which_shapes_there_are(tool: Tool) -> None:
    shapes = {}
    for shape in ("Point", "Polygon"):
        wanted = f"location/type eq '{shape}' or location/geometry/type eq '{shape}'"
        shapes[shape] = tool.get("Locations", top=0, count="true", filter=wanted)["@iot.count"]

    assert shapes == {"Point": 1, "Polygon": 0}


@pytest.mark.usefixtures("start")
def test_where_something_was_before_is_not_known(tool: Tool) -> None:
    assert tool.all("HistoricalLocations") == []
    assert tool.all("Things('haltian:TSAR')/HistoricalLocations") == []
    assert tool.refused("HistoricalLocations('haltian:TSAR')", 404)


@pytest.mark.usefixtures("start")
def test_observed_properties_are_the_metrics_that_devices_have(tool: Tool) -> None:
    names = tool.names("ObservedProperties")

    assert names == ["occupied", "relative_humidity", "relayr.strokes", "temperature"]
    shown = tool.get("ObservedProperties('temperature')")
    assert shown["definition"] == "https://hub.example/v1/catalog/metrics#temperature"
    (stream,) = tool.all("ObservedProperties('temperature')/Datastreams")
    assert stream["@iot.id"] == "relayr:boiler!temperature"
    assert tool.refused("ObservedProperties('relayr.other')", 404)


# --- paging, order, count


@pytest.mark.usefixtures("start")
@pytest.mark.parametrize("top", [1, 5, 12, 500])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_of_any_size_make_the_whole_series(tool: Tool, top: int, order: str) -> None:
    link = f"{BOILER}/Observations"
    pages = tool.pages(link, top=top, orderby=f"phenomenonTime {order}")

    found = [each["result"] for page in pages for each in page]
    expected = [20.0 + number for number in range(12)]
    assert found == (expected if order == "asc" else expected[::-1])
    assert all(len(page) == top for page in pages[:-1])
    assert pages[-1]


@pytest.mark.usefixtures("start")
@pytest.mark.parametrize(
    "name", ["Things", "Sensors", "FeaturesOfInterest", "Datastreams", "ObservedProperties"]
)
@pytest.mark.parametrize("order", [{}, {"orderby": "name"}, {"orderby": "@iot.id desc"}])
def test_pages_of_one_make_every_collection(tool: Tool, name: str, order: dict[str, str]) -> None:
    whole = tool.all(name, **order)

    pages = tool.pages(name, top=1, **order)

    assert [each for page in pages for each in page] == whole
    assert len(whole) == len(pages) >= 3
    assert len(whole) == tool.get(name, count="true", top=0)["@iot.count"]
    assert [tool.get(each["@iot.selfLink"]) for each in whole] == whole


@pytest.mark.usefixtures("start")
def test_skip_and_top_and_count(tool: Tool) -> None:
    page = tool.get(f"{BOILER}/Observations", skip=3, top=2, count="true")

    assert [each["result"] for each in page["value"]] == [23.0, 24.0]
    assert page["@iot.count"] == 12
    assert tool.get(f"{BOILER}/Observations", skip=100, count="true") == {
        "@iot.count": 12,
        "value": [],
    }
    assert "@iot.count" not in tool.get(f"{BOILER}/Observations")
    assert tool.get(f"{BOILER}/Observations", top=0) == {"value": []}


@pytest.mark.usefixtures("start")
def test_the_order_of_results_is_refused_for_it_would_read_everything(tool: Tool) -> None:
    assert "order of phenomenonTime" in tool.refused(f"{BOILER}/Observations", orderby="result")


@pytest.mark.usefixtures("start")
def test_a_place_belongs_to_its_collection_its_filter_and_its_tenant(
    tool: Tool, new_tenant: Callable[[], Any]
) -> None:
    link = tool.get(f"{BOILER}/Observations", top=1)["@iot.nextLink"]
    token = dict(parse_qsl(urlsplit(link).query))["$skiptoken"]
    other = Tool(new_tenant())

    assert tool.get(link)["value"]
    for moved in (
        "Things",
        "Datastreams",
        "Datastreams('relayr:pump!relayr.strokes')/Observations",
    ):
        assert "cursor" in tool.refused(moved, skiptoken=token)
    assert tool.refused(link, filter="result gt 1")
    assert tool.refused(link, skiptoken=f"{token}x")
    assert other.send("Things", skiptoken=token).status == 400


# --- filter


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("result gt 25 and result le 27", [26, 27]),
        ("result eq 20 or result eq 31.0", [20, 31]),
        ("not (result gt 21)", [20, 21]),
        ("not result gt 21", [20, 21]),
        ("30 lt result", [31]),
        ("result ne 20 and result lt 2.2e1", [21]),
        ("result eq 'text'", []),
        ("result eq null", []),
        ("phenomenonTime ge {2} and phenomenonTime lt {4}", [22, 23]),
        ("resultTime gt {9}", [30, 31]),
        ("phenomenonTime ge '{9}' and result ne 30", [29, 31]),
        ("phenomenonTime eq {5}", [25]),
        ("phenomenonTime eq {5} or phenomenonTime eq {7}", [25, 27]),
        ("phenomenonTime gt {5} and phenomenonTime lt {5}", []),
        ("not (phenomenonTime gt {0})", [20]),
        ("{10} lt phenomenonTime", [31]),
        ("phenomenonTime lt 0001-01-02T00:00:00Z", []),
        ("phenomenonTime gt 9999-12-31T23:59:59.9999Z", []),
        ("Datastream/Thing/name eq 'relayr:boiler' and result eq 20", [20]),
        ("resultQuality eq 'good' and parameters/none eq null and result eq 20", [20]),
    ],
)
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_filters_of_observations(
    tool: Tool, start: int, text: str, expected: list[float], order: str
) -> None:
    for number in range(12):
        text = text.replace(f"{{{number}}}", to_rfc3339(start + number * 1000))

    found = tool.results(f"{BOILER}/Observations", filter=text, orderby=f"resultTime {order}")

    assert found == (expected if order == "asc" else expected[::-1])


def test_a_time_with_a_zone_and_digits_below_a_millisecond(tool: Tool, start: int) -> None:
    link = f"{BOILER}/Observations"
    at = to_rfc3339(start).replace("Z", "5")

    assert len(tool.results(link, filter=f"phenomenonTime ge {at}Z")) == 11
    assert len(tool.results(link, filter=f"phenomenonTime lt {at}+00:00")) == 1
    assert tool.results(link, filter=f"phenomenonTime ge {at}Z and phenomenonTime le {at}Z") == []


@pytest.mark.usefixtures("start")
@pytest.mark.parametrize(
    ("link", "text", "expected"),
    [
        ("Things", "name eq 'relayr:boiler'", ["relayr:boiler"]),
        ("Things", "@iot.id eq 'relayr:pump'", ["relayr:pump"]),
        ("Things", "id eq 'relayr:pump' and name eq 'x'", []),
        ("Things", "id eq 'relayr:none'", []),
        ("Things", "properties/vendor eq 'relayr' and name lt 'relayr:c'", ["relayr:boiler"]),
        ("Things", "properties/location/latitude gt 60", ["haltian:TSAR"]),
        ("Datastreams", "ObservedProperty/name eq 'temperature'", ["temperature"]),
        ("Datastreams", "Thing/@iot.id eq 'relayr:pump'", ["relayr.strokes"]),
        ("Datastreams", "Thing/id eq 'relayr:none'", []),
        ("Datastreams", "@iot.id eq 'relayr:boiler!temperature'", ["temperature"]),
        ("Datastreams", "unitOfMeasurement/symbol eq '°C'", ["temperature"]),
        ("ObservedProperties", "name ge 'relayr.strokes'", ["relayr.strokes", "temperature"]),
        ("Sensors", "name eq 'it''s'", []),
    ],
)
def test_filters_of_what_there_is(tool: Tool, link: str, text: str, expected: list[str]) -> None:
    assert tool.names(link, filter=text) == expected


# --- expand, select, references, single properties


@pytest.mark.usefixtures("start")
def test_expanding_puts_entities_in_place_of_links(tool: Tool) -> None:
    (thing,) = tool.all(
        "Things",
        filter="name eq 'relayr:boiler'",
        expand="Datastreams($orderby=name desc;$expand=ObservedProperty($select=name),"
        "Observations($orderby=phenomenonTime desc;$top=1;$count=true)),Locations",
    )

    streams = thing["Datastreams"]
    assert [each["name"] for each in streams] == ["temperature", "relative_humidity"]
    assert streams[0]["ObservedProperty"] == {"name": "temperature"}
    assert [each["result"] for each in streams[0]["Observations"]] == [31.0]
    assert streams[0]["Observations@iot.count"] == 12
    assert tool.results(streams[0]["Observations@iot.nextLink"])[:2] == [30.0, 29.0]
    assert "Observations@iot.nextLink" not in streams[1]
    assert "Datastreams@iot.navigationLink" not in thing
    assert thing["Locations"] == []


@pytest.mark.usefixtures("start")
def test_a_path_expands_step_by_step_and_both_ways_of_writing_join(tool: Tool) -> None:
    found = tool.get(BOILER, expand="Thing/Datastreams,Thing($expand=Locations;$select=name)")

    assert found["Thing"]["name"] == "relayr:boiler"
    assert len(found["Thing"]["Datastreams"]) == 2
    assert found["Thing"]["Locations"] == []
    assert "@iot.id" not in found["Thing"]


@pytest.mark.usefixtures("start")
def test_selecting_shows_these_members_alone(tool: Tool) -> None:
    found = tool.get("Things('relayr:boiler')", select="id,name,Datastreams")

    link = f"{ROOT}/Things('relayr:boiler')/Datastreams"
    assert found == {
        "@iot.id": "relayr:boiler",
        "name": "relayr:boiler",
        "Datastreams@iot.navigationLink": link,
    }


@pytest.mark.usefixtures("start")
def test_references_and_single_properties(tool: Tool) -> None:
    assert tool.get("Things/$ref", top=1)["value"] == [
        {"@iot.selfLink": f"{ROOT}/Things('haltian:TSAR')"}
    ]
    assert len(tool.all("Things/$ref", top=1)) == 3
    assert tool.get("Things('relayr:boiler')/name") == {"name": "relayr:boiler"}
    assert tool.get(f"{BOILER}/unitOfMeasurement/symbol") == {"symbol": "°C"}
    value = tool.send("Things('relayr:boiler')/name/$value")
    assert (value.text, value.content_type) == ("relayr:boiler", "text/plain; charset=utf-8")
    unset = tool.send("Datastreams('relayr:pump!relayr.strokes')/unitOfMeasurement/name/$value")
    assert (unset.status, unset.text) == (204, "")


@pytest.mark.usefixtures("start")
def test_entities_are_reached_through_each_other(tool: Tool) -> None:
    inside = f"Things('relayr:boiler')/{BOILER}"

    assert tool.get(inside) == tool.get(BOILER)
    assert tool.get(f"{inside}/Thing/name") == {"name": "relayr:boiler"}
    first = tool.all(f"{inside}/Observations")[0]["@iot.id"]
    assert tool.get(f"{inside}/Observations('{first}')/result") == {"result": 20.0}
    assert tool.refused(f"Things('relayr:pump')/{BOILER}", 404)
    assert tool.refused(
        f"Datastreams('relayr:boiler!relative_humidity')/Observations('{first}')", 404
    )


# --- refusals


@pytest.mark.usefixtures("start")
@pytest.mark.parametrize(
    ("link", "status"),
    [
        ("Nothing", 404),
        ("Things(1)", 404),
        ("Things('nobody')", 404),
        ("Things('relayr:boiler", 404),
        ("Things('relayr:boiler')/Nothing", 404),
        ("Things('relayr:boiler')/name/more", 404),
        ("Things('relayr:boiler')/$value", 404),
        ("Things/Datastreams", 404),
        ("Things//$ref", 404),
        ("Things('relayr:boiler')x", 404),
        ("Datastreams('relayr:boiler')", 404),
        ("Datastreams('relayr:boiler!temperature!')", 404),
        ("Datastreams('relayr:boiler!temperature')/Thing('relayr:boiler')", 404),
        ("Observations('2026')", 404),
        ("Observations('2026-01-01T00:00:00.000Z!relayr:boiler!temperature')", 404),
        ("Observations", 400),
        ("Observations/$ref", 400),
        (f"Things('{'x' * 3000}')", 404),
    ],
)
def test_paths_that_lead_nowhere(tool: Tool, link: str, status: int) -> None:
    assert tool.refused(link, status)


@pytest.mark.usefixtures("start")
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"filter": "contains(name,'x')"}, "no functions"),
        ({"filter": "result add 1 gt 2"}, "operator"),
        ({"filter": "result gt"}, "expected"),
        ({"filter": "result"}, "operator"),
        ({"filter": "(result gt 1"}, "not closed"),
        ({"filter": "result gt 1)"}, "not expected"),
        ({"filter": "result gt 'x"}, "cannot be read"),
        ({"filter": "result gt 1e999"}, "double"),
        ({"filter": "result gt result"}, "another"),
        ({"filter": "1 eq 1"}, "one side"),
        ({"filter": "colour eq 'red'"}, "no property 'colour'"),
        ({"filter": "Datastream/Observations/result eq 1"}, "many"),
        ({"filter": "phenomenonTime gt 2026-01-01"}, "RFC 3339 with a zone"),
        ({"filter": "phenomenonTime gt 2026-01-01T00:00:00"}, "RFC 3339 with a zone"),
        ({"filter": "phenomenonTime gt 2026-01-01T00:00:00 01:00"}, "%2B"),
        ({"filter": "phenomenonTime gt 5"}, "no time"),
        ({"filter": "phenomenonTime gt 2026-01-01T00:00:00Z/2026-01-02T00:00:00Z"}, "interval"),
        ({"filter": "(" * 100 + "result gt 1" + ")" * 100}, "nested"),
        ({"filter": " or ".join(["result gt 1"] * 300)}, "more than 200"),
        ({"filter": "x" * 9000}, "8000"),
        ({"orderby": "phenomenonTime up"}, "asc or desc"),
        ({"orderby": "colour"}, "no property"),
        ({"top": "-1"}, "integer"),
        ({"top": "x"}, "integer"),
        ({"skip": "99999999999"}, "integer"),
        ({"count": "yes"}, "true or false"),
        ({"select": "colour"}, "has no 'colour'"),
        ({"select": ""}, "no name"),
        ({"expand": "Colour"}, "does not lead"),
        ({"expand": "Datastream($top=1)"}, "for collections"),
        ({"expand": "Datastream($colour=1)"}, "no option"),
        ({"expand": "Datastream($select=name;$select=id)"}, "once"),
        ({"expand": "Datastream($select=name),Datastream($select=id)"}, "two different"),
        ({"expand": "Datastream(($select=name)"}, "not closed"),
        ({"expand": "Datastream/Thing/Datastreams/Thing/Datastreams/Thing"}, "levels"),
        ({"expand": "FeatureOfInterest/Observations"}, "does not lead"),
        ({"resultFormat": "dataArray"}, "no option"),
        ({"skiptoken": "x"}, "cursor"),
    ],
)
def test_what_is_not_served_is_refused_with_what_is(
    tool: Tool, options: dict[str, Any], says: str
) -> None:
    assert says in tool.refused(f"{BOILER}/Observations", **options)


@pytest.mark.usefixtures("start")
def test_a_single_entity_takes_no_options_of_collections(tool: Tool) -> None:
    assert "collections" in tool.refused(BOILER, top=1)
    assert "collections" in tool.refused(f"{BOILER}/name", select="name")
    assert "collections" in tool.refused("", top=1)
    assert tool.refused("Things?colour=red")
    problem = tool.caller.refused("GET", "/sta/v1.1/Things", **{"$top": ["1", "2"]})
    assert problem["type"] == "/problems/repeated-parameter"


def test_it_is_read_only(tool: Tool) -> None:
    for method in ("POST", "PATCH", "PUT", "DELETE"):
        response = tool.caller.send(method, "/sta/v1.1/Things")
        assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")


# --- access


def basic(key: str) -> dict[str, str]:
    pair = base64.b64encode(f"anybody:{key}".encode()).decode()
    return {"authorization": f"Basic {pair}"}


def test_the_key_may_be_the_password_of_basic_authentication(tenant: Any, nobody: Any) -> None:
    answer = nobody.send("GET", "/sta/v1.1/Things", headers=basic(tenant.key))
    assert answer.status == 200
    assert nobody.send("GET", "/v1/devices", headers=basic(tenant.key)).status == 401
    writer = tenant.key_of("write", "admin")
    assert nobody.send("GET", "/sta/v1.1/Things", headers=basic(writer.key)).status == 403


@pytest.mark.parametrize(
    "sent", ["", "Basic", "Basic x", "Basic ÿ", "Basic /w==", "Basic bm9ib2R5"]
)
def test_without_a_key_both_ways_are_offered(nobody: Any, sent: str) -> None:
    answer = nobody.send("GET", "/sta/v1.1", headers={"authorization": sent})

    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="tributary", Basic realm="tributary"'


@pytest.mark.usefixtures("start")
def test_tenants_see_nothing_of_each_other(tool: Tool, new_tenant: Callable[[], Any]) -> None:
    other = Tool(new_tenant())
    first = tool.all(f"{BOILER}/Observations")[0]

    for name in SETS:
        if name != "Observations":
            assert other.all(name) == []
    for link in (
        "Things('relayr:boiler')",
        BOILER,
        first["@iot.selfLink"],
        "ObservedProperties('relayr.strokes')",
    ):
        assert other.refused(link, 404)


# --- ids

odd = ["a/b", "it's", "''", "a b", "ü☃", "a')/b", "100%", "a#b?c=d&e", "a!b~c", "(x)", "+", "a;b,c"]


@pytest.mark.parametrize("name", odd)
def test_any_device_is_reached_by_its_links(tool: Tool, name: str) -> None:
    at = tool.caller.clock.now
    item = {"deviceId": name, "name": "temperature", "value": 20, "timestamp": at}
    tool.caller.receives(item)

    (thing,) = tool.all("Things", expand="Datastreams/Observations", top=1)

    assert thing["@iot.id"] == f"relayr:{name}"
    (stream,) = thing["Datastreams"]
    (observation,) = stream["Observations"]
    for entity in (thing, stream, observation):
        assert tool.get(entity["@iot.selfLink"])["@iot.id"] == entity["@iot.id"]
    doubled = quote(f"relayr:{name}".replace("'", "''"), safe="")
    assert tool.get(f"Things('{doubled}')/name") == {"name": f"relayr:{name}"}
    named = tool.all("Things", filter="@iot.id eq '{}'".format(thing["@iot.id"].replace("'", "''")))
    assert [each["@iot.id"] for each in named] == [thing["@iot.id"]]


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(texts, texts, st.lists(st.tuples(texts, texts), max_size=2), st.integers(-(10**13), 10**14))
def test_ids_say_what_they_stand_for_and_need_no_quoting(
    device: str, metric: str, apart: list[tuple[str, str]], at: int
) -> None:
    series = Series(device, metric, tuple(apart))
    identity = ids.observation(series, at)

    assert ids.series_of(ids.datastream(series)) == series
    assert ids.reading_of(identity) == (series, at)
    assert quote(identity, safe="!:=") == identity == unquote(identity)


@given(st.text())
def test_no_text_is_two_ids(text: str) -> None:
    series, reading = ids.series_of(text), ids.reading_of(text)

    assert series is None or ids.datastream(series) == text
    assert reading is None or ids.observation(*reading) == text


# --- nonsense

_PIECES = [
    "name", "result", "phenomenonTime", "@iot.id", "Thing", "Datastreams", "Observations",
    "eq", "gt", "and", "or", "not", "(", ")", "'", "''", "'x'", "1", "-2.5e3", "null", "true",
    "2026-01-01T00:00:00Z", "/", ",", ";", "=", "$", "$top=1", "$expand=", "$filter=", " ", "asc",
    "desc", "\x00", "é", "\ud800", "9" * 30,
]  # fmt: skip
nonsense = st.one_of(
    st.text(),
    st.lists(st.sampled_from(_PIECES)).map("".join),
    st.lists(st.sampled_from(_PIECES)).map(" ".join),
)
options = st.sampled_from(
    ["$filter", "$orderby", "$expand", "$select", "$top", "$skip", "$count", "$skiptoken"]
)


@pytest.mark.usefixtures("start")
@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["Things", "Datastreams", f"{BOILER}/Observations", BOILER]),
    st.dictionaries(options, nonsense, max_size=3),
)
def test_nonsense_in_any_option_is_refused_and_never_breaks(
    tool: Tool, link: str, query: dict[str, str]
) -> None:
    response = tool.caller.send("GET", f"/sta/v1.1/{link}", query=query)
    tool.caller.clock.forward(25)  # slowly enough for the rate limit

    assert response.status in {200, 400}, response.text
    json.loads(response.text)


@pytest.mark.usefixtures("start")
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.text(),
        st.lists(
            st.sampled_from(
                [*_PIECES, "('", "')", "('relayr:boiler')", "Things", "%27", "%2F", "%"]
            )
        ).map("".join),
    )
)
def test_nonsense_in_a_path_is_refused_and_never_breaks(tool: Tool, path: str) -> None:
    response = tool.caller.send("GET", f"/sta/v1.1/{path}")
    tool.caller.clock.forward(25)

    assert response.status in {200, 204, 400, 404}, response.text


# --- what an answer may cost


def small(tenant: Any, link: str, left: int) -> Any:
    """Answer a request under a budget smaller than any that is ever given."""
    url = urlsplit(link)
    table = table_of(tenant.hub)
    reader = Reader(table, tenant.id)
    service = Service(
        reader, ROOT, "https://hub.example", signing.secret(table), Budget(left), Budget(left)
    )
    query = queries.parse(dict(parse_qsl(url.query, keep_blank_values=True)))
    path = addresses.parse(url.path.removeprefix("/sta/v1.1"))
    return service.answer(path, query).value


@pytest.mark.usefixtures("start")
@pytest.mark.parametrize("left", [1, 30, 70])
@pytest.mark.parametrize(
    "link",
    [
        f"{BOILER}/Observations",
        f"{BOILER}/Observations?$filter=result eq 31&$orderby=resultTime desc",
        f"{BOILER}/Observations?$skip=7",
        "Datastreams",
        "Datastreams?$filter=name eq 'temperature'",
        "ObservedProperties('temperature')/Datastreams",
        "Locations",
        "Things?$filter=properties/vendor eq 'relayr'&$skip=1",
    ],
)
def test_a_page_that_would_cost_too_much_ends_early_and_links_on(
    tool: Tool, link: str, left: int
) -> None:
    whole = tool.all(link)
    page = small(tool.caller, f"{ROOT}/{link}", left)
    found, pages = page["value"], 1

    while "@iot.nextLink" in page:
        page = small(tool.caller, page["@iot.nextLink"], left)
        found, pages = found + page["value"], pages + 1

    assert found == whole
    assert pages > 1 or left > 1


@pytest.mark.usefixtures("start")
def test_what_is_expanded_links_on_where_it_would_cost_too_much(tool: Tool) -> None:
    link = f"{ROOT}/Things?$expand=Datastreams($expand=Observations)"
    results: list[Any] = []

    def walk(page: Any, member: str, inside: list[str]) -> None:
        while True:
            for each in page[member]:
                if inside:
                    walk(each, inside[0], inside[1:])
                else:
                    results.append(each["result"])
            prefix = "" if member == "value" else member
            if f"{prefix}@iot.nextLink" not in page:
                return
            page = small(tool.caller, page[f"{prefix}@iot.nextLink"], 60)
            prefix, member = "", "value"

    walk(small(tool.caller, link, 60), "value", ["Datastreams", "Observations"])

    assert sorted(results) == sorted([*range(20, 32), 40, 7, True])


@pytest.mark.usefixtures("start")
def test_a_count_that_would_cost_too_much_is_left_out(tool: Tool) -> None:
    page = small(tool.caller, f"{ROOT}/{BOILER}/Observations?$count=true&$top=1", 50)

    assert "@iot.count" not in page
    assert page["@iot.nextLink"]


@pytest.mark.usefixtures("start")
def test_sorting_that_would_cost_too_much_is_refused(tool: Tool) -> None:
    with pytest.raises(ProblemError, match="narrow them"):
        small(tool.caller, f"{ROOT}/Things?$orderby=name", 2)


def test_a_page_costs_what_it_holds_not_what_the_series_holds(tool: Tool) -> None:
    tenant = tool.caller
    for _ in range(200):
        tenant.clock.forward(HOUR)
        tenant.measured("boiler", tenant.clock.now, 20.0)
    counting = Counting(tenant.aws.dynamodb)
    tenant.hub = Hub(tenant.hub.config, lambda _: counting, tenant.clock)
    link = f"{BOILER}/Observations"
    late = to_rfc3339(tenant.clock.now - 3 * HOUR)

    assert len(tool.get(link, top=5, orderby="phenomenonTime desc")["value"]) == 5
    assert len(tool.get(link, top=5)["value"]) == 5
    assert len(tool.all(link, filter=f"phenomenonTime gt {late}", count="true")) == 3
    assert counting.items <= 3 * 16
    observation = tool.get(link, top=1)["value"][0]
    counting.items = 0
    assert tool.get(observation["@iot.selfLink"]) == observation
    assert counting.items == 1
