"""Exports: an operator has measurements written into a file and fetches it by a link that ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chalicelib import exportation
from chalicelib.api import parameters
from chalicelib.api.calls import Call
from chalicelib.api.problems import FieldError, ProblemError, invalid_fields, not_found
from chalicelib.model.times import from_rfc3339, to_rfc3339
from chalicelib.store import devices, exports
from chalicelib.store.exports import DELETED, DONE, Export
from chalicelib.store.table import ConflictError

_EXPIRED = "expired"
"""The state of an export whose file is not there any more."""


def begin(call: Call) -> Any:
    """Begin to write measurements of some devices into a file."""
    given = call.body
    start, end = from_rfc3339(given.begin) or 0, from_rfc3339(given.end) or 0
    parameters.check_range({"from": start, "to": end})
    _check(call, given.devices, given.metrics)
    export = Export(
        tenant=call.tenant,
        id=call.created_id,
        devices=tuple(given.devices),
        metrics=None if given.metrics is None else tuple(given.metrics),
        start=start,
        end=end,
        format=given.format,
        compression=given.compression,
        created_at=call.hub.now(),
    )
    try:
        export = exports.save(call.table, export)
    except ConflictError:  # made by a call that died before its answer
        export = exports.find(call.table, call.tenant, export.id) or export
    exportation.enqueue(call.hub, export)
    return _json(call, export)


def list_exports(call: Call) -> Any:
    """List exports, newest first."""
    page = exports.exports(call.table, call.tenant, limit=call.limit, after=call.after)
    return call.page([_json(call, exports.export_of(item)) for item in page.items], page.after)


def read(call: Call) -> Any:
    """Read how far an export is; once it is done, with a new link to its file."""
    export = exports.find(call.table, call.tenant, call.path["export_id"])
    if export is None or export.state == DELETED:
        raise not_found("export")
    return _json(call, export, linked=True)


def delete(call: Call) -> Any:
    """End an export, and remove its file."""
    export = exports.give_up(call.table, call.tenant, call.path["export_id"])
    if export is None:
        raise not_found("export")
    exportation.enqueue(call.hub, export)


def _check(call: Call, wanted: Sequence[str], metrics: Sequence[str] | None) -> None:
    """Refuse devices and metrics that there are not: a file without them would not say so."""
    errors = []
    for place, metric in enumerate(metrics or ()):
        try:
            parameters.check_vendors({"metric": [metric]}, call.vendors)
        except ProblemError as problem:
            errors.append(FieldError(f"/metrics/{place}", problem.detail))
    known = devices.many(call.table, call.tenant, wanted)
    errors += [
        FieldError(f"/devices/{place}", "There is no such device.")
        for place, device_id in enumerate(wanted)
        if device_id not in known
    ]
    if errors:
        raise invalid_fields(errors)


def _json(call: Call, export: Export, *, linked: bool = False) -> dict[str, Any]:
    """Return an export as the API shows it; ``linked``: with the URL of a file that is there."""
    now, state, finished = call.hub.now(), export.state, export.finished_at
    left = exportation.LINK_SECONDS
    if not call.hub.config.keep_all:
        left = min(left, (export.kept_until - now) // 1000)
    if state == DONE and left <= 0:
        state = _EXPIRED
    fetched = linked and state == DONE
    return {
        "id": export.id,
        "state": state,
        "progress": export.progress,
        "url": exportation.link(call.hub, export, left) if fetched else None,
        "expires_at": to_rfc3339(now + left * 1000) if fetched else None,
        "reason": export.reason,
        "devices": list(export.devices),
        "metrics": None if export.metrics is None else list(export.metrics),
        "from": to_rfc3339(export.start),
        "to": to_rfc3339(export.end),
        "format": export.format,
        "compression": export.compression,
        "rows": export.rows,
        "bytes": export.size,
        "created_at": to_rfc3339(export.created_at),
        "finished_at": None if finished is None else to_rfc3339(finished),
    }
