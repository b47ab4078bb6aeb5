"""The embedded AWS, once for all tests that ask for it; every test has resources of its own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra.local import daemon, emulator, provision, template
from infra.local.files import Folder, read_json


class Session(boto3.Session):
    """A session whose clients all talk to one endpoint, whatever the environment says."""

    def __init__(self, endpoint_url: str) -> None:
        super().__init__("test", "test", region_name=emulator.REGION)
        self.endpoint_url = endpoint_url

    def client(self, service: Any, **settings: Any) -> Any:  # type: ignore[override]
        return super().client(service, endpoint_url=self.endpoint_url, **settings)


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder = Folder(tmp_path_factory.mktemp("aws"))
    running = emulator.start(folder)
    yield Session(running.endpoint_url)
    emulator.stop(folder, running)


@pytest.fixture
def prefix() -> str:
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def provisioned(aws: Session, prefix: str) -> provision.Provisioned:
    return provision.provision(aws, template.load(), prefix)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    left = read_json(tmp_path / ".local" / "aws.json")
    if left:
        daemon.end(left["pid"], "ministack")
