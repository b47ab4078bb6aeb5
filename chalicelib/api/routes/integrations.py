"""Integrations: downstream subscribers, their filters and their signing secrets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from chalicelib import destinations, outbox
from chalicelib.api import targets
from chalicelib.api.calls import Call
from chalicelib.api.problems import FieldError, invalid, invalid_fields, not_found
from chalicelib.config import Config
from chalicelib.destinations import Destination
from chalicelib.model import arns, matching
from chalicelib.model.cloudevents import test_event
from chalicelib.model.fields import masked, restored
from chalicelib.model.times import to_rfc3339
from chalicelib.security import new_id, new_signing_secret, scheme_of, verifying_key
from chalicelib.store import integrations
from chalicelib.store.integrations import Integration
from chalicelib.store.jobs import Job
from chalicelib.store.table import ConflictError

_SOON = 2
"""Seconds within which a deletion is through."""
_OVERLAP = 86_400
"""Seconds for which the former secret signs as well when a PATCH switches the signature."""
_MOST_SECRETS = 5
"""What signs at a time: receivers bound the size of headers."""


def create(call: Call) -> Any:
    """Create an integration; what verifies its signatures is shown."""
    given = call.given()
    if given["kind"] not in destinations.names():
        known = ", ".join(destinations.names())
        raise invalid("/kind", f"unknown destination; known: {known}")
    destination = destinations.destination(given["kind"])
    if not available(destination, call.hub.config):
        needed = destination.needs.upper()
        raise invalid("/kind", f"not available: this deployment has no {needed}")
    if destination.ordered:
        given.setdefault("ordering", "device")
    integration = Integration(
        id=call.created_id, tenant=call.tenant, created_at=call.hub.now(), **given
    )
    _check(call, integration)
    _check_targets(call, integration)
    integration = _rotated(integration, call.hub.now(), 0)
    try:
        integrations.save(call.table, integration)
    except ConflictError:  # made by a call that died before its answer: nobody knows the secret
        found = _existing(call, integration.id)
        integration = replace(found, secrets=integration.secrets)
        integrations.save(call.table, integration)
    return _json(integration) | _shown(integration)


def list_integrations(call: Call) -> Any:
    """List integrations, newest first."""
    found = integrations.integrations(call.table, call.tenant)
    if call.after is not None:
        behind = tuple(call.after)
        found = [each for each in found if _place(each) < behind]
    page = found[: call.limit]
    after = _place(page[-1]) if len(found) > call.limit else None
    rows = [_json(integrations.opened(call.table, each)) for each in page]
    return call.page(rows, after)


def read(call: Call) -> Any:
    """Read one integration."""
    return _json(existing(call))


def change(call: Call) -> Any:
    """Change an integration; it is validated as a new one is.  Another signature makes another secret."""
    given = call.given()
    switched = False

    def changed(integration: Integration) -> Integration:
        new = replace(integration, **given)
        if "config" in given:
            new = replace(new, config=_unmasked(integration, given["config"]))
        if given.get("enabled"):
            new = replace(new, disabled=None)
        _check(call, new)
        if "config" in given:
            _check_targets(call, new)
        nonlocal switched
        switched = _scheme(new) != scheme_of(_newest(new))
        return _rotated(new, call.hub.now(), _OVERLAP) if switched else new

    integration = _changed(call, changed)
    if given.get("enabled"):
        outbox.resume(call.hub, call.tenant, integration.id)
    return _json(integration) | (_shown(integration) if switched else {})


def delete(call: Call) -> None:
    """Delete an integration: nothing is sent to it any more, and what is pending is cancelled."""
    integration = existing(call)
    job = Job(new_id("job"), call.tenant, integration.id, "cancel", call.hub.now())
    # First the job, which looks a little later whether we came to delete it.
    outbox.begin(call.hub, job, delay=_SOON)
    integrations.remove(call.table, call.tenant, integration.id)


def rotate(call: Call) -> Any:
    """Replace the signing secret; both sign during the overlap."""
    now, overlap = call.hub.now(), call.body.overlap_seconds
    return _shown(_changed(call, lambda each: _rotated(each, now, overlap)))


def enable(call: Call) -> Any:
    """Enable an integration and bring back the deliveries that waited for it."""
    integration = _changed(call, lambda each: replace(each, enabled=True, disabled=None))
    outbox.resume(call.hub, call.tenant, integration.id)
    return _json(integration)


def test(call: Call) -> Any:
    """Deliver a test event."""
    integration = existing(call)
    event = test_event(integration.id, call.hub.now())
    outbox.enqueue(call.hub, call.tenant, integration, [event])
    return {"id": event["id"]}


def existing(call: Call) -> Integration:
    """Return the integration of the path, or refuse the call."""
    return _existing(call, call.path["integration_id"])


def _existing(call: Call, identity: str) -> Integration:
    integration = integrations.find(call.table, call.tenant, identity)
    if integration is None:
        raise not_found("integration")
    return integration


def _changed(call: Call, change: Callable[[Integration], Integration]) -> Integration:
    while True:
        integration = change(existing(call))
        try:
            integrations.save(call.table, integration)
        except ConflictError:
            continue  # somebody changed it meanwhile: change what it is now
        return integration


def _check(call: Call, integration: Integration) -> None:
    """Refuse what the destination or the matcher does not understand."""
    destination = destinations.destination(integration.kind)
    settings = call.hub.config
    found = [
        FieldError(f"/config{pointer}", detail)
        for pointer, detail in destination.check(
            integration.config, private_targets=settings.private_targets
        )
    ]
    if destination.roles and not found and _of_the_hub(integration.config, settings):
        found.append(FieldError("/config/role_arn", "must be a role of an account of yours"))
    if destination.ordered and integration.ordering != "device":
        found.append(FieldError("/ordering", f"must be device for {integration.kind}"))
    if destination.batches is None and integration.batch is not None:
        found.append(FieldError("/batch", f"{integration.kind} takes one event at a time"))
    found += _transform_problems(destination, integration.transform or {})
    found += [
        FieldError(f"/filter{pointer}", detail)
        for pointer, detail in matching.problems(integration.filter)
    ]
    if found:
        raise invalid_fields(found)


def available(destination: Destination, settings: Config) -> bool:
    """Say whether the deployment gives what destinations of a kind need."""
    return not destination.needs or bool(getattr(settings, destination.needs))


def _of_the_hub(config: Mapping[str, Any], settings: Config) -> bool:
    role = arns.parsed(config.get(destinations.ROLE.name) or "")
    return role is not None and role.account == settings.account


def _transform_problems(
    destination: Destination, transform: Mapping[str, Any]
) -> Iterator[FieldError]:
    """Yield what an integration's transform asks for and its destination or the hub does not understand."""
    from chalicelib.model import projections, templates  # noqa: PLC0415 - few calls need them

    takes = {*destination.texts, "timezone"} if destination.texts else {"jmespath"}
    tests = {
        "jmespath": projections.problem,
        "template": templates.problem,
        "subject": templates.problem,
        "timezone": templates.zone_problem,
    }
    for name, value in transform.items():
        detail = "is not for this kind of destination" if name not in takes else None
        if value is not None and (detail := detail or tests[name](value)) is not None:
            yield FieldError(f"/transform/{name}", detail)


