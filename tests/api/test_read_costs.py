"""What each kind of read costs, by AWS's own sizing rules, as the README says it.

The figures are those of a warm process: who asks is known.  A read's cost follows what it shows, not what
is stored: the same page is read of a thousand and of a hundred thousand points, and beside many alerts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chalicelib.aws import Hub
from chalicelib.model.assembly import SignalRecord
from chalicelib.model.times import DAY, to_rfc3339
from chalicelib.store import alerts, deliveries, keys
from chalicelib.store.said import Provenance
from chalicelib.store.table import Key, Plain, table_of
from infra.meter import Meter

README = Path(__file__).parents[2] / "README.md"
MINUTE = 60_000
START = 1_780_272_000_000
"""The first of a device's readings: one a minute, each payload carries one of every metric."""


@dataclass
class Counted:
    """A fake AWS service that a meter listens to, as it listens to boto3."""

    service: Any
    meter: Meter

    def __getattr__(self, name: str) -> Callable[..., Any]:
        operation = "".join(part.capitalize() for part in name.split("_"))

        def call(**params: Any) -> Any:
            self.meter.asked(operation, params)
            answer = getattr(self.service, name)(**params)
            self.meter.answered(operation, answer)
            return answer

        return call


@pytest.fixture
def meter(tenant: Any) -> Meter:
    """Count what the tenant's hub sends from now on."""
    tenant.unlimited = True
    found = Meter(tenant.aws.dynamodb, "hub")
    before = tenant.hub

    def client(service: str) -> Any:
        return Counted(tenant.aws.client(service), found)

    tenant.hub = Hub(before.config, client, before.now, before.resolve)
    return found


def cost(tenant: Any, meter: Meter, path: str, **query: Any) -> tuple[float, float, int]:
    """Return calls, read units and rows of a read in a warm process."""
    tenant.get(path, **query)
    meter.reset()
    answer = tenant.get(path, **query)
    found = meter.summary()
    assert found["write_units"] == 0
    assert found["sqs_requests"] == 0
    rows = answer.get("data", [answer])
    return found["calls"], found["read_units"], len(rows)


def cloned(tenant: Any, device: str, prefix: str, count: int, step: int = MINUTE) -> None:
    """Store what a device said once again and again, so many times in all, a step apart."""
    table = table_of(tenant.hub)
    ((item, *_), _) = table.query(keys.device_pk(tenant.id, device), prefix, f"{prefix}~")
    *head, _, tail = item["sk"].split("#")
    rest = {name: value for name, value in item.items() if name not in {"pk", "sk", "g1sk"}}
    made: dict[Key, Plain] = {}
    for number in range(count):
        moment = to_rfc3339(START + number * step)
        name = f"{tail[: -len(str(number))]}{number}"
        index = {"g1sk": f"{moment}#{name}"} if "g1sk" in item else {}
        made[Key(item["pk"], "#".join((*head, moment, name)))] = rest | index
    table.delete(Key(item["pk"], item["sk"]))
    table.put_many(made)


