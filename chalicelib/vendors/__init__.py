"""Vendors: all that the hub knows of each, one folder a vendor, found by being there.

A folder is a package that defines ``adapter``, and may hold a module ``client``.  Its name is the
vendor's name in URLs, device ids and metrics.  An adapter is a value of three pure functions and a
number; it never sees a clock, a network or an environment.  :func:`normalize` runs one over a payload and
is what the rest of the hub calls.
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from chalicelib.model.decode import DEPTH, TOO_DEEP, is_deep
from chalicelib.model.records import MalformedPayloadError, Record, Rejected

if TYPE_CHECKING:
    from chalicelib.model.clients import Client

_log = logging.getLogger(__name__)

EXAMPLE = "example"
"""The invented vendor whose folder a new one is copied from."""


@dataclass(frozen=True, slots=True)
class Payload:
    """One vendor message, decoded and untrusted.

    ``body`` is its JSON value (``None`` when empty), ``topic`` the vendor's topic behind the connection
    (``""`` for a plain webhook), ``query`` the parameters of a GET, ``settings`` the connection's.
    """

    body: Any
    topic: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Item:
    """One of the things a payload lists: the unit of success, of quarantine and of identity.

    ``kind`` is the vendor's message kind (it becomes part of keys: letters, digits, ``_.-``), ``path``
    the item's JSON path in the payload, ``identity`` what makes a repeated item the same item.
    """

    kind: str
    body: Any
    path: str = "$"
    identity: Any = None

    @property
    def same_as(self) -> Any:
        """What two sendings of one item have in common."""
        return self.body if self.identity is None else self.identity


@dataclass(frozen=True, slots=True)
class Adapter:
    """What the hub knows of one vendor.

    ``version`` grows with every change of what records a payload becomes.  ``split`` lists a payload's
    items, ``normalize`` turns one into records; both may raise ``MalformedPayloadError``.
    ``silent_after`` says after how many seconds without a word a device (by native id) counts as offline.
    ``kinds`` are the message kinds it models; an item of another kind is counted as unknown
    (``None``: it models whatever it finds).  ``described`` are those that say what a device is, but not that
    it was heard of.
    """

    version: int
    split: Callable[[Payload], Iterable[Item]]
    normalize: Callable[[Item, Payload], Iterable[Record]]
    silent_after: Callable[[str], int]
    kinds: frozenset[str] | None = None
    described: frozenset[str] = frozenset()

    def models(self, kind: str) -> bool:
        """Say whether items of a kind become more than an event of an unlisted type."""
        return self.kinds is None or kind in self.kinds


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one item became: records, or the reason why it could not be normalised."""

    item: Item
    records: tuple[Record, ...] = ()
    rejected: Rejected | None = None


@cache
def names(*, example: bool = False) -> tuple[str, ...]:
    """Return the vendors in the tree, the invented one only where it is asked for."""
    found = (each.name for each in pkgutil.iter_modules(__path__) if each.ispkg)
    return tuple(sorted(each for each in found if example or each != EXAMPLE))


@cache
def adapter(vendor: str) -> Adapter:
    """Return a vendor's adapter.  Raises ``KeyError`` for an unknown vendor."""
    if vendor not in names(example=True):
        raise KeyError(vendor)
    found = importlib.import_module(f"{__name__}.{vendor}").adapter
    if not isinstance(found, Adapter):
        raise TypeError(f"{vendor}: adapter is not an Adapter")
    return found


@cache
def client(vendor: str) -> Client | None:
    """Return what a vendor's folder knows of its REST API: ``client`` in a module of that name, if any.

    Who only reads payloads never loads it.
    """
    if vendor not in names(example=True):
        return None
    folder = importlib.import_module(f"{__name__}.{vendor}")
    within = pkgutil.iter_modules(getattr(folder, "__path__", ()))
    if "client" not in {each.name for each in within}:
        return None
    found: Client = importlib.import_module(f"{folder.__name__}.client").client
    return found


def normalize(vendor: str, payload: Payload) -> Iterator[Outcome]:
    """Yield what each item of a payload becomes.  One bad item never takes its siblings along.

    A bug in an adapter is logged (the alarm rings) and quarantines that item only, to be redriven.
    """
    found = adapter(vendor)
    try:
        items = list(found.split(payload))
    except MalformedPayloadError as error:
        yield Outcome(Item("payload", None), rejected=Rejected(_at("$", error.path), error.reason))
        return
    deep = is_deep(payload.body)
    for item in items:
        if deep and is_deep(item.body, DEPTH - item.path.count(".") - item.path.count("[")):
            yield Outcome(item, rejected=Rejected(item.path, TOO_DEEP))
            continue
        try:
            yield Outcome(item, tuple(found.normalize(item, payload)))
        except MalformedPayloadError as error:
            yield Outcome(item, rejected=Rejected(_at(item.path, error.path), error.reason))
        except Exception as error:  # noqa: BLE001 - siblings must survive a bug in the adapter
            _log.exception("adapter.failed", extra={"vendor": vendor, "path": item.path})
            reason = f"the adapter failed: {type(error).__name__}"
            yield Outcome(item, rejected=Rejected(item.path, reason))


def _at(base: str, path: str) -> str:
    return f"{base}.{path}" if path else base
