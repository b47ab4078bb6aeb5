"""Calls of AWS for deliveries: in the name of a tenant's role, or of the hub where the deployment gives it.

The hub can do more in its own account than any tenant may: so a tenant's words never choose what is
called in the hub's name.  See decision 12.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

from chalicelib.aws import Credentials
from chalicelib.destinations import AwsCall
from chalicelib.model import arns
from chalicelib.outbound.http import Outcome

if TYPE_CHECKING:
    from chalicelib.aws import Hub

_SESSION = 3600
"""Seconds of a role's session: more is refused where the hub's own name is a role."""
_EARLY = 300_000
"""Milliseconds before its end from which a session is not used any more."""
_MOST = 50
"""Clients that are kept: each holds some MB."""
_LONGEST_ERROR = 500
_Key = tuple[str, str, str, str]
"""Service, region, role and external id."""
_EXPIRED = ("Expired", "InvalidClientTokenId", "UnrecognizedClient")
_TOO_MANY = 429
_GONE = 410
ALLOWED_IN_OUR_NAME: Mapping[tuple[str, str], str] = {
    ("sesv2", "send_email"): "FromEmailAddress",
    ("sns", "publish"): "PhoneNumber",
    ("iot-data", "publish"): "topic",
}
"""What may be called in the hub's own name, and the parameter without which it would be another thing."""
_THROTTLED = (
    "Throttl",
    "TooManyRequests",
    "ProvisionedThroughputExceeded",
    "RequestLimitExceeded",
    "SlowDown",
    "LimitExceeded",
)
_FAILURES: Mapping[str, Callable[[Mapping[str, Any]], list[Mapping[str, Any]]]] = {
    "send_message_batch": lambda answer: list(answer.get("Failed") or ()),
    "publish_batch": lambda answer: list(answer.get("Failed") or ()),
    "put_events": lambda answer: _with_errors(answer.get("Entries")),
    "put_records": lambda answer: _with_errors(answer.get("Records")),
    "put_record_batch": lambda answer: _with_errors(answer.get("RequestResponses")),
}
"""Which records of a batch failed although the call succeeded."""


class AwsCalls:
    """Makes calls, and keeps clients and sessions for the next ones."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._clients: dict[_Key, tuple[Any, float]] = {}
        self._locks: dict[_Key, Lock] = {}
        self._lock = Lock()

    def __call__(self, call: AwsCall, external_id: str) -> Outcome:
        """Make a call.  Never raises for anything that AWS can answer."""
        started = time.monotonic()
        key = (call.service, call.region, call.role_arn or "", external_id)
        try:
            operation = getattr(self._client(key, call), call.operation)
            status, error = _read(call, operation(**call.parameters))
        except Exception as failure:  # noqa: BLE001 - whatever AWS answers is an outcome
            status, error = _told(failure)
            if error.startswith(_EXPIRED):
                self._clients.pop(key, None)
        latency = round((time.monotonic() - started) * 1000)
        return Outcome(status, latency, error=None if error is None else error[:_LONGEST_ERROR])

    def _client(self, key: _Key, call: AwsCall) -> Any:
        if call.role_arn is None:
            self._refuse_what_is_not_given(call)
        elif (role := arns.parsed(call.role_arn)) is None or role.account == self._account:
            raise NotAllowedError("the role is not of an account of yours")
        with self._lock:
            if len(self._locks) >= _MOST:
                self._clients.clear()
                self._locks.clear()
            one_at_a_time = self._locks.setdefault(key, Lock())
        with one_at_a_time:  # a role that is slow to assume delays nobody else
            known = self._clients.get(key)
            if known is None or self._hub.now() >= known[1]:
                known = self._clients[key] = self._made(call, external_id=key[3])
            return known[0]

    @property
    def _account(self) -> str:
        return self._hub.config.account

    def _refuse_what_is_not_given(self, call: AwsCall) -> None:
        if not self._account and self._hub.config.private_targets == "loopback":
            return  # the local run: the embedded AWS holds nothing else
        needed = ALLOWED_IN_OUR_NAME.get((call.service, call.operation))
        if needed is None or not call.parameters.get(needed):
            raise NotAllowedError("a role_arn is needed")

    def _made(self, call: AwsCall, external_id: str) -> tuple[Any, float]:
        """Return a client and the moment (ms) until which it is good."""
        if call.role_arn is None:
            return self._guest(call.service, call.region, None), math.inf
        got = self._sts.assume_role(
            RoleArn=call.role_arn,
            RoleSessionName="tributary",
            ExternalId=external_id,
            DurationSeconds=_SESSION,
        )["Credentials"]
        credentials = Credentials(got["AccessKeyId"], got["SecretAccessKey"], got["SessionToken"])
        until = self._hub.now() + _SESSION * 1000 - _EARLY
        return self._guest(call.service, call.region, credentials), until

    @cached_property
    def _sts(self) -> Any:
        return self._guest("sts", "", None)

    def _guest(self, service: str, region: str, credentials: Credentials | None) -> Any:
        with self._lock:  # boto3 makes clients in one thread at a time
            return self._hub.guest(service, region, credentials)


class NotAllowedError(Exception):
    """A call that the hub does not make; the text says why."""


def _read(call: AwsCall, answer: Mapping[str, Any]) -> tuple[int | None, str | None]:
    failed = _FAILURES.get(call.operation)
    failures = failed(answer) if failed is not None else []
    if not failures:
        return int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 200)), None
    codes = {_code_of(each) for each in failures}
    message = failures[0].get("ErrorMessage") or failures[0].get("Message") or ""
    total = len(next(value for value in call.parameters.values() if isinstance(value, list)))
    error = f"{len(failures)} of {total} records failed: {', '.join(sorted(codes))}: {message}"
    return (_TOO_MANY if all(map(_throttled, codes)) else None), error


def _told(failure: Exception) -> tuple[int | None, str]:
    response = getattr(
        failure, "response", None
    )  # botocore's ClientError, known without importing it
    if not isinstance(response, Mapping):
        known = isinstance(failure, NotAllowedError)
        text = str(failure) if known else f"{type(failure).__name__}: {failure}"
        return None, f"not sent: {text}"
    code = str(response.get("Error", {}).get("Code", "Unknown"))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if _throttled(code):
        status = _TOO_MANY
    elif status == _GONE or (status is not None and status < 300):
        status = None  # says nothing of the integration as a whole
    return status, f"{code}: {response.get('Error', {}).get('Message', '')}"


def _throttled(code: str) -> bool:
    return any(each in code for each in _THROTTLED)


def _code_of(failure: Mapping[str, Any]) -> str:
    return str(failure.get("ErrorCode") or failure.get("Code") or "Unknown")


def _with_errors(rows: Any) -> list[Mapping[str, Any]]:
    return [each for each in rows or () if each.get("ErrorCode")]
