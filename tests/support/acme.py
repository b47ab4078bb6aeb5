"""Acme: a vendor that exists in tests only, whose adapter a test replaces by a better one.

An Acme payload is ``{"d": device, "at": ms, "items": [{...}]}``; an item is what the reader makes of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from chalicelib import vendors
from chalicelib.model.records import MalformedPayloadError, Record
from chalicelib.vendors import Adapter, Item, Payload

Reader = Callable[[dict[str, Any], dict[str, Any]], Iterable[Record]]
"""From an item and its payload's body to records."""
_MODULE = "chalicelib.vendors.acme"


class Acme:
    """The vendor's folder, and the adapter in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._version = 0

    def __enter__(self) -> Self:
        (self._folder / "acme").mkdir()
        (self._folder / "acme" / "__init__.py").touch()
        vendors.__path__.append(str(self._folder))
        vendors.names.cache_clear()
        return self

    def __exit__(self, *_: object) -> None:
        vendors.__path__.remove(str(self._folder))
        sys.modules.pop(_MODULE, None)
        vendors.names.cache_clear()
        vendors.adapter.cache_clear()

    def reads(self, reader: Reader, kind: Callable[[dict[str, Any]], str] | None = None) -> None:
        """Deploy an adapter: the next version."""
        self._version += 1

        def split(payload: Payload) -> Iterable[Item]:
            body = payload.body
            for number, entry in enumerate(body["items"]):
                same = [body["d"], body["at"], entry]
                identity = entry.get("clip") or same
                yield Item(kind(entry) if kind else "item", entry, f"$.items[{number}]", identity)

        def normalize(item: Item, payload: Payload) -> Iterable[Record]:
            if item.body.get("bad"):
                raise MalformedPayloadError("bad")
            return reader(item.body, payload.body)

        module = ModuleType(_MODULE)
        adapter = Adapter(self._version, split, normalize, lambda _: 10**6)
        module.adapter = adapter  # type: ignore[attr-defined]
        sys.modules[_MODULE] = module
        vendors.adapter.cache_clear()
