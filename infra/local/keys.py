"""The run's own account at its hub: keys, connections and the receiver's integration.

Made once, through the public API, and kept as long as the table that knows them.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx

from chalicelib.security import hashed
from infra.local.files import read_json, write_json

_TENANT = "local"
_OK = 200
_CREATED = 201
_SLOW_DOWN = 429


class ApiError(Exception):
    """The hub's API did not answer as it should."""


class Api:
    """A client of the hub's public API."""

    def __init__(self, url: str, key: str) -> None:
        self._client = httpx.Client(
            base_url=url,
            headers={"authorization": f"Bearer {key}"},
            timeout=30,
            trust_env=False,
        )

    def post(self, path: str, body: Any) -> Any:
        """Create something."""
        return self._said(self._client.post(path, json=body), _CREATED)

    def get(self, path: str, **query: Any) -> Any:
        """Read something; waits where the hub asks to slow down."""
        while True:
            answer = self._client.get(path, params=query)
            if answer.status_code != _SLOW_DOWN:
                return self._said(answer, _OK)
            time.sleep(float(answer.headers.get("retry-after", "1")))

    def delete(self, path: str) -> None:
        """Delete something, if it is there."""
        self._client.delete(path)

    def accepted(self) -> bool:
        """Tell whether the key is one of the hub's."""
        return self._client.get("/v1/connections").status_code == _OK

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def _said(self, answer: httpx.Response, expected: int) -> Any:
        if answer.status_code != expected:
            request = answer.request
            raise ApiError(
                f"{request.method} {request.url.path}: {answer.status_code} {answer.text[:300]}"
            )
        return answer.json()


class Account:
    """What the run knows of its own; written down after every step."""

    def __init__(self, path: Path, stream_arn: str) -> None:
        self._path = path
        said = read_json(path)
        if not isinstance(said, dict) or said.get("stream_arn") != stream_arn:
            said = {"stream_arn": stream_arn, "root_key": f"root_{secrets.token_urlsafe(32)}"}
        self._kept: dict[str, Any] = said
        self._save()

    @property
    def root_key(self) -> str:
        """The installation's key above tenants."""
        return str(self._kept["root_key"])

    @property
    def root_key_sha256(self) -> str:
        """What the hub is told of the root key."""
        return hashed(self.root_key)

    @property
    def api_key(self) -> str:
        """The key of the tenant ``local``."""
        return str(self._kept["api_key"])

    @property
    def connections(self) -> dict[str, Any]:
        """By vendor: what the API answered when the connection was made."""
        made: dict[str, Any] = self._kept.setdefault("connections", {})
        return made

    @property
    def known(self) -> frozenset[str]:
        """What is kept already."""
        return frozenset(self._kept)

    @property
    def fed(self) -> bool:
        """Whether the samples went in."""
        return bool(self._kept.get("fed"))

    @property
    def receiver(self) -> dict[str, Any]:
        """The integration of the bundled receiver: url, id and secret; empty before it is made."""
        made: dict[str, Any] = self._kept.get("receiver", {})
        return made

    def keep_fed(self) -> None:
        """Remember that the samples went in."""
        self._kept["fed"] = True
        self._save()

    def open(self, url: str, vendors: Iterable[str]) -> Api:
        """Make the tenant and its connections that are not there yet; return the tenant's client."""
        api = Api(url, self._kept.get("api_key", ""))
        if "api_key" not in self._kept or not api.accepted():
            api.close()
            root = Api(url, self.root_key)
            self._kept["api_key"] = root.post("/v1/tenants", {"name": _TENANT})["api_key"]
            self._kept["connections"] = {}
            self._kept.pop("receiver", None)
            self._save()
            root.close()
            api = Api(url, self.api_key)
        for vendor in vendors:
            if vendor in self.connections:
                continue
            body = {"vendor": vendor, "name": f"{vendor} (local run)", "settings": {}}
            self.connections[vendor] = api.post("/v1/connections", body)
            self._save()
        return api

    def register(self, api: Api, receiver_url: str) -> None:
        """Make the bundled receiver an integration; one at an earlier address goes."""
        if self.receiver.get("url") == receiver_url:
            return
        if "id" in self.receiver:
            api.delete(f"/v1/integrations/{self.receiver['id']}")
        body = {
            "name": "bundled receiver",
            "kind": "webhook",
            "config": {"url": receiver_url},
            "filter": {},
        }
        made = api.post("/v1/integrations", body)
        self._kept["receiver"] = {
            "url": receiver_url,
            "id": made["id"],
            "secret": made["secret"],
        }
        self._save()

    def _save(self) -> None:
        write_json(self._path, self._kept)
