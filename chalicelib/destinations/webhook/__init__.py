"""Webhook: CloudEvents 1.0 as structured JSON, signed as Standard Webhooks says."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.destinations import Destination, Form, Most, as_json
from chalicelib.model import certificates
from chalicelib.model.certificates import Certificate
from chalicelib.model.cloudevents import CloudEvent
from chalicelib.model.fields import Field, Problem, check_text, check_url, declared, pointer
from chalicelib.model.requests import Grant, Request

SINGLE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"

_FIELDS = (
    Field("url", "Where requests are posted: an https URL of a public host.", required=True),
    Field("headers", "Headers of every request, such as Authorization.", sensitive=True),
    Field("signature", "How requests are signed: hmac (the default) or ed25519."),
    Field("username", "Basic authentication: the user."),
    Field("password", "Basic authentication: the password.", sensitive=True),
    Field("token", "Bearer authentication: the token.", sensitive=True),
    Field("token_url", "OAuth 2.0 client credentials: where tokens are fetched."),
    Field("client_id", "OAuth 2.0 client credentials: the client."),
    Field("client_secret", "OAuth 2.0 client credentials: its secret.", sensitive=True),
    Field("scope", "OAuth 2.0 client credentials: the scope asked for."),
    Field(
        "client_certificate",
        "Mutual TLS: the hub's certificate and its chain, PEM.",
        sensitive=True,
    ),
    Field("client_key", "Mutual TLS: the certificate's private key, PEM.", sensitive=True),
)
_WAYS = (("username", "password"), ("token",), ("token_url", "client_id", "client_secret"))
"""The ways to authenticate: a config has all members of one of them, or of none."""
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_VALUE = re.compile(r"[\t\x20-\x7e]*")
_LONGEST_VALUE = 4096
_MOST_HEADERS = 32
_RESERVED = {
    "host",
    "connection",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "keep-alive",
    "accept-encoding",
}
_RESERVED_PREFIXES = ("webhook-", "content-", "proxy-")


def _check(config: Mapping[str, Any], *, private_targets: str) -> list[Problem]:
    found = declared(_FIELDS, config) + check_url(config, "url", private_targets)
    found += _check_headers(config.get("headers"))
    if config.get("signature", "hmac") not in ("hmac", "ed25519"):
        found.append(("/signature", "must be hmac or ed25519"))
    return found + _check_authentication(config, private_targets) + _check_certificate(config)


def _check_authentication(config: Mapping[str, Any], private_targets: str) -> list[Problem]:
    found = check_url(config, "token_url", private_targets)
    for name in ("username", "password", "client_id", "client_secret"):
        found += check_text(
            config, name, r"[^\x00-\x1f\x7f]{1,4096}", "a text of 1 to 4096 characters"
        )
    found += check_text(config, "username", r"[^:]*", "a text without a colon")
    found += check_text(
        config, "token", r"[\x21-\x7e]{1,4096}", "1 to 4096 ASCII characters without blanks"
    )
    found += check_text(config, "scope", r"[\x20-\x7e]{1,1024}", "1 to 1024 ASCII characters")
    ways = [way for way in _WAYS if any(config.get(name) is not None for name in way)]
    for way in ways:
        found += [(f"/{name}", "is required") for name in way if config.get(name) is None]
    own = config.get("headers")
    if ways and isinstance(own, dict) and any(name.lower() == "authorization" for name in own):
        found.append(("/headers/Authorization", "is set by the authentication"))
    if len(ways) > 1:
        found.append((f"/{ways[1][0]}", f"is another way to authenticate than {ways[0][0]}"))
    if config.get("scope") is not None and config.get("token_url") is None:
        found.append(("/scope", "is only for token_url"))
    return found


def _check_certificate(config: Mapping[str, Any]) -> list[Problem]:
    pair = {name: config.get(name) for name in ("client_certificate", "client_key")}
    if all(value is None for value in pair.values()):
        return []
    found: list[Problem] = []
    for name, value in pair.items():
        if value is None:
            found.append((f"/{name}", "is required"))
        elif not isinstance(value, str) or len(value) > certificates.LONGEST:
            found.append((f"/{name}", f"must be a text of at most {certificates.LONGEST}"))
    if found:
        return found
    detail = certificates.problem(Certificate(*map(str, pair.values())))
    return [] if detail is None else [("/client_certificate", detail)]


def _check_headers(headers: Any) -> list[Problem]:
    if headers is None:
        return []
    if not isinstance(headers, dict):
        return [("/headers", "must be an object")]
    if len(headers) > _MOST_HEADERS:
        return [("/headers", f"must have at most {_MOST_HEADERS} members")]
    found: list[Problem] = []
    seen: set[str] = set()
    for name, value in headers.items():
        detail = _wrong(name, value)
        if detail is None and name.lower() in seen:
            detail = "is given twice"
        if detail is not None:
            found.append((f"/headers/{pointer(name)}", detail))
        seen.add(name.lower())
    return found


def _wrong(name: str, value: Any) -> str | None:
    lower = name.lower()
    if not _TOKEN.fullmatch(name):
        return "is no header name"
    if lower in _RESERVED or lower.startswith(_RESERVED_PREFIXES):
        return "may not be set"
    if not isinstance(value, str):
        return "must be a text"
    if not _VALUE.fullmatch(value) or value != value.strip():
        return "must be printable ASCII without line breaks or outer blanks"
    return f"is longer than {_LONGEST_VALUE}" if len(value) > _LONGEST_VALUE else None


def _render(events: Sequence[CloudEvent], config: Mapping[str, Any], form: Form) -> Request:
    headers = {"User-Agent": "Tributary/1", **(config.get("headers") or {})}
    headers |= _authorization(config)
    headers["Content-Type"] = BATCH if form.batch else SINGLE
    grant = certificate = None
    if config.get("token_url") is not None:
        scope = config.get("scope") or ""
        grant = Grant(config["token_url"], config["client_id"], config["client_secret"], scope)
    if config.get("client_key") is not None:
        certificate = Certificate(config["client_certificate"], config["client_key"])
    body = as_json(list(events) if form.batch else events[0])
    return Request("POST", config["url"], headers, body, grant, certificate)


def _authorization(config: Mapping[str, Any]) -> dict[str, str]:
    if config.get("username") is not None:
        pair = f"{config['username']}:{config['password']}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    if config.get("token") is not None:
        return {"Authorization": f"Bearer {config['token']}"}
    return {}


destination = Destination("Webhook", _FIELDS, _check, _render, signed=True, batches=Most(500))
