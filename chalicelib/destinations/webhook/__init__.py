"""Webhook: CloudEvents 1.0 as structured JSON, signed as Standard Webhooks says."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.destinations import Destination, Field, Problem, Request, declared, pointer
from chalicelib.model.addresses import problem
from chalicelib.model.cloudevents import CloudEvent

SINGLE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"

_FIELDS = (
    Field("url", "Where requests are posted: an https URL of a public host.", required=True),
    Field("headers", "Headers of every request, such as Authorization.", sensitive=True),
    Field("signature", "How requests are signed: hmac (the default) or ed25519."),
)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_VALUE = re.compile(r"[\t\x20-\x7e]*")
_LONGEST_VALUE = 4096
_MOST_HEADERS = 32
_RESERVED = {
    "host",
    "connection",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "keep-alive",
    "accept-encoding",
}
_RESERVED_PREFIXES = ("webhook-", "content-", "proxy-")


def _check(config: Mapping[str, Any], *, private_targets: str) -> list[Problem]:
    found = declared(_FIELDS, config)
    url = config.get("url")
    if url is not None:
        detail = problem(url, private_targets) if isinstance(url, str) else "must be a text"
        if detail is not None:
            found.append(("/url", detail))
    found += _check_headers(config.get("headers"))
    if config.get("signature", "hmac") not in ("hmac", "ed25519"):
        found.append(("/signature", "must be hmac or ed25519"))
    return found


def _check_headers(headers: Any) -> list[Problem]:
    if headers is None:
        return []
    if not isinstance(headers, dict):
        return [("/headers", "must be an object")]
    if len(headers) > _MOST_HEADERS:
        return [("/headers", f"must have at most {_MOST_HEADERS} members")]
    found: list[Problem] = []
    seen: set[str] = set()
    for name, value in headers.items():
        detail = _wrong(name, value)
        if detail is None and name.lower() in seen:
            detail = "is given twice"
        if detail is not None:
            found.append((f"/headers/{pointer(name)}", detail))
        seen.add(name.lower())
    return found


def _wrong(name: str, value: Any) -> str | None:
    lower = name.lower()
    if not _TOKEN.fullmatch(name):
        return "is no header name"
    if lower in _RESERVED or lower.startswith(_RESERVED_PREFIXES):
        return "may not be set"
    if not isinstance(value, str):
        return "must be a text"
    if not _VALUE.fullmatch(value) or value != value.strip():
        return "must be printable ASCII without line breaks or outer blanks"
    return f"is longer than {_LONGEST_VALUE}" if len(value) > _LONGEST_VALUE else None


def _render(events: Sequence[CloudEvent], config: Mapping[str, Any], batch: bool) -> Request:  # noqa: FBT001
    content: Any = list(events) if batch else events[0]
    headers = {"User-Agent": "Tributary/1", **(config.get("headers") or {})}
    headers["Content-Type"] = BATCH if batch else SINGLE
    body = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return Request("POST", config["url"], headers, body.encode())


destination = Destination("Webhook", _FIELDS, _check, _render)
