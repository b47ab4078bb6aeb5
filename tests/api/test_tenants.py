"""Tenants apart: whatever one holds, another's answers do not change by a byte.

One tenant has some of everything.  Another calls every route with the first one's ids, in paths, filters
and bodies, and is answered as with ids that never existed.  A new route, parameter or body fails here
until it is covered.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.api.http import Response
from chalicelib.api.routing import Route
from chalicelib.api.table import ROUTES
from chalicelib.aws import Hub
from chalicelib.dispatch import entry as dispatch
from chalicelib.store import deliveries
from chalicelib.store.table import table_of
from tests.api.conftest import CONFIG, ROOT_KEY, Caller, Tenant
from tests.support.fake_aws import FakeAws
from tests.support.names import Names

SPAN = {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"}
HOOK = {"name": "x", "kind": "webhook", "config": {"url": "https://example.com/x"}}
SCOPED = [route for route in ROUTES if route.scope not in {None, "root"} and route.documented]
BODIES: dict[str, Any] = {
    "DevicePatch": {"name": "x"},
    "Note": {"note": "x"},
    "ConnectionBody": {"vendor": "relayr", "name": "x"},
    "ConnectionPatch": {"name": "x"},
    "Rotation": {},
    "OverlappingRotation": {},
    "Renormalize": SPAN,
    "IntegrationBody": HOOK,
    "IntegrationPatch": {"name": "x"},
    "Replay": SPAN,
    "Since": {"since": SPAN["from"]},
    "FilterTest": {},
    "Nothing": {},
    "KeyBody": {"name": "x", "scopes": ["read"]},
    "TenantBody": {"name": "x"},
    "CommandBody": {"name": "x"},
    "ExportBody": {"devices": ["relayr:MARK"], **SPAN, "format": "csv"},
}
"""A body that each model takes."""
FILTERS = {
    "device": "device_id",
    "parent": "device_id",
    "receipt": "receipt_id",
    "connection": "connection_id",
    "tag": "label",
    "group": "label",
    "q": "label",
}
"""Parameters that name something of a tenant's, and what they name."""
HARMLESS = {
    *("limit", "cursor", "from", "to", "order", "state", "presence", "acknowledged"),
    *("vendor", "metric", "type", "severity", "frame", "functions", "timezone", "fill"),
}
"""Parameters that name nothing of anybody's."""
OWN = {"keys.list_keys": 1, "audit.list_entries": 1}
"""What a new tenant finds in a listing: its first key, and its beginning."""
SHORT = {
    "events.media_of_device",
    "renormalizations.list_renormalizations",
    "syncs.list_syncs",
}
"""Listings of which there are not two pages here."""


@dataclass(frozen=True)
class World:
    """A tenant with some of everything, a tenant with little, and their ids by name."""

    rich: Tenant
    poor: Tenant
    theirs: Mapping[str, list[str]]
    never: Mapping[str, list[str]]

    def twice(
        self, route: Route, path: Mapping[str, tuple[str, str]], **query: Any
    ) -> tuple[Response, Response]:
        """Call a route with ids that are another tenant's and with such that never were, at one moment."""
        body = BODIES[route.body] if route.body else None
        answers = []
        for place in (0, 1):
            where = route.template.format_map({name: pair[place] for name, pair in path.items()})
            values = {
                name: value[place] if isinstance(value, tuple) else value
                for name, value in query.items()
            }
            answers.append(self.poor.send(route.method, where, body, needed(route) | values))
        self.poor.clock.forward(25)  # slowly enough for the rate limit
        return answers[0], answers[1]

    def pairs(self, name: str) -> list[tuple[str, str]]:
        return list(zip(self.theirs[name], self.never[name], strict=True))


def needed(route: Route) -> dict[str, Any]:
    """Return the parameters that a route must have."""
    known = {each.name: each for each in route.query}
    values = {**SPAN, "frame": "1m"}
    wanted = {name: value for name, value in values.items() if _must(known.get(name))}
    return wanted | ({"device": "relayr:none"} if _must(known.get("device")) else {})


def _must(parameter: Any) -> bool:
    return parameter is not None and parameter.required


def made(aws: FakeAws, hub: Hub) -> Tenant:
    answer = Caller(aws, hub, ROOT_KEY).post("/v1/tenants", {"name": "some tenant"})
    return Tenant(aws, hub, answer["api_key"], id=answer["id"])


