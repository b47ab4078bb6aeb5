"""What a run of deliver did: a log line an attempt, and metrics once a run, not once a delivery."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Sequence

from chalicelib import telemetry
from chalicelib.model.cloudevents import CloudEvent
from chalicelib.model.times import from_rfc3339
from chalicelib.outbound.http import Outcome
from chalicelib.store.deliveries import Delivery

_Group = tuple[str, str]


class Tally:
    """Counts by integration and vendor."""

    def __init__(self) -> None:
        self._counts: dict[_Group, Counter[str]] = defaultdict(Counter)
        self._slowest: dict[_Group, dict[str, int]] = defaultdict(dict)
        self._lock = threading.Lock()

    def attempted(
        self, row: Delivery, events: Sequence[CloudEvent], outcome: Outcome, now: int
    ) -> None:
        """Log and count one attempt."""
        telemetry.attempt(
            tenant=row.tenant,
            integration=row.integration_id,
            delivery=row.id,
            events=list(row.event_ids),
            attempt=len(row.attempts) + 1,
            delivered=outcome.delivered,
            status=outcome.status,
            latency_ms=outcome.latency_ms,
            error=outcome.error,
            **_why_unsent(outcome),
        )
        source = events[0]["source"].split("/")
        group = (row.integration_id, source[2] if source[1] == "vendors" else "hub")
        with self._lock:
            counts, slowest = self._counts[group], self._slowest[group]
            counts["attempts"] += 1
            counts["failures"] += not outcome.delivered
            slowest["latency"] = max(slowest.get("latency", 0), outcome.latency_ms)
            if not outcome.delivered:
                slowest["undelivered"] = max(slowest.get("undelivered", 0), now - row.created_at)
            if outcome.delivered:
                counts["delivered"] += len(events)
                lag = now - (from_rfc3339(events[0]["time"]) or now)
                slowest["lag"] = max(slowest.get("lag", 0), lag)

    def publish(self) -> None:
        """Print the metrics."""
        for group, counts in self._counts.items():
            dimensions = {"integration": group[0], "vendor": group[1]}
            telemetry.count("Count", dimensions=dimensions, **counts)
            telemetry.count("Milliseconds", dimensions=dimensions, **self._slowest[group])


def _why_unsent(outcome: Outcome) -> dict[str, str]:
    """Say why nothing was sent, and for a shadow what would have been."""
    if outcome.unsent is None:
        return {}
    return {"unsent": outcome.unsent} | ({"rendered": outcome.excerpt} if outcome.excerpt else {})
