"""A hub on the in-memory fakes."""

from __future__ import annotations

import pytest

from chalicelib.aws import Hub
from chalicelib.config import Config
from chalicelib.store.table import Table, table_of
from tests.support.fake_aws import FakeAws


@pytest.fixture
def aws() -> FakeAws:
    return FakeAws()


@pytest.fixture
def hub(aws: FakeAws) -> Hub:
    settings = Config("hub", "inbound", "deliveries", "dead", "archive")
    return Hub(settings, aws.client, aws.clock)


@pytest.fixture
def table(hub: Hub) -> Table:
    return table_of(hub)