def filled(tenant: Tenant) -> dict[str, list[str]]:
    """Let a tenant have some of everything; return its ids by what names them."""
    now = tenant.clock.now
    for number in range(3):
        tenant.measured("MARK", now - number * 60_000, 20 + number)
        tenant.measured(f"MARK{number}", now - number * 1000, 20)
        tenant.alerted("MARK", f"leak{number}", now - number * 1000)
        tenant.receives([{"message": "x", "timestamp": now - number}], "devices/MARK/logs")
        tenant.receives(b"{" * (number + 1), "devices/MARK/alerts")
    tenant.patch("/v1/devices/relayr:MARK", {"tags": ["MARK"], "groups": ["MARK"]})
    ids = owned(tenant)
    hook = ids["integration_id"][0]
    quarantined = tenant.get("/v1/quarantine")["data"]
    account = f"/v1/connections/{tenant.connection()}"
    tenant.patch(account, {"credentials": {"api_key": "some key"}})
    ordered = [tenant.post("/v1/devices/relayr:MARK/commands", {"name": "x"}) for _ in range(3)]
    rows = []
    for number in range(3):
        event = {"id": f"evt{number}", "type": "integration.test", "data": {}}
        row = deliveries.begun(tenant.id, hook, [event], batch=False, now=now)
        rows.append(deliveries.save(table_of(tenant.hub), row).id)
    return ids | {
        "device_id": ["relayr:MARK", "relayr:MARK0"],
        "command_id": [row["id"] for row in ordered],
        "export_id": [tenant.post("/v1/exports", BODIES["ExportBody"])["id"] for _ in range(3)],
        "alert_id": [row["id"] for row in tenant.get("/v1/alerts")["data"]],
        "receipt_id": [row["receipt_id"] for row in quarantined],
        "quarantine_id": [row["id"] for row in quarantined],
        "delivery_id": rows,
        "label": ["MARK"],
    }


def owned(tenant: Tenant) -> dict[str, list[str]]:
    """Let a tenant have connections, integrations, keys and jobs; return their ids."""
    for _ in range(3):
        tenant.post("/v1/connections", {"vendor": "relayr", "name": "x"})
        tenant.post("/v1/integrations", HOOK)
        tenant.post("/v1/api-keys", {"name": "x", "scopes": ["read"]})
    hook, connection = (
        [row["id"] for row in tenant.get(f"/v1/{kind}")["data"]]
        for kind in ("integrations", "connections")
    )
    again = f"/v1/connections/{connection[0]}/renormalize"
    tenant.patch(f"/v1/connections/{connection[0]}", {"credentials": {"api_key": "some key"}})
    return {
        "integration_id": hook,
        "connection_id": connection,
        "key_id": [row["id"] for row in tenant.get("/v1/api-keys")["data"]],
        "job_id": [tenant.post(f"/v1/integrations/{hook[0]}/redrive")["id"] for _ in range(3)],
        "renormalization_id": [tenant.post(again, SPAN)["id"]],
        "sync_id": [tenant.post(f"/v1/connections/{connection[0]}/sync")["id"]],
    }


def never(identity: str) -> str:
    """Return an id of the same form that nobody has."""
    kind, mark, name = identity.rpartition("_")
    if not mark:
        return identity.replace("MARK", "NONE")
    owner = kind.split("_")
    owner[-1] = owner[-1][::-1] if len(owner) > 1 else owner[-1]
    return "_".join([*owner, name[::-1]])


@pytest.fixture(scope="module")
def world() -> World:
    aws = FakeAws()
    hub = Hub(CONFIG, aws.client, aws.clock, Names())
    rich, poor = made(aws, hub), made(aws, hub)
    theirs = filled(rich)
    return World(
        rich,
        poor,
        theirs,
        {name: [never(each) for each in ids] for name, ids in theirs.items()},
    )


def named(route: Route) -> str:
    return f"{route.method} {route.template}"


# --- everything is covered -------------------------------------------------------------------------


def test_every_route_is_covered(world: World) -> None:
    for route in SCOPED:
        assert set(route.names) <= set(world.theirs), route.template
        assert route.body is None or route.body in BODIES, route.template
        for parameter in route.query:
            assert parameter.name in HARMLESS or parameter.name in FILTERS, route.template


def test_what_never_was_is_nothing_that_is(world: World) -> None:
    for name, ids in world.theirs.items():
        assert len(set(ids)) == len(ids) > 0
        assert not set(ids) & set(world.never[name])


@pytest.mark.parametrize("route", [r for r in SCOPED if r.method == "GET"], ids=named)
def test_the_owner_finds_what_the_ids_name(world: World, route: Route) -> None:
    path = {name: world.theirs[name][0] for name in route.names}

    answer = world.rich.get(route.template.format_map(path), **needed(route))

    assert answer


