"""Feeds the vendors' bundled examples through the real doors, HTTP and MQTT in turn."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from chalicelib import vendors

_ACCEPTED = 202
_WITHIN = 30


@dataclass(frozen=True, slots=True)
class Sample:
    """One payload of one vendor."""

    vendor: str
    name: str
    topic: str
    query: Mapping[str, str]
    body: bytes


class SampleError(Exception):
    """A door did not take a sample."""


def bundled(names: Iterable[str]) -> list[Sample]:
    """Return the vendors' examples that need no settings of their connection."""
    folder = Path(vendors.__file__).parent
    found = []
    for vendor in names:
        for path in sorted((folder / vendor / "examples").glob("*.json")):
            example = json.loads(path.read_text("utf-8"))
            if example.get("records") and not example.get("settings"):
                found.append(_sample(vendor, path.stem, example))
    return found


def feed(
    samples: Iterable[Sample], connections: Mapping[str, Any], mqtt_port: int
) -> dict[str, dict[str, int]]:
    """Send every sample by one door or the other; return how many went through which."""
    sent: dict[str, dict[str, int]] = {}
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="tributary-samples")
    client.max_queued_messages_set(0)
    client.connect("127.0.0.1", mqtt_port)
    client.loop_start()
    published = []
    with httpx.Client(timeout=30, trust_env=False) as http:
        for sample in samples:
            counts = sent.setdefault(sample.vendor, {"http": 0, "mqtt": 0})
            connection = connections[sample.vendor]
            by_http = counts["http"] <= counts["mqtt"] or bool(sample.query) or not sample.body
            if by_http:
                _post(http, connection, sample)
            else:
                prefix = connection["mqtt_topic_prefix"].rstrip("/")
                topic = f"{prefix}/{sample.topic}".rstrip("/")
                published.append(client.publish(topic, sample.body, qos=1))
            counts["http" if by_http else "mqtt"] += 1
    for each in published:
        each.wait_for_publish(_WITHIN)
        if not each.is_published():
            raise SampleError("the MQTT broker acknowledged a sample too late")
    client.disconnect()
    client.loop_stop()
    return sent


def _sample(vendor: str, name: str, example: Mapping[str, Any]) -> Sample:
    if "body_base64" in example:
        body = base64.b64decode(example["body_base64"])
    elif "body" in example:
        body = str(example["body"]).encode()
    elif example.get("payload") is None:
        body = b""
    else:
        body = json.dumps(example["payload"]).encode()
    return Sample(vendor, name, example.get("topic", ""), example.get("query", {}), body)


def _post(http: httpx.Client, connection: Mapping[str, Any], sample: Sample) -> None:
    answer = http.request(
        "POST" if sample.body else "GET",
        f"{connection['webhook_url']}/{sample.topic}".rstrip("/"),
        params=dict(sample.query),
        content=sample.body,
        headers={
            "authorization": f"Bearer {connection['secret']}",
            "content-type": "application/json",
        },
    )
    if answer.status_code != _ACCEPTED:
        raise SampleError(f"{sample.vendor}/{sample.name}: {answer.status_code} {answer.text}")