def measuring(tenant: Any, device: str, metrics: int, points: int) -> str:
    items = [
        {"name": f"quantity{number}", "value": 20.5 + number, "timestamp": START}
        for number in range(metrics)
    ]
    tenant.receives(items, f"devices/{device}/measurements")
    cloned(tenant, f"relayr:{device}", keys.SEGMENT, points // metrics)
    return f"/v1/devices/relayr:{device}/measurements"


EVER = {"from_": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"}
ONE = {"metric": "relayr.quantity0"}
Row = tuple[str, float, float]


def of_devices(tenant: Any, meter: Meter) -> list[Row]:
    for number in range(120):
        tenant.measured(f"d{number}", tenant.clock.now, number)
    ten = [f"relayr:d{number}" for number in range(10)]
    found = [
        ("a device", cost(tenant, meter, "/v1/devices/relayr:d0")),
        ("its state", cost(tenant, meter, "/v1/devices/relayr:d0/state")),
        ("the latest of 10 devices", cost(tenant, meter, "/v1/measurements/latest", device=ten)),
        ("100 devices", cost(tenant, meter, "/v1/devices")),
    ]
    assert [rows for _, (_, _, rows) in found] == [1, 1, 10, 100]
    return [(name, calls, units) for name, (calls, units, _) in found]


def of_measurements(tenant: Any, meter: Meter) -> list[Row]:
    table: list[Row] = []
    for metrics in (1, 30):
        of_each: list[set[Any]] = []
        for points in (1000, 100_000):
            path = measuring(tenant, f"m{metrics}x{points}", metrics, points)
            asked: list[dict[str, Any]] = [{}, ONE] if metrics > 1 else [{}]
            found = [cost(tenant, meter, path, **EVER, **each) for each in asked]
            assert [rows for _, _, rows in found] == [
                100,
                *[min(100, points // metrics)] * (metrics > 1),
            ]
            of_each.append(set(found[:1]))
        assert of_each[0] == of_each[1]  # a hundred times as much is stored
        told = "1 metric" if metrics == 1 else f"{metrics} metrics"
        table.append((f"100 measurements, all of {told}", *found[0][:2]))
        if metrics > 1:
            table.append((f"100 measurements, 1 of {told}", *found[1][:2]))
    return table


def of_events(tenant: Any, meter: Meter) -> list[Row]:
    item = {"message": "the valve does not close", "timestamp": START}
    tenant.receives([item], "devices/e/logs")
    cloned(tenant, "relayr:e", keys.EVENT, 300)
    found = [
        ("100 events of all devices", cost(tenant, meter, "/v1/events")),
        ("100 events of a device", cost(tenant, meter, "/v1/devices/relayr:e/events")),
    ]
    assert [rows for _, (_, _, rows) in found] == [100, 100]
    return [(name, calls, units) for name, (calls, units, _) in found]


def of_alerts(tenant: Any, meter: Meter) -> list[Row]:
    body = {"settings": {"severity_map": {"fire": "critical"}}}
    tenant.patch(f"/v1/connections/{tenant.connection()}", body)
    for number in range(150):
        tenant.alerted(f"a{number % 15}", f"draught{number}", START + number * MINUTE)
        if number % 2:
            at = START + number * MINUTE
            tenant.alerted(f"a{number % 15}", f"draught{number}", at, "clear")
    tenant.alerted("a0", "fire", START - DAY)
    path = "/v1/alerts"
    (fire,) = tenant.get(path, severity="critical")["data"]
    found = [
        ("an alert", cost(tenant, meter, f"{path}/{fire['id']}")),
        ("100 alerts of 151", cost(tenant, meter, path)),
        ("the 76 that are active", cost(tenant, meter, path, state="active")),
        ("the 1 that is critical", cost(tenant, meter, path, severity="critical")),
        ("the 11 of a device", cost(tenant, meter, path, device="relayr:a0")),
    ]
    assert [rows for _, (_, _, rows) in found] == [1, 100, 76, 1, 11]
    return [(name, calls, units) for name, (calls, units, _) in found]


def of_traces(tenant: Any, meter: Meter) -> list[Row]:
    envelope = tenant.measured("t", tenant.clock.now, 20)
    for number in range(120):
        tenant.receives([{"name": f"x{number}"}], "devices/q/measurements", archived=False)
        sent = tenant.receives([{"name": f"x{number}"}], "devices/q/measurements", archived=False)
        tenant.process(sent)
    body = {"name": "one", "kind": "webhook", "config": {"url": "https://example.com/"}}
    integration = tenant.post("/v1/integrations", body)["id"]
    table = table_of(tenant.hub)
    for number in range(120):
        row = deliveries.begun(
            tenant.id,
            integration,
            [{"id": f"event{number}", "data": {"text": "x" * 500}}],
            batch=False,
            now=tenant.clock.now + number,
        )
        deliveries.save(table, row)
    path = f"/v1/integrations/{integration}/deliveries"
    found = [
        ("a receipt", cost(tenant, meter, f"/v1/receipts/{envelope.receipt_id}")),
        ("100 quarantined items", cost(tenant, meter, "/v1/quarantine")),
        ("100 deliveries", cost(tenant, meter, path)),
    ]
    assert [rows for _, (_, _, rows) in found] == [1, 100, 100]
    return [(name, calls, units) for name, (calls, units, _) in found]


def test_the_readme_says_what_reads_cost(tenant: Any, meter: Meter) -> None:
    rows: list[Row] = []
    for part in (of_devices, of_measurements, of_events, of_alerts, of_traces):
        rows += part(tenant, meter)
    wanted = "\n".join(
        ["| read | AWS calls | read units |", "|---|---|---|"]
        + [f"| {name} | {calls:g} | {units:g} |" for name, calls, units in rows]
    )

    _, begun, rest = README.read_text().partition("<!-- read costs -->\n")
    written, _, _ = rest.partition("\n\n")

    assert begun
    assert written == wanted, f"the README's table is to be:\n{wanted}"


@pytest.mark.parametrize(
    ("action", "units"),
    [
        ("raise", 4),  # where it is found by its id; itself; its places by time and by kind
        ("acknowledge", 4),  # itself, its place by time; out of one kind and into another
        ("clear", 4),
    ],
)
def test_what_folding_an_alert_writes(tenant: Any, meter: Meter, action: str, units: int) -> None:
    table, source = table_of(tenant.hub), Provenance("con_a", "", 1)

    def say(key: str, action: str) -> None:
        by = "Ada" if action == "acknowledge" else None
        said = SignalRecord("relayr:a", key, action, START, action, name="hot", by=by)
        alerts.signal(table, tenant.id, said, source)

    for key, acts in {"a": ("raise", "clear"), "b": ("raise", "acknowledge")}.items():
        for each in acts:  # so that all kinds are marked
            say(key, each)
            alerts.refold(table, tenant.id, "relayr:a", key, START)
    if action != "raise":
        say("this", "raise")
        alerts.refold(table, tenant.id, "relayr:a", "this", START)
    say("this", action)
    meter.reset()

    alerts.refold(table, tenant.id, "relayr:a", "this", START)

    assert meter.summary()["write_units"] == units
