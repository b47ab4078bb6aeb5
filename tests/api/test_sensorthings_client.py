"""The official client of the standard's reference server, unmodified, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from chalice import Chalice, Response

from chalicelib.api import entry
from infra.local import ports
from infra.local.gateway import Gateway
from infra.local.server import HttpServer

frost = pytest.importorskip("frost_sta_client", reason="make test installs it")

# Its own affair, and no reason to fail: an old name of a library that it uses.
pytestmark = pytest.mark.filterwarnings("ignore:furl.pathstr is deprecated:DeprecationWarning")

READINGS = 250
STREAM = "relayr:boiler!temperature"


@pytest.fixture
def server(tenant: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpServer]:
    """Serve a tenant with a boiler of two metrics and a located sensor, as ``make run`` serves."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    start = tenant.clock.now - 3_600_000
    items = [
        {"name": "temperature", "value": number, "timestamp": start + number * 1000}
        for number in range(READINGS)
    ]
    tenant.receives(items, "devices/boiler/measurements")
    tenant.measured("boiler", start, 40.0, "humidity")
    message = {"tsmTuid": "TSAR", "tsmTs": start // 1000, "tsmEv": 10}
    tenant.receives({**message, "tsmId": 1210, "lat": 60.2, "lon": 24.9}, vendor="haltian")
    tenant.receives({**message, "tsmId": 2100, "state": 1}, vendor="haltian")
    made = Chalice("hub")

    @made.route("/{path+}", methods=["GET"], content_types=[])
    def answer() -> Response:
        asked = made.current_request
        assert asked is not None
        return entry.answer(asked, tenant.hub)

    found = HttpServer(ports.bound(0, ""), Gateway(made).answer)
    found.start()
    yield found
    found.stop()


@pytest.fixture
def service(tenant: Any, server: HttpServer) -> Any:
    handler = frost.AuthHandler("anybody", tenant.key)
    return frost.SensorThingsService(f"{server.url}/sta/v1.1", auth_handler=handler)


def daos(service: Any) -> list[Any]:
    return [
        service.things(),
        service.locations(),
        service.datastreams(),
        service.sensors(),
        service.observed_properties(),
        service.features_of_interest(),
    ]


def test_every_collection_is_listed_and_every_entity_found_by_its_id(service: Any) -> None:
    for dao in daos(service):
        found = list(dao.query().list())

        assert found
        for entity in found:
            assert dao.find(entity.id) == entity
            assert isinstance(entity.name, str)
    assert list(service.historical_locations().query().list()) == []


def test_pages_of_one_hold_every_entity(service: Any) -> None:
    for dao in daos(service):
        whole = [entity.id for entity in dao.query().list()]

        assert [entity.id for entity in dao.query().top(1).list()] == whole


def test_observations_are_read_over_many_pages(service: Any) -> None:
    observations = service.datastreams().find(STREAM).get_observations()

    found = observations.query().count().orderby("phenomenonTime", "asc").list()

    assert found.count == READINGS
    assert found.next_link.startswith(f"{service.url}/Datastreams('{STREAM}')/Observations?")
    assert len(found.entities) == 100
    assert [each.result for each in found] == list(range(READINGS))
    assert [each.result for each in observations.query().orderby("resultTime").top(2).list()][
        :3
    ] == [
        READINGS - 1,
        READINGS - 2,
        READINGS - 3,
    ]


def test_an_observation_is_found_by_its_id(service: Any) -> None:
    first = service.datastreams().find(STREAM).get_observations().query().top(1).list().get(0)

    again = service.observations().find(first.id)

    assert again == first
    assert again.get_dao(service).query().service is service


def test_filters(service: Any) -> None:
    observations = service.datastreams().find(STREAM).get_observations()
    middle = list(observations.query().top(500).list())[100].phenomenon_time

    later = (
        observations.query().filter(f"phenomenonTime ge {middle} and not (result gt 103)").list()
    )
    things = service.things().query().filter("name eq 'relayr:boiler'").list()

    assert [each.result for each in later] == [100, 101, 102, 103]
    assert [each.id for each in things] == ["relayr:boiler"]


def test_expanded_entities_are_objects(service: Any) -> None:
    query = service.things().query().orderby("name", "desc")

    (boiler, other) = query.expand(
        "Locations,Datastreams($expand=Sensor,ObservedProperty,Observations($top=2))"
    ).list()

    streams = list(boiler.datastreams)
    assert [each.observed_property.name for each in streams] == ["relative_humidity", "temperature"]
    assert streams[1].unit_of_measurement.symbol == "°C"
    assert streams[1].sensor.encoding_type
    assert [each.result for each in streams[1].observations] == list(range(READINGS))
    assert other.locations.get(0).location["coordinates"] == [24.9, 60.2]


def test_entities_lead_to_each_other(service: Any) -> None:
    thing = service.things().find("haltian:TSAR")

    (stream,) = thing.get_datastreams().query().filter("name eq 'occupied'").list()
    (observation,) = stream.get_observations().query().expand("FeatureOfInterest,Datastream").list()
    (location,) = thing.get_locations().query().list()

    assert stream.observation_type.endswith("OM_TruthObservation")
    assert stream.unit_of_measurement.name is None
    assert observation.result is True
    assert observation.feature_of_interest.feature["type"] == "Point"
    assert observation.datastream == stream
    assert [each.id for each in location.get_things().query().list()] == [thing.id]
    assert list(thing.get_historical_locations().query().list()) == []


def test_selected_members_are_all_that_comes(service: Any) -> None:
    (thing, _) = service.things().query().select("id", "name").list()

    assert (thing.id, thing.name, thing.description) == ("haltian:TSAR", "haltian:TSAR", None)


def test_what_is_refused_is_an_error_of_http(service: Any) -> None:
    with pytest.raises(requests.HTTPError, match="400"):
        service.things().query().filter("contains(name,'x')").list()
    with pytest.raises(requests.HTTPError, match="400"):
        service.observations().query().list()
    with pytest.raises(requests.HTTPError, match="404"):
        service.things().find("nobody")
    service.auth_handler = None
    with pytest.raises(requests.HTTPError, match="401"):
        service.things().query().list()


@pytest.mark.parametrize("name", ["a/b", "it's", "a b", "ü☃", "a+b;c,d"])
def test_odd_devices_are_found_and_lead_on(service: Any, tenant: Any, name: str) -> None:
    at = tenant.clock.now
    tenant.receives({"deviceId": name, "name": "temperature", "value": 20, "timestamp": at})

    thing = service.things().find(f"relayr:{name}")
    (stream,) = thing.get_datastreams().query().list()
    (observation,) = stream.get_observations().query().list()

    assert thing.id == f"relayr:{name}"
    assert service.datastreams().find(stream.id) == stream
    assert service.observations().find(observation.id) == observation
