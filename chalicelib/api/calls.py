"""One call of a route: everything a handler may use, read and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from chalicelib import vendors
from chalicelib.api import cursors
from chalicelib.api.access import Caller
from chalicelib.api.http import Request
from chalicelib.api.routing import Route
from chalicelib.aws import Hub
from chalicelib.security import new_name
from chalicelib.store import signing
from chalicelib.store.table import Table, table_of

_UNBOUND = frozenset({"cursor", "limit"})


@dataclass(frozen=True)
class Call:
    """A request that was routed, authorised and validated."""

    hub: Hub
    route: Route
    request: Request
    caller: Caller
    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: Any
    """The body's model, or ``None``."""
    reserved: str | None = None
    """What sets apart the id of what is created: the same when the call is repeated."""

    @property
    def table(self) -> Table:
        """The hub's table."""
        return table_of(self.hub)

    @property
    def tenant(self) -> str:
        """The caller's tenant: everything a handler reads or writes is below it."""
        return self.caller.tenant

    @property
    def vendors(self) -> tuple[str, ...]:
        """The vendors that may be connected and asked for."""
        return vendors.names(example=self.hub.config.example_vendor)

    @property
    def limit(self) -> int:
        """Rows of this page at most."""
        return int(self.query["limit"])

    @cached_property
    def created_id(self) -> str:
        """The id of what this call creates: the same when it is repeated under an idempotency key."""
        if self.route.creates is None:
            raise LookupError(f"{self.route.template} does not say what it creates")
        return f"{self.route.creates}_{self.reserved or new_name()}"

    @cached_property
    def after(self) -> Any:
        """The position behind which this page begins, or ``None``."""
        cursor = self.query.get("cursor")
        if cursor is None:
            return None
        return cursors.unseal(signing.secret(self.table), self._scope, cursor)

    @property
    def nothing(self) -> bool:
        """Whether the range asked for is empty."""
        start = self.query.get("from")
        return start is not None and start == self.query.get("to")

    def page(self, rows: Sequence[Any], after: Any) -> dict[str, Any]:
        """Return a page of a listing; ``after`` is where the next begins, or ``None``."""
        cursor = None
        if after is not None:
            cursor = cursors.seal(signing.secret(self.table), self._scope, after)
        return {"data": list(rows), "next_cursor": cursor}

    def given(self) -> dict[str, Any]:
        """Return the members of the body that were sent, as plain values."""
        sent: dict[str, Any] = self.body.model_dump(exclude_unset=True)
        return sent

    @property
    def _scope(self) -> list[Any]:
        """What a cursor is bound to: filters in any order of their values mean the same."""
        filters = {
            name: sorted(value) if isinstance(value, list) else value
            for name, value in self.query.items()
            if name not in _UNBOUND
        }
        return [self.tenant, self.route.template, dict(self.path), filters]
