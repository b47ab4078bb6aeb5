"""What a deployment is told from outside: the environment, read once into a frozen value."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_SCHEDULE = (5, 60, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds between attempts of a delivery: 11 attempts over 75.6 hours."""


@dataclass(frozen=True, slots=True)
class Config:
    """Names of the hub's resources and its switches."""

    table: str
    inbound_url: str
    deliveries_url: str
    dead_letters_url: str
    bucket: str
    ordered_url: str = ""
    """The queue that keeps the order of each device."""
    root_key_sha256: str = ""
    secrets_key: str = ""
    """The KMS key (id, ARN or alias) that protects what is sealed in the table."""
    retry_schedule: tuple[float, ...] = DEFAULT_SCHEDULE
    private_targets: str = "refuse"
    """``refuse`` (a deployment's rule) or ``loopback`` (the local run: loopback only)."""
    keep_all: bool = False
    """The local run keeps everything; a deployment lets old items expire."""
    example_vendor: bool = False
    """Whether the invented vendor may be connected.  The local run only: no package holds it."""
    account: str = ""
    """The AWS account of the hub itself, which no integration's role may be of."""
    email_sender: str = ""
    """The address that mails to people come from; without it there are no mails."""
    sms_sender: str = ""
    """The sender id of text messages; without it there are none."""
    mqtt_prefix: str = ""
    """The topic below which tenants' topics are; without it nothing is published again."""
    sync_url: str = ""
    """The queue of what is to be done at vendors."""
    ordered_dead_letters_url: str = ""
    """The dead-letter queue of the queue that keeps order."""
    exports_url: str = ""
    """The queue of exports."""
    deliver_processes: int = 4
    """Processes that deliver to one integration at a time: each takes its share of what that allows."""


def from_environment(environment: Mapping[str, str] = os.environ) -> Config:
    """Read the configuration.  Raises ``KeyError`` naming a missing variable, ``ValueError`` a bad one."""
    return Config(
        table=environment["TABLE_NAME"],
        inbound_url=environment["INBOUND_QUEUE_URL"],
        deliveries_url=environment["DELIVERIES_QUEUE_URL"],
        ordered_url=environment["ORDERED_QUEUE_URL"],
        sync_url=environment["SYNC_QUEUE_URL"],
        exports_url=environment["EXPORTS_QUEUE_URL"],
        dead_letters_url=environment["DEAD_LETTERS_QUEUE_URL"],
        ordered_dead_letters_url=environment["ORDERED_DEAD_LETTERS_QUEUE_URL"],
        bucket=environment["ARCHIVE_BUCKET"],
        root_key_sha256=environment.get("ROOT_KEY_SHA256", ""),
        secrets_key=environment["SECRETS_KEY"],
        retry_schedule=schedule(environment.get("RETRY_SCHEDULE", "")),
        private_targets=_one_of(environment, "PRIVATE_TARGETS", ("refuse", "loopback")),
        keep_all=environment.get("KEEP_ALL", "") == "1",
        example_vendor=environment.get("EXAMPLE_VENDOR", "") == "1",
        account=environment.get("HUB_ACCOUNT", ""),
        email_sender=environment.get("EMAIL_SENDER", ""),
        sms_sender=environment.get("SMS_SENDER", ""),
        mqtt_prefix=_mqtt_prefix(environment.get("MQTT_PREFIX", "")),
        deliver_processes=int(environment.get("DELIVER_PROCESSES") or 4),
    )


def schedule(text: str) -> tuple[float, ...]:
    """Read ``2,4,8``: seconds between attempts.  Empty means the default; raises ``ValueError``."""
    if not text.strip():
        return DEFAULT_SCHEDULE
    try:
        seconds = tuple(float(part) for part in text.split(","))
    except ValueError:
        seconds = ()
    if not seconds or not all(0 < each <= 7 * 86_400 for each in seconds):
        raise ValueError("RETRY_SCHEDULE must be seconds between attempts, such as 2,4,8")
    return seconds


def _mqtt_prefix(text: str) -> str:
    # Below hub/ the hub itself listens: what it published there would come back to it.
    if text and (text == "hub" or not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", text)):
        raise ValueError(
            "MQTT_PREFIX must be one level of a topic other than hub, such as tributary"
        )
    return text


def _one_of(environment: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str:
    value = environment.get(name) or allowed[0]
    if value not in allowed:
        raise ValueError(f"{name} must be {' or '.join(allowed)}, not {value!r}")
    return value
