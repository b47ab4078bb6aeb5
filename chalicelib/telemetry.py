"""One structured log line a thing that happened, and metrics inside log lines (EMF)."""

from __future__ import annotations

import json
import os
import time
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger

NAMESPACE = "Tributary"


@cache
def logger() -> Logger:
    """Return the hub's structured logger."""
    from aws_lambda_powertools import Logger  # noqa: PLC0415

    return Logger(service="tributary", level=os.environ.get("LOG_LEVEL", "INFO"))


def count(unit: str = "Count", *, dimensions: dict[str, str], **values: float) -> None:
    """Publish metrics by printing one embedded-metric-format line: no call, no agent."""
    if _quiet():
        return
    from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit  # noqa: PLC0415

    metrics = EphemeralMetrics(namespace=NAMESPACE, service="tributary")
    for name, value in dimensions.items():
        metrics.add_dimension(name=name, value=value)
    for name, number in values.items():
        metrics.add_metric(name=name, unit=MetricUnit(unit), value=number)
    metrics.flush_metrics()


def attempt(**fields: Any) -> None:
    """Write the one line that every delivery attempt leaves."""
    logger().info("delivery.attempted", extra=fields)


def plain(message: str, **fields: Any) -> None:
    """Print one JSON line without importing a logger (ingress starts faster without it)."""
    if _quiet():
        return
    print(json.dumps({"message": message, "at": time.time(), **fields}, default=str))  # noqa: T201


def _quiet() -> bool:
    return os.environ.get("LOG_LEVEL") in {"ERROR", "CRITICAL"}
