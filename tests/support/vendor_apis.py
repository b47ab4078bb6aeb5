"""The vendors' REST APIs as far as they are known: real HTTP on loopback, one small server a vendor.

They check what a request must hold and answer in the documented forms.  ``say`` puts an answer of a test's
own before the next one.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    headers: Any
    body: Any


@dataclass
class Said:
    """One answer."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] | None = None


class VendorApi:
    """Answers by what ``answer`` of a vendor makes of a request."""

    credentials: Mapping[str, str]
    prefix = ""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.before: Callable[[Asked], Said | None] = lambda _: None
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                api._serve(self)

            do_PATCH = do_POST = do_PUT = do_GET  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def answer(self, asked: Asked) -> Said:
        raise NotImplementedError

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}{self.prefix}"

    @property
    def paths(self) -> list[str]:
        return [f"{each.method} {each.path}" for each in self.asked]

    def say(self, *answers: Said) -> None:
        left = list(answers)
        self.before = lambda _: left.pop(0) if left else None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        raw = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        target = urlsplit(handler.path)
        form = "form" in handler.headers.get("Content-Type", "")
        body: Any = None
        if raw:
            body = {k: v for k, [v] in parse_qs(raw.decode()).items()} if form else json.loads(raw)
        query = {name: value for name, [value] in parse_qs(target.query).items()}
        path = target.path.removeprefix(self.prefix)
        asked = Asked(handler.command, unquote(path), query, handler.headers, body)
        self.asked.append(asked)
        said = self.before(asked) or self.answer(asked)
        text = b"" if said.body is None else json.dumps(said.body).encode()
        handler.send_response(said.status)
        for name, value in (said.headers or {}).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)


class HaltianApi(VendorApi):
    """Operations Cloud: tokens of 15 minutes, commands of things."""

    credentials = MappingProxyType({"client_id": "hub", "client_secret": "sesame-haltian"})
    prefix = "/prod/v1"

    def __init__(self) -> None:
        super().__init__()
        self.token = "token-1"
        self.groups: dict[str, list[str]] = {}
        self.messages: list[dict[str, Any]] = []

    def answer(self, asked: Asked) -> Said:
        if asked.path == "/auth/client-token":
            if asked.body != self.credentials:
                return Said(401, {"statusCode": 401, "error": "Unauthorized", "message": "no"})
            return Said(200, {"data": {"token": self.token}})
        if asked.headers.get("Authorization") != f"Bearer {self.token}":
            return Said(401, {"statusCode": 401, "error": "Unauthorized", "message": "no"})
        if asked.method == "POST" and asked.path.endswith("/commands"):
            tuid = asked.path.split("/")[2]
            echoed = [{**each, "tsmTs": 1557302186, "tsmDstTuid": tuid} for each in asked.body]
            return Said(200, {"data": {"responsible": "hub", "commands": echoed}})
        return self.listed(asked) or Said(404, {"statusCode": 404, "message": "no"})

    def listed(self, asked: Asked) -> Said | None:
        match asked.path.strip("/").split("/"):
            case ["groups"]:
                groups = [{"group_id": each, "group_description": ""} for each in self.groups]
                return Said(200, {"data": groups})
            case ["groups", group, "things"]:
                return Said(200, {"data": {"group_id": group, "tuids": self.groups[group]}})
            case ["things", tuid, "messages"]:
                start, end, limit = (int(asked.query[each]) for each in ("from", "to", "limit"))
                mine = [each for each in self.messages if each["tsmTuid"] == tuid]
                newest = [each for each in mine if start <= each["tsmTs"] <= end][-limit:]
                return Said(200, {"data": newest})
            case ["things", _, "alerts"]:
                return Said(200, {"data": []})
            case ["things", _]:
                described = {"battery_level": 86, "timestamp": 1_794_000_000, "version": "2019.11"}
                return Said(200, {"data": described})
        return None