# --- ids -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", [r for r in SCOPED if r.names], ids=named)
def test_anothers_id_answers_as_one_that_never_was(world: World, route: Route) -> None:
    for chosen in itertools.product(*(world.pairs(name) for name in route.names)):
        answers = world.twice(route, dict(zip(route.names, chosen, strict=True)))
        assert answers[0].status == 404
        assert same(answers)


@pytest.mark.parametrize("route", [r for r in SCOPED if len(r.names) > 1], ids=named)
def test_anothers_id_below_ones_own_answers_as_one_that_never_was(
    world: World, route: Route
) -> None:
    outer, inner = route.names
    creation = next(r for r in SCOPED if r.template == f"/v1/{route.segments[1]}" and r.body)
    mine = world.poor.post(creation.template, BODIES[str(creation.body)])["id"]
    for pair in world.pairs(inner):
        answers = world.twice(route, {outer: (mine, mine), inner: pair})
        assert answers[0].status == 404
        assert same(answers)


@pytest.mark.parametrize(
    ("route", "name"),
    [(r, p.name) for r in SCOPED for p in r.query if p.name in FILTERS and not r.names],
    ids=lambda each: named(each) if isinstance(each, Route) else each,
)
def test_a_filter_by_anothers_id_finds_nothing(world: World, route: Route, name: str) -> None:
    for pair in world.pairs(FILTERS[name]):
        answers = world.twice(route, {}, **{name: pair})
        assert answers[0].value["data"] == []
        assert same(answers)


@pytest.mark.parametrize(
    "route",
    [r for r in SCOPED if r.listed and not r.names and r.segments[1] != "catalog"],
    ids=named,
)
def test_a_listing_shows_ones_own(route: Route) -> None:
    aws = FakeAws()
    hub = Hub(CONFIG, aws.client, aws.clock, Names())
    rich, poor = made(aws, hub), made(aws, hub)
    filled(rich)
    answer = poor.get(route.template, **needed(route))

    assert len(answer["data"]) == OWN.get(route.handler, 0)
    assert answer["next_cursor"] is None
    assert "MARK" not in json.dumps(answer)


@settings(max_examples=150)
@given(data=st.data())
def test_no_call_of_one_changes_what_another_reads(world: World, data: st.DataObject) -> None:
    before = snapshot(world)
    for _ in range(data.draw(st.integers(1, 4))):
        route = data.draw(st.sampled_from([r for r in SCOPED if r.method != "GET" and r.names]))
        path = {name: data.draw(st.sampled_from(world.theirs[name])) for name in route.names}
        body = BODIES[route.body] if route.body else None
        assert world.poor.send(route.method, route.template.format_map(path), body).status == 404
        world.poor.clock.forward(25)

    assert snapshot(world) == before


def snapshot(world: World) -> list[str]:
    """Return what the rich tenant's things are: all items of the table below it."""
    items = world.rich.aws.dynamodb.items
    mine = [pk for pk in items if world.rich.id in pk and "#RATE#" not in pk]
    mine += [f"C#{each}" for each in world.theirs["connection_id"]]
    return [repr((pk, sorted(items[pk].items()))) for pk in sorted(mine)]


def same(answers: tuple[Response, Response]) -> bool:
    """Say whether two answers are equal by every byte but that of the rate limit."""
    one, other = (
        (
            each.status,
            each.text,
            each.content_type,
            [h for h in each.headers.items() if h[0] != "RateLimit"],
        )
        for each in answers
    )
    return one == other


# --- SensorThings: paths of any length, which no row of the table names ----------------------------


@pytest.mark.parametrize(
    "link",
    [
        *("Things('{}')", "Things('{}')/Datastreams", "Things('{}')/Locations", "Sensors('{}')"),
        *("Locations('{}')", "FeaturesOfInterest('{}')", "Things('{}')/name"),
        *("Datastreams('{}!temperature')", "Datastreams('{}!temperature')/Observations"),
        "Observations('2026-07-01T10:00:00.000Z!{}!temperature')",
    ],
)
def test_anothers_thing_is_one_that_never_was(world: World, link: str) -> None:
    for pair in world.pairs("device_id"):
        one, other = (
            world.poor.send("GET", f"/sta/v1.1/{quote(link.format(each))}") for each in pair
        )
        world.poor.clock.forward(50)
        assert one.status == other.status == 404
        assert one.text.replace(pair[0], "") == other.text.replace(pair[1], "")


