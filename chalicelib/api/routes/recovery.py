"""Recovery of an integration: replay, retries, redrive, and which records its filter would match."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from chalicelib import outbox
from chalicelib.api.calls import Call
from chalicelib.api.http import Response
from chalicelib.api.parameters import check_range
from chalicelib.api.problems import FieldError, ProblemError, invalid_fields, not_found
from chalicelib.api.routes.integrations import existing
from chalicelib.model import matching
from chalicelib.model.cloudevents import CloudEvent
from chalicelib.model.times import HOUR, from_rfc3339, to_rfc3339
from chalicelib.store import jobs
from chalicelib.store.history import History, Place
from chalicelib.store.integrations import Integration
from chalicelib.store.jobs import Job
from chalicelib.store.table import ConflictError

_BUDGET = 10_000
"""Milliseconds for which an answer may look at records: API Gateway waits for 29 s."""
_MOST = 100_000
"""Records that an answer looks at."""
_SHOWN = 100
"""Events that a test of a filter shows."""


def replay(call: Call) -> Any:
    """Deliver stored records again, or count them."""
    integration, given = existing(call), call.body
    start, end = from_rfc3339(given.begin) or 0, from_rfc3339(given.end) or 0
    check_range({"from": start, "to": end})
    rules = _rules(call, integration)
    if given.preview:
        seen = _Seen()
        complete = seen.look(call, History(call.table, call.tenant, rules, start, end))
        return Response(200, {"count": seen.matched, "complete": complete})
    if not integration.enabled:
        raise ProblemError("conflict", "The integration is disabled: enable it, then replay.")
    return _begin(call, integration, "replay", {"from": start, "to": end, "filter": rules})


def retry_failed(call: Call) -> Any:
    """Attempt every delivery again that failed since a moment."""
    integration = existing(call)
    return _begin(call, integration, "retry", {"since": from_rfc3339(call.body.since)})


def redrive(call: Call) -> Any:
    """Attempt every dead delivery again and empty the dead letters."""
    return _begin(call, existing(call), "redrive", {})


def list_recoveries(call: Call) -> Any:
    """List replays, retries and redrives, newest first."""
    integration = existing(call)
    page = jobs.jobs(call.table, call.tenant, integration.id, limit=call.limit, after=call.after)
    return call.page([_json(jobs.job_of(item)) for item in page.items], page.after)


def read(call: Call) -> Any:
    """Read how far a replay, retry or redrive is."""
    integration = existing(call)
    job = jobs.find(call.table, call.tenant, integration.id, call.path["job_id"])
    if job is None:
        raise not_found("replay")
    return _json(job)


def filter_test(call: Call) -> Any:
    """Show which records of the last hour a filter matches."""
    integration = existing(call)
    end = call.hub.now() + 1
    start, seen = end - HOUR, _Seen()
    rules = _rules(call, integration)
    history = History(call.table, call.tenant, rules, start, end, thorough=True)
    complete = seen.look(call, history)
    return {
        "from": to_rfc3339(start),
        "to": to_rfc3339(end),
        "looked_at": seen.looked_at,
        "matched": seen.matched,
        "complete": complete,
        "data": seen.shown,
    }


class _Seen:
    """What an answer has seen of the history, within its budget."""

    def __init__(self) -> None:
        self.looked_at = self.matched = 0
        self.shown: list[CloudEvent] = []

    def look(self, call: Call, history: History) -> bool:
        """Look at records until all are seen (true) or the budget is spent."""
        begun = call.hub.now()
        for step in history.walk(Place()):
            self.looked_at += step.looked_at
            self.matched += len(step.events)
            self.shown += step.events[: _SHOWN - len(self.shown)]
            if self.looked_at >= _MOST or call.hub.now() - begun >= _BUDGET:
                return False
        return True


def _rules(call: Call, integration: Integration) -> Mapping[str, Any]:
    """Return the filter that was sent, else the integration's."""
    if "filter" not in call.given():
        return integration.filter
    rules: Mapping[str, Any] = call.body.filter
    found = matching.problems(rules)
    if found:
        raise invalid_fields([FieldError(f"/filter{where}", detail) for where, detail in found])
    return rules


def _begin(
    call: Call, integration: Integration, kind: str, request: Mapping[str, Any]
) -> dict[str, Any]:
    now = call.hub.now()
    job = Job(call.created_id, call.tenant, integration.id, kind, now, request)
    with suppress(
        ConflictError
    ):  # begun by a call that died before its answer; the sweep sees to it
        outbox.begin(call.hub, job)
    return {"id": job.id}


def _json(job: Job) -> dict[str, Any]:
    asked = job.request
    return {
        "id": job.id,
        "integration_id": job.owner,
        "kind": job.kind,
        "state": job.state,
        "from": to_rfc3339(asked["from"]) if "from" in asked else None,
        "to": to_rfc3339(asked["to"]) if "to" in asked else None,
        "filter": asked.get("filter"),
        "since": to_rfc3339(asked["since"]) if "since" in asked else None,
        "looked_at": job.looked_at,
        "count": job.count,
        "created_at": to_rfc3339(job.created_at),
        "finished_at": to_rfc3339(job.finished_at) if job.finished_at is not None else None,
    }
