"""The embedded AWS of ``make run`` for tests: started when first asked for, a table set for each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config as ClientConfig

from chalicelib.aws import Hub
from chalicelib.config import Config
from infra.local import emulator, template
from infra.local.files import Folder
from infra.local.provision import Provisioned, provision
from tests.support.fake_aws import Clock

_NUMBERS = itertools.count(1)


@dataclass
class Embedded:
    """A running AWS and how to talk to it."""

    session: boto3.Session
    endpoint_url: str
    clock: Clock = field(default_factory=Clock)

    def client(self, service: str) -> Any:
        """Return a new client of a service."""
        settings = ClientConfig(
            signature_version="s3v4" if service == "s3" else None,
            retries={"mode": "standard", "max_attempts": 1},
        )
        made: Any = self.session.client(  # type: ignore[call-overload]
            service, endpoint_url=self.endpoint_url, config=settings
        )
        return made

    def provisioned(self) -> Provisioned:
        """Return a table, queues and a bucket that nobody else uses."""
        return provision(_Session(self), template.load(), f"test{next(_NUMBERS)}")  # type: ignore[arg-type]

    def stream(self, table: str) -> list[Any]:
        """Return all that a table's stream holds, as boto3 reads it."""
        streams = self.client("dynamodbstreams")
        arn = self.stream_arn(table)
        found: list[Any] = []
        for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
            iterator = streams.get_shard_iterator(
                StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            while iterator:
                page = streams.get_records(ShardIterator=iterator)
                found += page["Records"]
                iterator = page.get("NextShardIterator") if page["Records"] else None
        return found

    def stream_arn(self, table: str) -> str:
        """Return the name of a table's stream."""
        description = self.client("dynamodb").describe_table(TableName=table)["Table"]
        return str(description["LatestStreamArn"])

    def hub(self, client: Any = None) -> Hub:
        """Return a hub on resources of its own."""
        made = self.provisioned()
        urls = made.environment()
        settings = Config(
            table=made.table,
            inbound_url=urls["INBOUND_QUEUE_URL"],
            deliveries_url=urls["DELIVERIES_QUEUE_URL"],
            dead_letters_url=urls["DEAD_LETTERS_QUEUE_URL"],
            bucket=made.bucket,
            ordered_url=urls["ORDERED_QUEUE_URL"],
            sync_url=urls["SYNC_QUEUE_URL"],
            ordered_dead_letters_url=urls["ORDERED_DEAD_LETTERS_QUEUE_URL"],
            exports_url=urls["EXPORTS_QUEUE_URL"],
            secrets_key=made.secrets_key,
        )
        return Hub(settings, client or self.client, self.clock)


@dataclass
class _Session:
    """What provisioning needs of a session, at our endpoint."""

    embedded: Embedded

    @property
    def region_name(self) -> str:
        return emulator.REGION

    def client(self, service: str) -> Any:
        return self.embedded.client(service)


@contextmanager
def running(folder: Path) -> Iterator[Embedded]:
    """Run the embedded AWS as long as the block lasts."""
    files = Folder(folder)
    started = emulator.start(files)
    session = boto3.Session(
        aws_access_key_id="test", aws_secret_access_key="test", region_name=emulator.REGION
    )
    try:
        yield Embedded(session, started.endpoint_url)
    finally:
        emulator.stop(files, started)
