"""Readers of the API that we did not write: schemathesis, and a client generated from the document."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from tests.support.served import served

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "8"))
"""Cases of each phase for each operation; more find more."""
CONFIG = Path(__file__).with_name("schemathesis.toml")


@pytest.fixture
def filled(tenant: Any) -> Any:
    """Return a tenant with some of everything."""
    now = tenant.clock.now
    for number in range(3):
        tenant.measured(f"d{number}", now + number, 20 + number)
        tenant.alerted(f"d{number}", "frost", now + number)
    tenant.receives(b"{", "devices/d1/alerts")
    tenant.receives({"error": "x"}, "devices/d1/errors")
    hook = {"name": "hook", "kind": "webhook", "config": {"url": "https://example.com/hook"}}
    tenant.post("/v1/integrations", hook)
    return tenant


def run(*command: str, folder: Path) -> None:
    """Run a program and fail with what it says."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(  # noqa: S603 - our own command
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "PATH": path},
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]


def test_schemathesis_finds_neither_a_failure_nor_an_undocumented_answer(
    filled: Any, tmp_path: Path
) -> None:
    with served(filled.hub) as url:
        run(
            str(Path(sys.executable).with_name("st")),
            *("--config-file", str(CONFIG)),
            *("run", f"{url}/v1/openapi.json"),
            *("--header", f"Authorization: Bearer {filled.key}"),
            *("--phases", "examples,coverage,fuzzing,stateful"),
            *("--max-examples", str(EXAMPLES), "--seed", "1", "--no-color"),
            folder=tmp_path,
        )


@pytest.fixture
def client(filled: Any, tmp_path: Path) -> Iterator[tuple[ModuleType, str]]:
    """Return a client package that was just generated from the document, and the API's URL."""
    with served(filled.hub) as url:
        document = tmp_path / "openapi.json"
        document.write_bytes(httpx.get(f"{url}/v1/openapi.json").content)
        run(
            str(Path(sys.executable).with_name("openapi-python-client")),
            *("generate", "--path", str(document), "--meta", "none"),
            *("--output-path", str(tmp_path / "tributary_client"), "--fail-on-warning"),
            folder=tmp_path,
        )
        sys.path.insert(0, str(tmp_path))
        try:
            yield importlib.import_module("tributary_client"), url
        finally:
            sys.path.remove(str(tmp_path))
            for name in [each for each in sys.modules if each.startswith("tributary_client")]:
                del sys.modules[name]


def test_a_client_generated_from_the_document_makes_a_round_trip(
    client: tuple[ModuleType, str], filled: Any
) -> None:
    package, url = client
    with package.AuthenticatedClient(base_url=url, token=filled.key) as api:
        make_a_round_trip(api)


def make_a_round_trip(api: Any) -> None:
    def call(name: str, *path: str, **more: Any) -> Any:
        return importlib.import_module(f"tributary_client.api.{name}").sync(
            *path, client=api, **more
        )

    models = importlib.import_module("tributary_client.models")
    made = call(
        "connections.connections_create",
        body=models.ConnectionBody(vendor="relayr", name="made by a client"),
    )
    assert made.secret
    assert call("connections.connections_read", made.id).name == "made by a client"

    first = call("devices.devices_list_devices", limit=2)
    second = call("devices.devices_list_devices", limit=2, cursor=first.next_cursor)
    assert len({each.id for each in [*first.data, *second.data]}) == 3

    active = models.AlertsListAlertsState.ACTIVE
    alerts = call("alerts.alerts_list_alerts", state=active).data
    assert len(alerts) == 3
    noted = call("alerts.alerts_acknowledge", alerts[0].id, body=models.Note(note="on my way"))
    assert noted.acknowledged.note == "on my way"

    assert call("connections.connections_delete", made.id) is None
    problem = call("connections.connections_read", made.id)
    assert (problem.status, problem.type_) == (404, "/problems/not-found")
