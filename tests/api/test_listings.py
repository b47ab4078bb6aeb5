"""Every listing there is: pages that join under writing, cursors good for nothing else, half-open ranges.

The listings are found by walking the table of routes.  Whoever adds one gives it an example in ``LISTINGS``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.api import parameters
from chalicelib.api.routing import Route
from chalicelib.api.table import ROUTES
from chalicelib.model.times import to_rfc3339
from chalicelib.security import new_id
from chalicelib.store import deliveries, jobs, renormalizations, syncs
from chalicelib.store.jobs import Job
from chalicelib.store.renormalizations import Renormalization
from chalicelib.store.table import table_of
from tests.support.examples import example

NewTenant = Callable[[], Any]
EVER = {"from": "2020-01-01T00:00:00Z", "to": "2030-01-01T00:00:00Z"}
SPREAD = 11 * 86_400_000
"""Milliseconds between the moments of what is listed: months are bordered and crossed."""


@dataclass(frozen=True)
class Listing:
    """An example of a listing: how a tenant comes to have one more of what it lists."""

    make: Callable[[Any, int], None]
    """Make the thing of a number, with the moment :func:`moment` where the vendor or caller says it."""
    path: Callable[[Any], str]
    filters: dict[str, Any] = field(default_factory=dict)
    """A value of each filter: one that things made have."""
    row: Callable[[Any], Any] = lambda row: row["id"]
    """What tells one row from another."""
    at: str | None = None
    """The member that ``from`` and ``to`` are about."""
    ascending: bool = False


@pytest.fixture
def new_tenant(new_tenant: NewTenant) -> NewTenant:
    return lambda: replace(new_tenant(), unlimited=True)


def moment(tenant: Any, number: int) -> int:
    """The moment of the thing of a number: some before and some after others, none in the future."""
    return int(tenant.clock.now) - (number * 7 % 10 + 1) * SPREAD - number


def device(tenant: Any, number: int) -> None:
    tenant.measured(f"d{number}", tenant.clock.now, number)


def measurement(tenant: Any, number: int) -> None:
    tenant.measured("a", moment(tenant, number), number)


def event(tenant: Any, number: int) -> None:
    item = {"message": f"m{number}", "timestamp": moment(tenant, number)}
    tenant.receives([item], "devices/a/logs")


def media(tenant: Any, number: int) -> None:
    shown = json.loads(example("soundsensing", "audio-clip").body)
    start = moment(tenant, number) // 1000
    shown["data"][0] |= {"id": f"clip{number}", "device_id": "m", "start_time": start}
    tenant.receives(shown, vendor="soundsensing")


def alert(tenant: Any, number: int) -> None:
    tenant.alerted("a", f"leak{number}", moment(tenant, number))


def connection(tenant: Any, number: int) -> None:
    tenant.clock.forward(1)
    tenant.post("/v1/connections", {"vendor": "relayr", "name": f"n{number}"})


def integration(tenant: Any, number: int) -> None:
    tenant.clock.forward(number % 2)
    body = {"name": f"n{number}", "kind": "webhook", "config": {"url": "https://example.com/"}}
    tenant.post("/v1/integrations", body)


def api_key(tenant: Any, number: int) -> None:
    tenant.clock.forward(number % 2)
    tenant.post("/v1/api-keys", {"name": f"n{number}", "scopes": ["read"]})


def quarantined(tenant: Any, number: int) -> None:
    tenant.clock.forward(SPREAD // 3)
    tenant.receives([{"name": f"x{number}"}], "devices/a/measurements")


def one_of(tenant: Any, kind: str) -> str:
    """Return the id of the tenant's only integration or connection, made when first asked for."""
    if kind == "connections":
        return str(tenant.connection())
    if kind not in tenant.connections:
        body = {"name": "one", "kind": "webhook", "config": {"url": "https://example.com/"}}
        tenant.connections[kind] = tenant.post("/v1/integrations", body)["id"]
    return str(tenant.connections[kind])


