"""Syncs: what a vendor's API lists of devices and of what was missed, fetched slice by slice.

Every answer goes through the inbound queue as the payload that it is.  A slice asks a few times, writes the
job, and then names the next slice; one done twice brings the same payloads again, which changes nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from chalicelib import errands, inbound, telemetry, vendors
from chalicelib.model.clients import KNOWN, Account, Known, Sync, Wanted
from chalicelib.model.envelope import arrived
from chalicelib.store import connections, devices, jobs, syncs
from chalicelib.store.connections import Connection
from chalicelib.store.jobs import CANCELLED, DONE, RUNNING, Job
from chalicelib.store.syncs import FAILED
from chalicelib.store.table import ConflictError, Table, table_of
from chalicelib.sync.accounts import NoAccountError, NotNowError, json_of

if TYPE_CHECKING:
    from chalicelib.aws import Hub
    from chalicelib.model.clients import Step
    from chalicelib.outbound.http import Outcome
    from chalicelib.sync.accounts import Accounts

_REQUESTS, _MILLISECONDS = 25, 10_000
"""What one slice does at most."""
_TRIES = 8
_FIRST, _LONGEST = 5, 900
"""Seconds until a vendor that is away is asked again; they double."""
_PAGE = 100
"""Known devices that are looked at in one step."""
_UNAUTHORIZED = 401
_REFUSED = frozenset(range(400, 500)) - {408, 429}


@dataclass
class _Progress:
    """What is left of a sync, and what became of the rest: the place of its job."""

    steps: list[Step] = field(default_factory=list)
    tries: int = 0
    skipped: int = 0
    reason: str | None = None
    requests: int = 0
    payloads: int = 0


def take(hub: Hub, message: dict[str, Any], accounts: Accounts) -> None:
    """Do the slice that a message names.  Raises whatever AWS raises; the message then comes again."""
    table = table_of(hub)
    job = jobs.find(table, message["tenant"], message["connection"], message["sync"])
    if job is None or job.state != RUNNING or job.slice != message["slice"]:
        return
    connection = connections.find(table, job.owner)
    known = sync_of(connection)
    if connection is None or known is None:
        _save(table, replace(job, state=CANCELLED, finished_at=hub.now()))
        return
    progress = _Progress(**job.place) if job.place else _Progress(_begun(known, job, connection))
    delay = 0
    try:
        account = accounts.open(connection)
        delay = _slice(table, connection, job, known, account, accounts, progress)
    except NoAccountError as error:
        _finish(table, job, progress, FAILED, str(error))
        return
    except NotNowError as error:
        delay = _later(progress, str(error), error.retry_after)
    if progress.tries >= _TRIES:
        _finish(table, job, progress, FAILED, progress.reason)
    elif not progress.steps:
        _finish(table, job, progress, DONE, progress.reason)
    else:
        stored = _save(table, _moved(job, progress), wake=delay * 1000)
        if stored is not None:
            errands.hand_on(hub, stored, delay)


def sync_of(connection: Connection | None) -> Sync | None:
    """Return how a connection's vendor is synced; ``None`` where it is not, or the connection is gone."""
    if connection is None or connection.deleted_at is not None:
        return None
    client = vendors.client(connection.vendor)
    return client.sync if client is not None else None


def _begun(known: Sync, job: Job, connection: Connection) -> list[Step]:
    return known.begin(_wanted(job, connection))


def _wanted(job: Job, connection: Connection) -> Wanted:
    return Wanted(connection.id, connection.settings, job.request["from"], job.request["to"])