@pytest.mark.parametrize(
    "entities", ["Things", "Datastreams", "Locations", "Sensors", "ObservedProperties"]
)
def test_the_view_shows_ones_own(world: World, entities: str) -> None:
    theirs = world.theirs["device_id"][0]
    query = {"$filter": f"id eq '{theirs}'"}

    assert world.rich.get(f"/sta/v1.1/{entities}")["value"] != [] or entities == "Locations"
    assert "MARK" not in world.poor.send("GET", f"/sta/v1.1/{entities}").text
    assert world.poor.send("GET", "/sta/v1.1/Things", None, query).value["value"] == []


# --- cursors, keys, filters of integrations --------------------------------------------------------


def cursors(world: World) -> Iterator[tuple[Route, dict[str, str], dict[str, Any], str]]:
    """Yield every paged route with a cursor of the rich tenant's."""
    for route in SCOPED:
        if not any(p.name == "cursor" for p in route.query) or route.handler in SHORT:
            continue
        for chosen in itertools.product(*(world.theirs[name] for name in route.names)):
            path = dict(zip(route.names, chosen, strict=True))
            query = needed(route) | {"limit": 1}
            where = route.template.format_map(path)
            answer = world.rich.send("GET", where, None, query)
            world.rich.clock.forward(25)
            if cursor := answer.value["next_cursor"]:
                yield route, path, query, cursor
                break
        else:
            pytest.fail(f"no cursor of {route.template}")


def test_anothers_cursor_is_refused_as_nonsense_is(world: World) -> None:
    for route, path, query, cursor in cursors(world):
        pairs = {name: (each, never(each)) for name, each in path.items()}
        answers = world.twice(route, pairs, **query | {"cursor": (cursor, "nonsense")})
        assert answers[0].status == 400, route.template
        assert same(answers)


def test_cursors_are_useless_without_a_key(world: World) -> None:
    key = world.rich.key_of("read", "admin")
    made_by = world.rich.get("/v1/api-keys")["data"][0]["id"]
    world.rich.delete(f"/v1/api-keys/{made_by}")
    for route, path, query, cursor in cursors(world):
        where = route.template.format_map(path)
        assert key.send("GET", where, None, query | {"cursor": cursor}).status == 401


def test_an_idempotency_key_of_another_means_nothing(world: World) -> None:
    for route in SCOPED:
        if route.method != "POST" or route.names or route.body == "ExportBody":
            continue  # an export names devices, which the other has not
        body = BODIES[route.body] if route.body else None
        headers = {"idempotency-key": f"shared {route.template}"}
        first = world.rich.send("POST", route.template, body, headers=headers)
        mine = world.poor.send("POST", route.template, body, headers=headers)
        assert mine.status == first.status
        assert mine.value["id"] != first.value["id"]
        assert "Idempotency-Replayed" not in mine.headers


def test_anothers_devices_cannot_be_exported(world: World) -> None:
    for pair in world.pairs("device_id"):
        answers = [
            world.poor.send("POST", "/v1/exports", {**BODIES["ExportBody"], "devices": [each]})
            for each in pair
        ]
        assert [each.status for each in answers] == [422, 422]
        assert answers[0].text.replace(pair[0], "") == answers[1].text.replace(pair[1], "")


def test_an_integration_that_names_anothers_things_gets_and_counts_nothing(world: World) -> None:
    rules = {
        "connections": world.theirs["connection_id"],
        "devices": world.theirs["device_id"],
        "tags": ["MARK"],
    }
    for filter_ in ({}, *({name: value} for name, value in rules.items())):
        hook = world.poor.post("/v1/integrations", HOOK | {"filter": filter_})["id"]
        path = f"/v1/integrations/{hook}"
        tried = world.poor.post(f"{path}/filter-test", {"filter": filter_})
        counted = world.poor.post(f"{path}/replay", {**SPAN, "filter": filter_, "preview": True})
        assert (tried["looked_at"], tried["matched"], counted["count"]) == (0, 0, 0)
        world.poor.clock.forward(100)
    world.poor.queued("deliveries")
    world.poor.clock.forward(5000)
    seen = len(world.rich.aws.dynamodb.stream)
    world.rich.measured("MARK", world.rich.clock.now, 25)

    dispatch.run({"Records": world.rich.aws.dynamodb.stream[seen:]}, world.rich.hub)

    sent = world.poor.queued("deliveries")
    assert {message["tenant"] for message in sent} == {world.rich.id}


def test_counts_of_a_connection_are_its_tenants(world: World) -> None:
    mine = world.poor.post("/v1/connections", BODIES["ConnectionBody"])["id"]

    counts = world.poor.get(f"/v1/connections/{mine}/health")["counts"]

    assert set(counts.values()) == {0}