def delivery(tenant: Any, number: int) -> None:
    made: Any = [{"id": f"e{number}", "data": {}}]
    row = deliveries.begun(
        tenant.id, one_of(tenant, "integrations"), made, batch=False, now=tenant.clock.now
    )
    tenant.clock.forward(SPREAD // 3)
    deliveries.save(table_of(tenant.hub), replace(row, next_attempt_at=tenant.clock.now))


def renormalization(tenant: Any, number: int) -> None:
    order = Renormalization(tenant.id, one_of(tenant, "connections"), 0, 0, number, True, 0)
    begun = renormalizations.begin(table_of(tenant.hub), order)
    assert begun is not None
    renormalizations.save(table_of(tenant.hub), replace(begun, state="done"))


def recovery(tenant: Any, number: int) -> None:
    tenant.clock.forward(number % 2)
    where = tenant.id, one_of(tenant, "integrations"), "retry"
    jobs.save(table_of(tenant.hub), Job(new_id("job"), *where, tenant.clock.now, {"since": 0}))


def command(tenant: Any, number: int) -> None:
    if not number:
        tenant.measured("a", tenant.clock.now, 1)
        account = f"/v1/connections/{tenant.connection()}"
        tenant.patch(account, {"credentials": {"api_key": "some key"}})
    tenant.clock.forward(number % 2)
    tenant.post("/v1/devices/relayr:a/commands", {"name": f"n{number}"})


def sync(tenant: Any, number: int) -> None:
    tenant.clock.forward(number % 2)
    where = tenant.id, one_of(tenant, "connections"), syncs.KIND
    request = {"from": 0, "to": number}
    jobs.save(table_of(tenant.hub), Job(new_id("job"), *where, tenant.clock.now, request))


def export(tenant: Any, number: int) -> None:
    if not number:
        tenant.measured("a", tenant.clock.now, 1)
    tenant.clock.forward(number % 2)
    tenant.post("/v1/exports", {"devices": ["relayr:a"], "format": "csv", **EVER})


def at(path: str) -> Callable[[Any], str]:
    return lambda _: path


def below(kind: str, name: str) -> Callable[[Any], str]:
    return lambda tenant: f"/v1/{kind}/{one_of(tenant, kind)}/{name}"


LISTINGS: dict[str, Listing] = {
    "/v1/devices": Listing(
        device,
        at("/v1/devices"),
        {
            "vendor": "relayr",
            "presence": "online",
            "q": "relayr",
            "tag": "t",
            "group": "g",
            "parent": "p",
        },
    ),
    "/v1/devices/{device_id}/measurements": Listing(
        measurement,
        at("/v1/devices/relayr:a/measurements"),
        {"metric": "temperature", "order": "asc", **EVER},
        at="observed_at",
        ascending=True,
    ),
    "/v1/devices/{device_id}/events": Listing(
        event, at("/v1/devices/relayr:a/events"), {"type": "relayr.log", **EVER}, at="observed_at"
    ),
    "/v1/events": Listing(
        event,
        at("/v1/events"),
        {"type": "relayr.log", "vendor": "relayr", **EVER},
        at="observed_at",
    ),
    "/v1/devices/{device_id}/media": Listing(
        media, at("/v1/devices/soundsensing:m/media"), EVER, at="started_at"
    ),
    "/v1/alerts": Listing(
        alert,
        at("/v1/alerts"),
        {
            "state": "active",
            "severity": "warning",
            "vendor": "relayr",
            "device": "relayr:a",
            "acknowledged": "false",
            **EVER,
        },
        at="raised_at",
    ),
    "/v1/connections": Listing(connection, at("/v1/connections")),
    "/v1/connections/{connection_id}/renormalize": Listing(
        renormalization, below("connections", "renormalize")
    ),
    "/v1/integrations": Listing(integration, at("/v1/integrations")),
    "/v1/integrations/{integration_id}/deliveries": Listing(
        delivery, below("integrations", "deliveries"), {"state": "pending", **EVER}
    ),
    "/v1/integrations/{integration_id}/replays": Listing(
        recovery, below("integrations", "replays")
    ),
    "/v1/quarantine": Listing(
        quarantined, at("/v1/quarantine"), {"receipt": "r", "connection": "c", **EVER}, at="at"
    ),
    "/v1/api-keys": Listing(api_key, at("/v1/api-keys")),
    "/v1/devices/{device_id}/commands": Listing(command, at("/v1/devices/relayr:a/commands")),
    "/v1/connections/{connection_id}/sync": Listing(sync, below("connections", "sync")),
    "/v1/exports": Listing(export, at("/v1/exports")),
    "/v1/audit": Listing(api_key, at("/v1/audit"), EVER, at="at"),
    "/v1/devices/{device_id}/measurements/aggregate": Listing(
        measurement,
        at("/v1/devices/relayr:a/measurements/aggregate"),
        {
            "metric": "temperature",
            "order": "asc",
            "frame": "1h",
            "functions": "mean,sum",
            "timezone": "Europe/Berlin",
            "fill": "null",
            **EVER,
        },
        row=lambda row: (row["start"], row["metric"]),
        ascending=True,
    ),
}
HIDING = {
    "/v1/devices": {"tag", "group", "parent"},
    "/v1/quarantine": {"receipt", "connection"},
    "/v1/devices/{device_id}/measurements/aggregate": {"fill"},  # ten years of empty hours
}
"""Filters whose value above nothing has: they are only good for another scope of a cursor."""
PAGED: dict[str, Route] = {
    route.template: route
    for route in ROUTES
    if route.method == "GET" and parameters.CURSOR in route.query
}
every_listing = pytest.mark.parametrize("template", PAGED)
tenants_are_made_anew = settings(
    max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def of(template: str) -> tuple[Route, Listing]:
    route = PAGED[template]
    if template not in LISTINGS:
        pytest.fail(f"{template} is listed and has no example: add one to LISTINGS in {__file__}")
    listing = LISTINGS[template]
    filters = {each.name for each in route.query} - {"limit", "cursor"}
    assert filters == listing.filters.keys(), f"{template}: give each filter a value, and no other"
    return route, listing


def needed(route: Route) -> dict[str, Any]:
    """Return what cannot be left out."""
    filters = LISTINGS[route.template].filters
    return {each.name: filters[each.name] for each in route.query if each.required}


def filled(tenant: Any, listing: Listing, count: int) -> str:
    for number in range(count):
        listing.make(tenant, number)
    return listing.path(tenant)


def rows_of(listing: Listing, page: Iterable[Any]) -> list[Any]:
    return [listing.row(row) for row in page]


def test_every_example_is_of_a_listing() -> None:
    assert LISTINGS.keys() == PAGED.keys(), "give each paged GET route an example, and no other"


def test_every_listing_takes_pages() -> None:
    whole = ("/v1/catalog/", "/problems")
    listed = {r.template for r in ROUTES if r.listed and not r.template.startswith(whole)}

    # An aggregate's answer has more members than a listing's.
    assert listed | {"/v1/devices/{device_id}/measurements/aggregate"} == PAGED.keys()


@every_listing
@tenants_are_made_anew
@given(
    count=st.integers(0, 7),
    limit=st.integers(1, 4),
    filtered=st.booleans(),
    writes=st.lists(st.integers(0, 2), max_size=6),
)
def test_pages_join_whatever_is_written_between_them(
    new_tenant: NewTenant,
    template: str,
    count: int,
    limit: int,
    writes: list[int],
    *,
    filtered: bool,
) -> None:
    route, listing = of(template)
    tenant = new_tenant()
    path = filled(tenant, listing, count)
    query = needed(route)
    if filtered:
        hiding = HIDING.get(template, set())
        query = {k: v for k, v in listing.filters.items() if k not in hiding}
    try:
        before = rows_of(listing, tenant.get(path, **query, limit=500)["data"])
    except AssertionError:
        assert count == 0  # a device that nobody has heard of
        return
    found: list[Any] = []
    made = count

    while True:
        page = tenant.get(path, **query, limit=limit)
        found += rows_of(listing, page["data"])
        assert len(page["data"]) <= limit
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
        for _ in range(writes.pop() if writes else 0):
            listing.make(tenant, made)
            made += 1

    assert len(found) == len(set(found)), "a row was repeated"
    assert [row for row in found if row in before] == before, "a row was lost or moved"


@every_listing
def test_a_listing_is_in_its_order(new_tenant: NewTenant, template: str) -> None:
    route, listing = of(template)
    tenant = new_tenant()
    path = filled(tenant, listing, 8)
    rows = tenant.all(path, limit=3, **needed(route))

    assert len(rows) >= 8
    member = listing.at or next((m for m in ("created_at", "requested_at") if m in rows[0]), None)
    if member is not None:
        moments = [row[member] for row in rows]
        assert moments == sorted(moments, reverse=not listing.ascending)


@every_listing
def test_a_cursor_is_good_nowhere_else(new_tenant: NewTenant, template: str) -> None:
    route, listing = of(template)
    tenant, other = new_tenant(), new_tenant()
    path, query = filled(tenant, listing, 3), needed(route)
    cursor = tenant.get(path, limit=1, **query)["next_cursor"]
    assert cursor is not None
    again = tenant.get(path, cursor=cursor, **query)
    assert again == tenant.get(path, cursor=cursor, **query)

    def refused(who: Any, where: str, **more: Any) -> None:
        problem = who.refused("GET", where, **{**query, "cursor": cursor, **more})
        assert (problem["status"], problem["type"]) == (400, "/problems/invalid-cursor"), (
            where,
            more,
        )

    fixed = query.keys() - EVER.keys()
    for name, value in listing.filters.items():
        if name in fixed:
            continue
        refused(tenant, path, **{name: "desc" if name == "order" else other_than(value)})
    refused(other, filled(other, listing, 1))
    for elsewhere in PAGED:
        if elsewhere != template and "{" not in elsewhere:
            where = tenant.refused("GET", elsewhere, cursor=cursor)
            assert where["status"] == 400
    for forged in (
        cursor[:-1],
        cursor + "A",
        cursor[::-1],
        cursor.swapcase(),
        "AAAA",
        f"{cursor} ",
    ):
        problem = tenant.refused("GET", path, **{**query, "cursor": forged})
        assert problem["status"] == 400


def other_than(value: Any) -> Any:
    """Return another end of a range; another filter is one more than there was."""
    if value not in EVER.values():
        return value
    return "2021-01-01T00:00:00Z" if value == EVER["from"] else "2029-01-01T00:00:00Z"


@pytest.mark.parametrize("template", [t for t, each in LISTINGS.items() if each.at])
@pytest.mark.parametrize("limit", [1, 100])
def test_a_range_begins_with_its_start_and_ends_before_its_end(
    new_tenant: NewTenant, template: str, limit: int
) -> None:
    _, listing = of(template)
    tenant = new_tenant()
    path, member = filled(tenant, listing, 8), str(listing.at)
    everything = tenant.all(path, from_=EVER["from"], to=EVER["to"])
    moments = sorted(row[member] for row in everything)
    borders = [*moments[::3], moments[-1]]

    for start in borders:
        for end in [each for each in borders if each >= start]:
            rows = tenant.all(path, from_=start, to=end, limit=limit)
            assert rows == [row for row in everything if start <= row[member] < end]


@every_listing
def test_a_pages_size_is_what_was_asked_for_or_the_default(
    new_tenant: NewTenant, template: str
) -> None:
    route, listing = of(template)
    tenant = new_tenant()
    path, query = filled(tenant, listing, 3), needed(route)

    assert len(tenant.get(path, limit=2, **query)["data"]) == 2
    for wrong in ("0", "501", "-1", "x", "1.0", ""):
        assert tenant.refused("GET", path, limit=wrong, **query)["status"] == 400
    (limit,) = [each for each in route.query if each.name == "limit"]
    assert limit.schema == {"type": "integer", "minimum": 1, "maximum": 500, "default": 100}


def test_keys_that_are_rotated_between_pages_are_shown_once(new_tenant: NewTenant) -> None:
    tenant = new_tenant()
    for number in range(6):
        api_key(tenant, number)
    before = [row["id"] for row in tenant.get("/v1/api-keys")["data"]]
    found: list[str] = []
    query: dict[str, Any] = {"limit": 1}

    while True:
        page = tenant.get("/v1/api-keys", **query)
        found += [row["id"] for row in page["data"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
        tenant.post(f"/v1/api-keys/{found[-1]}/rotate", {"overlap_seconds": 3600})

    assert found == before


def clear(tenant: Any, identity: str) -> None:
    tenant.post(f"/v1/alerts/{identity}/clear")


def rename(tenant: Any, identity: str) -> None:
    tenant.patch(f"/v1/devices/{identity}", {"name": "new"})


@pytest.mark.parametrize(("path", "change"), [("/v1/alerts", clear), ("/v1/devices", rename)])
def test_what_is_changed_between_pages_stays_in_its_place(
    new_tenant: NewTenant, path: str, change: Callable[[Any, str], None]
) -> None:
    tenant = new_tenant()
    filled(tenant, LISTINGS[path], 9)
    before = [row["id"] for row in tenant.get(path)["data"]]
    found: list[str] = []
    query: dict[str, Any] = {"limit": 2}

    while True:
        page = tenant.get(path, **query)
        found += [row["id"] for row in page["data"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
        for identity in before[::4]:
            change(tenant, identity)

    assert found == before


def test_moments_of_the_example_are_different_and_past(new_tenant: NewTenant) -> None:
    tenant = new_tenant()
    moments = [to_rfc3339(moment(tenant, number)) for number in range(30)]

    assert len(set(moments)) == 30
    assert max(moments) < to_rfc3339(tenant.clock.now)