def _slice(
    table: Table,
    connection: Connection,
    job: Job,
    known: Sync,
    account: Account,
    accounts: Accounts,
    progress: _Progress,
) -> int:
    """Take steps until enough is done; return how many seconds the next slice should wait."""
    begun, asked = table.hub.now(), 0
    while progress.steps and asked < _REQUESTS and table.hub.now() - begun < _MILLISECONDS:
        step = progress.steps[0]
        if step[0] == KNOWN:
            progress.steps[:1] = _known(table, job, connection, known, step)
            asked += 1
            continue
        outcome = accounts.ask(connection, account, partial(known.request, step))
        asked, progress.requests = asked + 1, progress.requests + 1
        _log(connection, step, outcome)
        if outcome.status == _UNAUTHORIZED:
            raise NoAccountError(f"the vendor refuses the credentials: {outcome.status}")
        if outcome.status in _REFUSED:
            _skip(progress, f"the vendor answered {outcome.status} to {step[0]}")
        elif not outcome.delivered:
            reason = outcome.error or f"the vendor answered {outcome.status}"
            return _later(progress, reason, outcome.retry_after)
        else:
            _read(table, connection, known, step, outcome, progress)
    return 0


def _read(
    table: Table,
    connection: Connection,
    known: Sync,
    step: Step,
    outcome: Outcome,
    progress: _Progress,
) -> None:
    """Put what an answer brings on its way, and take over the steps that it leads to."""
    try:
        fetched = known.read(step, json_of(outcome))
    except ValueError as error:
        _skip(progress, f"the answer to {step[0]} cannot be read: {error}")
        return
    for topic, body in fetched.payloads:
        text = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        inbound.put(table.hub, arrived(connection.id, table.hub.now(), text, topic))
        progress.payloads += 1
    progress.steps[:1] = fetched.steps
    progress.tries = 0


def _known(table: Table, job: Job, connection: Connection, known: Sync, step: Step) -> list[Step]:
    """Return the steps that known devices ask for, and the one that looks at the next of them."""
    page = devices.devices(
        table,
        job.tenant,
        limit=_PAGE,
        after=step[1],
        keep=lambda device: device.connection_id == connection.id,
    )
    found = [devices.device_of(item) for item in page.items]
    listed = [Known(each.native_id, tuple(each.metrics)) for each in found]
    further: list[Step] = [[KNOWN, page.after]] if page.after is not None else []
    return [*known.about(_wanted(job, connection), listed), *further]


def _skip(progress: _Progress, reason: str) -> None:
    progress.steps.pop(0)
    progress.skipped, progress.reason, progress.tries = progress.skipped + 1, reason, 0


def _later(progress: _Progress, reason: str, retry_after: str | None) -> int:
    """Note that the vendor is away; return how many seconds to wait."""
    wait: int = min(_FIRST * 2**progress.tries, _LONGEST)
    progress.tries, progress.reason = progress.tries + 1, reason
    if retry_after is not None and retry_after.isascii() and retry_after.isdigit():
        wait = min(max(int(retry_after), 1), _LONGEST)
    return wait


def _moved(job: Job, progress: _Progress) -> Job:
    place = {
        "steps": progress.steps,
        "tries": progress.tries,
        "skipped": progress.skipped,
        "reason": progress.reason,
        "requests": progress.requests,
        "payloads": progress.payloads,
    }
    looked, count = progress.requests, progress.payloads
    return replace(job, slice=job.slice + 1, place=place, looked_at=looked, count=count)


def _finish(table: Table, job: Job, progress: _Progress, state: str, reason: str | None) -> None:
    progress.steps, progress.reason = [], reason
    ended = replace(_moved(job, progress), state=state, finished_at=table.hub.now())
    if state == DONE:
        syncs.end(table, ended)
    _save(table, ended)


def _save(table: Table, job: Job, *, wake: int = 0) -> Job | None:
    """Write a job; ``None`` if somebody else did the slice: theirs counts, and they go on."""
    try:
        return jobs.save(table, job, wake=wake)
    except ConflictError:
        return None


def _log(connection: Connection, step: Step, outcome: Outcome) -> None:
    telemetry.logger().info(
        "sync.asked",
        extra={
            "connection": connection.id,
            "vendor": connection.vendor,
            "what": step[0],
            "status": outcome.status,
            "error": outcome.error,
            "milliseconds": outcome.latency_ms,
        },
    )
