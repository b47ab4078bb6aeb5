"""The messenger: takes events to the place that an integration names, once, and says what came of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from threading import Lock
from typing import TYPE_CHECKING, Any

from chalicelib import destinations
from chalicelib.deliver import signing
from chalicelib.deliver.rendering import rendered
from chalicelib.deliver.tokens import TokenError, Tokens
from chalicelib.destinations import AwsCall
from chalicelib.model.arns import external_id
from chalicelib.model.cloudevents import CloudEvent, identity
from chalicelib.model.fields import MASK, secrets_of
from chalicelib.model.requests import Request
from chalicelib.outbound.http import EXCERPT_LIMIT, Limits, Outcome, Send
from chalicelib.store.integrations import Integration
from chalicelib.store.table import table_of

if TYPE_CHECKING:
    from chalicelib.aws import Hub
    from chalicelib.deliver.aws_calls import AwsCalls

_UNAUTHORIZED = 401
_FRESH = 60_000
"""Milliseconds for which a device's name and location stand in texts."""
_MOST = 5000
_SHORTEST_SECRET = 4
"""Characters from which on a secret is looked for in what is shown: shorter ones are everywhere."""


class Messenger:
    """Sends for one hub.  Its methods may run in several threads at a time."""

    def __init__(self, hub: Hub, send: Send, clock: Callable[[], float] = time.monotonic) -> None:
        self._hub = hub
        self._send = send
        self._clock = clock
        self._tokens = Tokens(send, hub.now, clock)
        self._devices: dict[tuple[str, str], tuple[int, Mapping[str, Any] | None]] = {}
        self._lock = Lock()

    def attempt(
        self, integration: Integration, events: Sequence[CloudEvent], *, batch: bool
    ) -> Outcome:
        """Send events.  What cannot be rendered is a failed attempt; a failing table raises."""
        if integration.kind not in destinations.names():
            return Outcome(None, 0, error=f"not rendered: no kind {integration.kind}")
        device = self._device_of(integration, events[0])
        try:
            message = rendered(
                integration, events, batch=batch, settings=self._hub.config, device=device
            )
        except Exception as error:  # noqa: BLE001 - a config that no longer renders is a failed attempt
            reason = str(error) if isinstance(error, ValueError) else ""
            return Outcome(None, 0, error=f"not rendered: {reason or type(error).__name__}"[:200])
        if message is None:
            return Outcome(None, 0, unsent="nothing of this is for that place")
        if integration.shadow:
            shown = _redacted(integration, _shown(message))[:EXCERPT_LIMIT]
            return Outcome(None, 0, excerpt=shown, unsent="shadow")
        if isinstance(message, AwsCall):
            with self._lock:
                calls = self._calls
            return calls(message, external_id(integration.tenant, integration.id))
        if destinations.destination(integration.kind).signed:
            message = self._signed(integration, message, identity(events, batch=batch))
        outcome = self._posted(message)
        return replace(outcome, excerpt=_redacted(integration, outcome.excerpt), content=b"")

    @cached_property
    def _calls(self) -> AwsCalls:
        from chalicelib.deliver.aws_calls import AwsCalls  # noqa: PLC0415 - webhooks make none

        return AwsCalls(self._hub)

    def _signed(self, integration: Integration, request: Request, webhook_id: str) -> Request:
        now = self._hub.now()
        signature = signing.headers(webhook_id, request.body, integration.secrets, now)
        return replace(request, headers={**request.headers, **signature})

    def _posted(self, request: Request) -> Outcome:
        """Send a request with a token if it needs one; a kept one that is refused is fetched anew, once.

        Tokens are fetched in the time of the attempt: however many requests it takes, it has one deadline.
        """
        grant, certificate = request.grant, request.certificate
        if grant is None:
            return self._send(request)
        started = self._clock()
        until = started + Limits().total
        outcome: Outcome | None = None
        while outcome is None or until > self._clock():
            try:
                token, fresh = self._tokens.token(grant, certificate, until)
            except TokenError as error:
                outcome = Outcome(None, 0, error=str(error))
                break
            headers = {**request.headers, "Authorization": f"Bearer {token}"}
            left = until - self._clock()
            outcome = self._send(replace(request, headers=headers, within=left))
            if outcome.status == _UNAUTHORIZED:
                self._tokens.forget(grant, certificate, token)
            if fresh or outcome.status != _UNAUTHORIZED:
                break
        return replace(outcome, latency_ms=round((self._clock() - started) * 1000))

    def _device_of(self, integration: Integration, event: CloudEvent) -> Mapping[str, Any] | None:
        """Return an event's device, where a text may name it."""
        read_by_people = bool(destinations.destination(integration.kind).texts)
        if not read_by_people or not event["source"].startswith("/vendors/"):
            return None
        return self._device(integration.tenant, event["subject"])

    def _device(self, tenant: str, device_id: str) -> Mapping[str, Any] | None:
        now = self._hub.now()
        known = self._devices.get((tenant, device_id))
        if known is not None and 0 <= now - known[0] < _FRESH:
            return known[1]
        from chalicelib.store import devices  # noqa: PLC0415 - 15 ms that webhooks spare

        device, _ = devices.load_device(table_of(self._hub), tenant, device_id)
        shown = device.as_json(None) if device is not None else None
        with self._lock:
            if len(self._devices) >= _MOST:
                self._devices.clear()
            self._devices[tenant, device_id] = (now, shown)
        return shown


def _redacted(integration: Integration, text: str) -> str:
    """Return a text without what the config keeps secret: bodies and URLs may hold it, as headers do."""
    fields = destinations.destination(integration.kind).fields
    secrets = secrets_of(fields, integration.config)
    for each in sorted(secrets, key=len, reverse=True):
        if len(each) >= _SHORTEST_SECRET:
            for form in (each, json.dumps(each)[1:-1], json.dumps(each, ensure_ascii=False)[1:-1]):
                text = text.replace(form, MASK)
    return text


def _shown(message: Request | AwsCall) -> str:
    """Return what would have been sent, for the log."""
    if isinstance(message, Request):
        return f"{message.method} {message.url}\n{message.body.decode('utf-8', 'replace')}"
    texts = partial(bytes.decode, errors="replace")
    shown = json.dumps(message.parameters, default=texts, ensure_ascii=False)
    return f"{message.service}.{message.operation} {shown}"
