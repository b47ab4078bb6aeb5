"""The messenger: takes events to the place that an integration names, once, and says what came of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from threading import Lock
from typing import TYPE_CHECKING, Any

from chalicelib import destinations
from chalicelib.deliver import signing
from chalicelib.deliver.http import EXCERPT_LIMIT, Outcome, Send
from chalicelib.deliver.rendering import rendered
from chalicelib.deliver.tokens import TokenError, Tokens
from chalicelib.destinations import AwsCall, Request
from chalicelib.model.arns import external_id
from chalicelib.model.cloudevents import CloudEvent, identity
from chalicelib.store.integrations import Integration
from chalicelib.store.table import table_of

if TYPE_CHECKING:
    from chalicelib.aws import Hub
    from chalicelib.deliver.aws_calls import AwsCalls

_UNAUTHORIZED = 401
_FRESH = 60_000
"""Milliseconds for which a device's name and location stand in texts."""
_MOST = 5000
_MASK = "********"
_SHORTEST_SECRET = 4
"""Characters from which on a secret is looked for in what is shown: shorter ones are everywhere."""


class Messenger:
    """Sends for one hub.  Its methods may run in several threads at a time."""

    def __init__(self, hub: Hub, send: Send) -> None:
        self._hub = hub
        self._send = send
        self._tokens = Tokens(send, hub.now)
        self._devices: dict[tuple[str, str], tuple[int, Mapping[str, Any] | None]] = {}
        self._lock = Lock()

    def attempt(
        self, integration: Integration, events: Sequence[CloudEvent], *, batch: bool
    ) -> Outcome:
        """Send events.  What cannot be rendered is a failed attempt; a failing table raises."""
        if integration.kind not in destinations.names():
            return Outcome(None, 0, error=f"not rendered: no kind {integration.kind}")
        device_of = self._known_devices(integration, events)
        try:
            message = rendered(
                integration, events, batch=batch, settings=self._hub.config, device_of=device_of.get
            )
        except Exception as error:  # noqa: BLE001 - a config that no longer renders is a failed attempt
            reason = str(error) if isinstance(error, ValueError) else ""
            return Outcome(None, 0, error=f"not rendered: {reason or type(error).__name__}"[:200])
        if message is None:
            return Outcome(None, 0, unsent="nothing of this is for that place")
        hidden = _hidden(integration, message)
        if integration.shadow:
            shown = _redacted(_shown(message), hidden)[:EXCERPT_LIMIT]
            return Outcome(None, 0, excerpt=shown, unsent="shadow")
        if isinstance(message, AwsCall):
            with self._lock:
                calls = self._calls
            return calls(message, external_id(integration.tenant, integration.id))
        if destinations.destination(integration.kind).signed:
            message = self._signed(integration, message, identity(events, batch=batch))
        outcome, token = self._posted(message)
        hidden |= {token} if token else set()
        # First hidden, then cut: a part of a secret would be left where it is cut.
        said = outcome.content.decode("utf-8", "replace") or outcome.excerpt
        return replace(outcome, excerpt=_redacted(said, hidden)[:EXCERPT_LIMIT], content=b"")

    @cached_property
    def _calls(self) -> AwsCalls:
        from chalicelib.deliver.aws_calls import AwsCalls  # noqa: PLC0415 - webhooks make none

        return AwsCalls(self._hub)

    def _signed(self, integration: Integration, request: Request, webhook_id: str) -> Request:
        now = self._hub.now()
        signature = signing.headers(webhook_id, request.body, integration.secrets, now)
        return replace(request, headers={**request.headers, **signature})

    def _posted(self, request: Request) -> tuple[Outcome, str | None]:
        """Send a request with a token if it needs one; a kept one that is refused is fetched anew, once."""
        grant, certificate = request.grant, request.certificate
        if grant is None:
            return self._send(request), None
        while True:
            try:
                token, fresh = self._tokens.token(grant, certificate)
            except TokenError as error:
                return Outcome(None, 0, error=str(error)), None
            headers = {**request.headers, "Authorization": f"Bearer {token}"}
            outcome = self._send(replace(request, headers=headers))
            if outcome.status != _UNAUTHORIZED:
                return outcome, token
            self._tokens.forget(grant, certificate, token)
            if fresh:
                return outcome, token

    def _known_devices(
        self, integration: Integration, events: Sequence[CloudEvent]
    ) -> Mapping[str, Mapping[str, Any]]:
        """Return the device of the event, where a text may name it."""
        if not destinations.destination(integration.kind).texts:
            return {}
        found: dict[str, Mapping[str, Any]] = {}
        for event in events:
            if event["source"].startswith("/vendors/"):
                device = self._device(integration.tenant, event["subject"])
                found |= {event["subject"]: device} if device is not None else {}
        return found

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


def _hidden(integration: Integration, message: Request | AwsCall) -> set[str]:
    """Return the texts that no log may show: what the config keeps secret, and what was made of it."""
    fields = destinations.destination(integration.kind).fields
    found = destinations.secrets_of(fields, integration.config)
    if isinstance(message, Request):
        made = message.headers.get("Authorization", "").partition(" ")
        found |= {made[2] or made[0]}
    return {each for each in found if len(each) >= _SHORTEST_SECRET}


def _redacted(text: str, hidden: Iterable[str]) -> str:
    for each in sorted(hidden, key=len, reverse=True):
        for form in (each, json.dumps(each)[1:-1], json.dumps(each, ensure_ascii=False)[1:-1]):
            text = text.replace(form, _MASK)
    return text


def _shown(message: Request | AwsCall) -> str:
    """Return what would have been sent, for the log."""
    if isinstance(message, Request):
        return f"{message.method} {message.url}\n{message.body.decode('utf-8', 'replace')}"
    texts = partial(bytes.decode, errors="replace")
    shown = json.dumps(message.parameters, default=texts, ensure_ascii=False)
    return f"{message.service}.{message.operation} {shown}"
