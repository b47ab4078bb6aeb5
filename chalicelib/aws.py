"""The hub's hands: AWS clients, made when first used, the clock and the resolver.

Stages take a :class:`Hub` and touch AWS through it only, so that a test hands them fakes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from chalicelib import config, resolution

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient


class Hub:
    """Configuration, clients, clock and resolver of one running hub."""

    def __init__(
        self,
        settings: config.Config,
        client: Callable[[str], Any],
        now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        resolve: resolution.Resolve = resolution.resolve,
    ) -> None:
        self.config = settings
        self.now = now
        """Milliseconds since 1970 by this machine's clock."""
        self.resolve = resolve
        """From a name to its addresses."""
        self._client = client

    @cached_property
    def dynamodb(self) -> DynamoDBClient:
        """The table's client."""
        return self._client("dynamodb")  # type: ignore[no-any-return]

    @cached_property
    def sqs(self) -> SQSClient:
        """The queues' client."""
        return self._client("sqs")  # type: ignore[no-any-return]

    @cached_property
    def s3(self) -> S3Client:
        """The archive's client."""
        return self._client("s3")  # type: ignore[no-any-return]

    @cached_property
    def kms(self) -> Any:
        """The client of what opens the hub's data keys."""
        return self._client("kms")


@cache
def hub() -> Hub:
    """Return the hub of this process, configured by its environment."""
    return Hub(config.from_environment(), client)


def client(service: str) -> Any:
    """Return a boto3 client.  Parameter validation is off: it is half the cost of a large call."""
    import boto3  # noqa: PLC0415 - 150 ms that a handler without AWS calls does not pay
    from botocore.config import Config as ClientConfig  # noqa: PLC0415

    settings = ClientConfig(
        parameter_validation=False,
        connect_timeout=3,
        read_timeout=15,
        max_pool_connections=32,
        retries={"mode": "standard", "max_attempts": 5},
    )
    return boto3.client(service, config=settings)  # type: ignore[call-overload]