def _check_targets(call: Call, integration: Integration) -> None:
    """Refuse names that lead where nothing may be sent."""
    found = [
        FieldError(f"/config{pointer}", detail)
        for pointer, url in destinations.targets(integration.config)
        if (detail := targets.problem(call.hub, url)) is not None
    ]
    if found:
        raise invalid_fields(found)


def _unmasked(integration: Integration, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config in which a masked value, sent back as it was read, means the stored one."""
    return restored(config, integration.config, _masked(integration))


def _masked(integration: Integration) -> dict[str, Any]:
    fields = destinations.destination(integration.kind).fields
    return masked(fields, integration.config)


def _external_id(integration: Integration) -> str | None:
    """Return what the trust policy of the integration's role must ask for, if it can have a role."""
    if not destinations.destination(integration.kind).roles:
        return None
    return arns.external_id(integration.tenant, integration.id)


def _place(integration: Integration) -> tuple[int, str]:
    return integration.created_at, integration.id


def _scheme(integration: Integration) -> str:
    return str(integration.config.get("signature", "hmac"))


def _rotated(integration: Integration, now: int, overlap_seconds: int) -> Integration:
    """Return an integration with a new signing secret; former ones end with the overlap at the latest."""
    until = now + overlap_seconds * 1000
    former = [
        (each, until if ends is None else min(ends, until)) for each, ends in integration.secrets
    ]
    live = [(each, ends) for each, ends in former if ends > now]
    new = (new_signing_secret(_scheme(integration)), None)
    return replace(integration, secrets=(new, *live)[:_MOST_SECRETS])


def _shown(integration: Integration) -> dict[str, Any]:
    """Return what a receiver verifies with, for an answer that shows it."""
    return {"secret": verifying_key(_newest(integration))}


def _public_key(integration: Integration) -> str | None:
    newest = _newest(integration)
    return verifying_key(newest) if scheme_of(newest) == "ed25519" else None


def _newest(integration: Integration) -> str:
    return integration.secrets[0][0] if integration.secrets else ""


def _json(integration: Integration) -> dict[str, Any]:
    return {
        "id": integration.id,
        "name": integration.name,
        "kind": integration.kind,
        "config": _masked(integration),
        "filter": dict(integration.filter),
        "batch": dict(integration.batch) if integration.batch is not None else None,
        "ordering": integration.ordering,
        "concurrency": integration.concurrency,
        "rate_limit": dict(integration.rate_limit) if integration.rate_limit else None,
        "transform": dict(integration.transform) if integration.transform else None,
        "shadow": integration.shadow,
        "external_id": _external_id(integration),
        "enabled": integration.enabled,
        "disabled": dict(integration.disabled) if integration.disabled else None,
        "public_key": _public_key(integration),
        "created_at": to_rfc3339(integration.created_at),
    }
