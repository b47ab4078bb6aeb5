"""Idempotency: a POST with an ``Idempotency-Key`` acts once, however often it is sent within a day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from chalicelib.api.calls import Call
from chalicelib.api.http import Response
from chalicelib.api.problems import ProblemError
from chalicelib.api.routing import Route
from chalicelib.model.digests import digest

HEADER = "Idempotency-Key"
LONGEST = 255
REPLAYED = "Idempotency-Replayed"
"""The field of an answer that was kept."""


def once(call: Call, act: Callable[[Call], Response]) -> Response:
    """Act, or answer again what the call's key was answered first.

    Only success is kept: after a refusal or a failure the key is free.
    """
    key = call.request.headers.get(HEADER.lower())
    if call.route.method != "POST" or key is None:
        return act(call)
    if not 1 <= len(key) <= LONGEST:
        detail = f"{HEADER} must have 1 to {LONGEST} characters."
        raise ProblemError("invalid-idempotency-key", detail)
    from chalicelib.store import idempotency as store  # noqa: PLC0415 - most calls bring no key

    try:
        claimed = store.claim(call.table, call.tenant, key, _digest(call))
    except store.ReusedError:
        detail = f"This {HEADER} was sent with another body or to another route."
        raise ProblemError("idempotency-key-reused", detail) from None
    except store.InFlightError:
        again = {
            "Retry-After": "1"
        }  # most calls take less; one that died blocks its key a little longer
        detail = f"The first call with this {HEADER} is not answered yet."
        raise ProblemError("idempotency-key-in-flight", detail, headers=again) from None
    if isinstance(claimed, store.Kept):
        status, value, headers = claimed.answer
        return Response(status, value, {**headers, REPLAYED: "true"})
    try:
        response = act(replace(call, reserved=claimed.reserved))
    except Exception:
        store.release(call.table, claimed)
        raise
    store.keep(call.table, claimed, _kept(call.route, response))
    return response


def _digest(call: Call) -> str:
    """Return what stands for method, path and body: equal for the same JSON value."""
    sent = call.given() if call.body is not None else None
    return digest(call.route.method, call.route.template, dict(call.path), sent)


def _kept(route: Route, response: Response) -> list[Any]:
    value = response.value
    if route.once is not None and isinstance(value, dict) and route.once in value:
        value = {**value, route.once: None}
    return [response.status, value, dict(response.headers)]
