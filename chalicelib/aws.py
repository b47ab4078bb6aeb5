"""The hub's hands: AWS clients, made when first used, the clock and the resolver.

Stages take a :class:`Hub` and touch AWS through it only, so that a test hands them fakes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
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
        client: Callable[..., Any],
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

    def guest(self, service: str, region: str, credentials: Credentials | None) -> Any:
        """Return a new client for a delivery: in a region, and in another's name.

        It does not try again: deliveries have a schedule of their own.  Empty region: the hub's own;
        no credentials: the hub's own name.
        """
        options: dict[str, Any] = {"guest": True}
        if region:
            options["region_name"] = region
        if credentials is not None:
            options |= {
                "aws_access_key_id": credentials.key_id,
                "aws_secret_access_key": credentials.secret,
                "aws_session_token": credentials.token,
            }
        return self._client(service, **options)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who a client is, for a while."""

    key_id: str
    secret: str = field(repr=False)
    token: str = field(repr=False)


@cache
def hub() -> Hub:
    """Return the hub of this process, configured by its environment."""
    return Hub(config.from_environment(), client)


def client(service: str, *, guest: bool = False, **options: Any) -> Any:
    """Return a boto3 client.  Parameter validation is off: it is half the cost of a large call."""
    import boto3  # noqa: PLC0415 - 150 ms that a handler without AWS calls does not pay
    from botocore.config import Config as ClientConfig  # noqa: PLC0415

    settings = ClientConfig(
        # What S3 takes in every region, for links too, and at every endpoint.
        signature_version="s3v4" if service == "s3" else None,
        s3={"addressing_style": "path"} if service == "s3" and not guest else None,
        parameter_validation=False,
        # Botocore's own is put together anew for every call, at a sixth of the call's CPU.
        user_agent="Tributary/1",
        connect_timeout=3,
        read_timeout=15,
        max_pool_connections=32,
        retries={"mode": "standard", "max_attempts": 0 if guest else 5},
    )
    return boto3.client(service, config=settings, **options)  # type: ignore[call-overload]
