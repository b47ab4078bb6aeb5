"""A scripted endpoint on the wire, and a hub in memory with a clock that moves when told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.endpoint import Endpoint
from tests.support.world import World


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as running:
        yield running


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    return World()
