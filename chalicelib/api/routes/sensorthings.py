"""The view in the words of OGC SensorThings."""

from __future__ import annotations

from typing import Any

from chalicelib.api.calls import Call
from chalicelib.api.problems import ProblemError
from chalicelib.api.sta import addresses, queries
from chalicelib.api.sta.reader import Reader
from chalicelib.api.sta.service import Service
from chalicelib.store import signing

_ROOT = "sta/v1.1"


def read(call: Call) -> Any:
    """Read whatever the path and its options ask for."""
    texts: dict[str, str] = {}
    for name, values in call.request.query.items():
        if len(values) > 1:
            raise ProblemError("repeated-parameter", f"{name[:100]!r} may be sent only once.")
        texts[name] = values[0]
    query = queries.parse(texts)
    path = addresses.parse(call.request.path.removeprefix(_ROOT))
    hub = call.request.base_url
    reader = Reader(call.table, call.tenant)
    service = Service(reader, f"{hub}/{_ROOT}", hub, signing.secret(call.table))
    return service.answer(path, query)