class LightelligenceApi(VendorApi):
    """OLT: client credentials with a tenant, actions of devices."""

    credentials = MappingProxyType(
        {"client_id": "hub", "client_secret": "sesame-olt", "tenant": "ten-1"}
    )

    def answer(self, asked: Asked) -> Said:
        if asked.path == "/token":
            known = {**self.credentials, "grant_type": "client_credentials"}
            good = {**asked.body, "tenant": asked.headers["tenant"]} == known
            answer = {"access_token": "jwt", "expires_in": 863999, "token_type": "bearer"}
            return Said(200, answer) if good else Said(401, {"error": "unauthorized_client"})
        if asked.headers.get("Authorization") != "Bearer jwt":
            return Said(401, {"errorCode": "401", "errorMessage": "no"})
        if asked.path.endswith("/actions") and set(asked.body) <= {"action", "payload"}:
            return Said(202, {"data": {"actionId": "5895f5f0-93e9-428c-a4b6-580eb814f11e"}})
        if asked.path == "/devices":
            page, total = int(asked.query["page"]), 2
            info = {"name": f"Lamp {page}", "location": "Hall"}
            meta = {"page": page, "pagesTotal": total}
            return Said(200, {"data": [{"id": f"lamp-{page}", "info": info}], "meta": meta})
        if asked.path.endswith("/state"):
            state = {"attributes": {"batteryLevel": 0.94}, "status": "ONLINE"}
            return Said(200, {**state, "lastSeen": "2026-11-17T07:04:15.830Z"})
        return Said(403, {"errorCode": "403", "errorMessage": "forbidden"})


class RelayrApi(VendorApi):
    """relayr: an API key, command tasks (path and answer are inferred)."""

    credentials = MappingProxyType({"api_key": "sesame-relayr"})

    def __init__(self) -> None:
        super().__init__()
        self.measured: list[dict[str, Any]] = []

    def answer(self, asked: Asked) -> Said:
        if asked.headers.get("X-Api-Key") != self.credentials["api_key"]:
            return Said(401, {"error": {"id": "x", "message": "no"}})
        if (asked.method, asked.path) == ("POST", "/tasks"):
            return Said(201, {"id": "7005afde-a298-11e7-be32-7bea3ce9040b"})
        match asked.path.strip("/").split("/"):
            case ["devices", device]:
                return Said(200, {"id": device, "name": "Pump", "modelId": "m1", "modelVersion": 1})
            case ["devices", _, "raw-measurements"]:
                start, end = asked.query["start"], asked.query["end"]
                wanted = asked.query["measurements"].split(",")
                rows = [each for each in self.measured if start <= each["timestamp"] < end]
                return Said(200, [each for each in rows if each["name"] in wanted])
        return Said(404, {"error": {"id": "x", "message": "no"}})


class ViziosenseApi(VendorApi):
    """Viziosense: a token that lives long, images on request (where, only the vendor says)."""

    credentials = MappingProxyType({"api_token": "sesame-viziosense"})
    call = "POST /api/v1/devices/{device}/image"

    def answer(self, asked: Asked) -> Said:
        if asked.headers.get("Authorization") != f"Bearer {self.credentials['api_token']}":
            return Said(403, {"httpError": 403, "message": "no"})
        if asked.path.endswith("/image"):
            return Said(200, {"data": ["https://img.example/raw", "https://img.example/annotated"]})
        if asked.path == "/api/v1/devices":
            camera = {"uuid": "cam", "name": "Gate", "is_online": 1, "geo_city": "Gent"}
            meta = {"current_page": 1, "total_pages": 1}
            return Said(200, {"data": [camera], "meta": meta})
        return Said(404, {"httpError": 404, "message": "no"})


class SoundsensingApi(VendorApi):
    """Soundsensing: an API key, devices and alarms."""

    credentials = MappingProxyType({"api_key": "sesame-soundsensing"})

    def __init__(self) -> None:
        super().__init__()
        self.webhooks: list[dict[str, Any]] = []

    def answer(self, asked: Asked) -> Said:
        if asked.headers.get("Authorization") != f"Bearer {self.credentials['api_key']}":
            return Said(401, {"code": 401, "description": "Missing Authorization", "name": ""})
        if asked.path == "/devices":
            device = {"id": "dev", "serial": "203", "nickname": "Office", "api_key": "sesame-dev"}
            return Said(200, {"data": [device], "pagination": {}})
        if asked.path.startswith("/webhooks/"):
            (mine,) = [each for each in self.webhooks if each["id"] == asked.path.split("/")[2]]
            mine |= asked.body
            return Said(200, {"data": mine})
        if asked.path == "/webhooks":
            return Said(200, {"data": self.webhooks})
        if asked.path == "/alarm":
            alarm = {
                "id": "a1",
                "device_id": "dev",
                "timestamp": 1_794_000_000,
                "alarm_type": "A",
                "resolved": True,
                "resolution_time": 1_794_000_600,
            }
            return Said(200, {"data": [alarm]})
        return Said(404, {"code": 404, "description": "no", "name": ""})
