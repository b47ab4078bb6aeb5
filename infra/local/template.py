"""The deployment's own definitions, read for the local run and the tests.

``infra/resources.json`` is what ``chalice package`` merges into its CloudFormation template.
Table, queues, bucket and event sources of the local run come from it and from nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

RESOURCES = Path(__file__).parent.parent / "resources.json"


@dataclass(frozen=True, slots=True)
class EventSource:
    """How Lambda's poller feeds a function: the settings of its event source mapping."""

    batch_size: int = 10
    window_seconds: float = 0
    partial_failures: bool = False
    """``ReportBatchItemFailures``: what the function answers decides, message by message."""
    bisect: bool = False
    max_retries: int = -1
    """-1 tries for ever."""
    filters: tuple[Mapping[str, Any], ...] = ()
    """Event patterns: a record that matches none of them is skipped.  Empty lets all pass."""
    on_failure: str | None = None
    """Logical id of the queue that learns of what was given up."""


@dataclass(frozen=True, slots=True)
class Template:
    """The merge template."""

    resources: Mapping[str, Any]

    def properties(self, logical_id: str) -> Mapping[str, Any]:
        """Return a resource's properties.  Raises ``KeyError`` for one that is not defined."""
        properties: Mapping[str, Any] = self.resources[logical_id].get("Properties", {})
        return properties

    def of_type(self, kind: str) -> list[str]:
        """Return the logical ids of all resources of one CloudFormation type."""
        return [name for name, each in self.resources.items() if each.get("Type") == kind]

    def event_source(
        self, function: str, default: EventSource, queue: str | None = None
    ) -> EventSource:
        """Return how a function is fed (by a queue): the template's settings over the given ones."""
        events = self.resources.get(function, {}).get("Properties", {}).get("Events", {})
        source = default
        for event in events.values():
            settings = event.get("Properties", {})
            if queue is None or reference(settings.get("Queue")) == queue:
                source = _over(source, settings)
        return source


def load(path: Path = RESOURCES) -> Template:
    """Read the merge template."""
    return Template(json.loads(path.read_text("utf-8"))["Resources"])


def reference(value: Any) -> str | None:
    """Return the logical id that ``Ref`` or ``Fn::GetAtt`` names; None for anything else."""
    if not isinstance(value, dict):
        return None
    if "Ref" in value:
        return str(value["Ref"])
    attribute = value.get("Fn::GetAtt")
    if isinstance(attribute, str):
        return attribute.split(".", 1)[0]
    return str(attribute[0]) if attribute else None


def _over(source: EventSource, settings: Mapping[str, Any]) -> EventSource:
    patterns = settings.get("FilterCriteria", {}).get("Filters", [])
    destination = settings.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
    return replace(
        source,
        batch_size=int(settings.get("BatchSize", source.batch_size)),
        window_seconds=float(settings.get("MaximumBatchingWindowInSeconds", source.window_seconds)),
        partial_failures="ReportBatchItemFailures" in settings.get("FunctionResponseTypes", []),
        bisect=bool(settings.get("BisectBatchOnFunctionError", source.bisect)),
        max_retries=int(settings.get("MaximumRetryAttempts", source.max_retries)),
        filters=tuple(json.loads(each["Pattern"]) for each in patterns) or source.filters,
        on_failure=reference(destination) or source.on_failure,
    )
