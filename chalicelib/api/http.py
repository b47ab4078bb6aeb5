"""A request and a response as the API sees them: values, whatever server carried them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request.

    ``path`` is raw (still percent-encoded) and has no leading slash; header names are in lower case;
    ``base_url`` is how the caller reaches this hub, without a trailing slash.
    """

    method: str
    path: str
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    base_url: str = "https://localhost"


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response; ``value`` is the JSON value of its body (or a ``TEXT``), ``None`` an empty body."""

    status: int
    value: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON

    @property
    def text(self) -> str:
        """The body as text."""
        if self.value is None:
            return ""
        if self.content_type == TEXT:
            return str(self.value)
        return json.dumps(self.value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)

    def without_body(self) -> Response:
        """Return what a HEAD request is answered."""
        return replace(self, value=None)
