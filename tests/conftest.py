"""Options of a run, and what every test may ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from chalicelib import telemetry
from tests.support.embedded import Embedded, running

# A slow machine is no reason to fail; what was found before is replayed by the printed seed.
settings.register_profile(
    "hub", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("hub")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--mutations", type=int, default=50_000, help="mutated payloads to try")
    parser.addoption("--schedules", type=int, default=1000, help="schedules of faults to try")


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the hub's log lines away from a test that provokes thousands of them."""
    monkeypatch.setenv("LOG_LEVEL", "CRITICAL")
    telemetry.logger.cache_clear()
    yield
    telemetry.logger.cache_clear()


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """Return the embedded AWS of ``make run``, started once a session."""
    with running(tmp_path_factory.mktemp("embedded")) as found:
        yield found
