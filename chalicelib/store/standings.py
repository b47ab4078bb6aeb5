"""How integrations stand: what their endpoints last led to, and what therefore holds for every process.

A small item beside each integration, written only while something is wrong and when it becomes right
again: an endpoint that takes everything costs nothing here.  What waits for an integration in the table
is its *lane*; whoever drains it holds the lane's token for a while, so that only one process does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple, dataclass, fields, replace
from typing import Any, NamedTuple

from chalicelib.model.times import to_rfc3339
from chalicelib.store import integrations, keys
from chalicelib.store.integrations import Integration
from chalicelib.store.table import VERSION, ConflictError, Key, Plain, Table, pack, unpack

KICKED = 60_000
"""Milliseconds after which a lane that nobody has begun to drain is pointed out again."""
_LANES = "LANES"
_ATTEMPTS = 50


@dataclass(frozen=True, slots=True)
class Condition:
    """What is not as it should be.  Moments in milliseconds; 0, ``None`` and empty: all is well."""

    paused_until: int = 0
    """The endpoint asked for nothing new before (``Retry-After``)."""
    failures: int = 0
    """Failed attempts since the last that succeeded."""
    failing_since: int | None = None
    """The end of the first of them."""
    failing_at: int | None = None
    """When subscribers were told that it fails, until it works again."""
    well_at: int | None = None
    """When it worked again after that."""
    reason: str = ""
    """How the last attempt failed."""
    open_until: int = 0
    """The breaker is open: nothing new before, and then one delivery to see whether it works again."""
    limit: int | None = None
    """Attempts at a time while it was asked to be slowed down."""
    lane: str = ""
    """The token of whoever drains the lane; empty: nothing waits in the table."""
    lane_until: int = 0
    """Until when the token is believed; then the sweep gives out another."""
    closing: bool = False
    """The lane was found empty and is looked at once more: the index that lists it may be behind."""
    lane_before: str = ""
    """The token for which the present one was given out."""

    @property
    def waits(self) -> bool:
        """Whether what comes has to wait in the lane behind what is there."""
        return bool(self.lane) and not self.closing


WELL = Condition()
Change = Callable[[Condition], Condition]


@dataclass(frozen=True, slots=True)
class Standing:
    """An integration as it is now (``None``: deleted), and its condition."""

    integration: Integration | None
    condition: Condition = WELL
    version: int = 0


class Lane(NamedTuple):
    """A lane that nobody drains."""

    tenant: str
    integration_id: str
    condition: Condition


def standing(table: Table, tenant: str, integration_id: str) -> Standing:
    """Return an integration and its condition as they are now: one read."""
    where, beside = integrations.key(tenant, integration_id), keys.standing(tenant, integration_id)
    found = table.get_many((where, beside), consistent=True)
    integration = integrations.integration_of(found[where]) if where in found else None
    if integration is not None:
        integration = integrations.opened(table, integration)
    if beside not in found:
        return Standing(integration)
    return Standing(integration, condition_of(found[beside]), int(found[beside][VERSION]))


def change(
    table: Table, tenant: str, integration_id: str, change: Change, known: Standing | None = None
) -> Standing:
    """Change a condition and return how the integration stands then.

    ``known`` saves a read where nobody changed it meanwhile.  What changes nothing writes nothing.
    Raises ``ConflictError`` if others keep changing it.
    """
    found = known or standing(table, tenant, integration_id)
    for attempt in range(_ATTEMPTS):
        condition = change(found.condition)
        if condition == found.condition:
            return found
        try:
            _save(table, tenant, integration_id, condition, found.version)
        except ConflictError:
            if attempt == _ATTEMPTS - 1:
                raise
            found = standing(table, tenant, integration_id)
            continue
        return replace(found, condition=condition, version=found.version + 1)
    raise AssertionError("unreachable")


def opened(token: str, now: int) -> Change:
    """Say that something waits; whoever drains already goes on."""

    def change(condition: Condition) -> Condition:
        if condition.waits:
            return condition
        return replace(condition, lane=token, lane_until=now + KICKED, closing=False)

    return change


def claimed(mine: str, token: str, now: int, until: int, *, again: bool = False) -> Change:
    """Take the lane under a token of one's own, if something waits and ``token`` or nobody holds it.

    A token is good for one turn: of a message that comes twice, only one goes on.  ``again``: it came
    before, and whoever took the lane with it may have died.
    """

    def change(condition: Condition) -> Condition:
        held = token == condition.lane or (again and token == condition.lane_before)
        if not condition.lane or not (held or condition.lane_until <= now):
            return condition
        return replace(condition, lane=mine, lane_before=token, lane_until=until)

    return change


def kept(token: str, until: int) -> Change:
    """Keep the lane for longer."""
    return lambda found: replace(found, lane_until=until) if found.lane == token else found


def taken_over(token: str, now: int) -> Change:
    """Say that something waits, whoever drains now."""
    return lambda condition: replace(condition, lane=token, lane_until=now + KICKED, closing=False)


def looked_at_once_more(token: str) -> Change:
    """Say that the lane was found empty."""
    return lambda found: replace(found, closing=True) if found.lane == token else found


def closed(token: str) -> Change:
    """Say that nothing waits, unless somebody has said since that something does."""

    def change(condition: Condition) -> Condition:
        if condition.lane != token:
            return condition
        return replace(condition, lane="", lane_before="", lane_until=0, closing=False)

    return change


def lanes_due(table: Table, now: int) -> Iterator[Lane]:
    """Yield every lane whose token is not believed any more."""
    yield from _lanes(table, to_rfc3339(now))


def lanes(table: Table) -> Iterator[Lane]:
    """Yield every lane."""
    yield from _lanes(table, "")


def condition_of(item: Mapping[str, Any]) -> Condition:
    """Return the condition that a stored item holds."""
    return Condition(**dict(zip(_NAMES, unpack(item["d"]), strict=False)))


def _lanes(table: Table, high: str) -> Iterator[Lane]:
    for item in table.walk(_LANES, "0" if high else "", high, index="by_state"):
        tenant, integration_id = keys.integration_of(item["pk"])
        found = table.get(Key(item["pk"], item["sk"]))
        if found is not None and (condition := condition_of(found)).lane:
            yield Lane(tenant, integration_id, condition)


def _save(
    table: Table, tenant: str, integration_id: str, condition: Condition, version: int
) -> None:
    item: Plain = {"d": pack(list(astuple(condition)))}
    if condition.lane:
        item |= {"g2pk": _LANES, "g2sk": f"{to_rfc3339(condition.lane_until)}#{integration_id}"}
    read = {VERSION: version} if version else None
    table.replace(keys.standing(tenant, integration_id), item, read)


_NAMES = tuple(field.name for field in fields(Condition))
