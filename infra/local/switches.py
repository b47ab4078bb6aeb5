"""The switches of ``make run``, read from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chalicelib.config import schedule
from infra.local.mistakes import MistakeError

_LAST_PORT = 65535
_PORT = 8080
_MQTT_PORT = 1883


@dataclass(frozen=True, slots=True)
class Switches:
    """What the caller may choose.  A port of 0 is any that is free."""

    port: int = _PORT
    mqtt_port: int = _MQTT_PORT
    state: Path | None = None
    samples: bool = True
    retry_schedule: str = ""
    private_targets: str = "loopback"
    aws_endpoint_url: str | None = None
    example_vendor: bool = False
    mqtt_broker: str = ""
    """``embedded``, ``mosquitto``, or empty: mosquitto where it is installed."""


def read(environment: Mapping[str, str]) -> Switches:
    """Read the switches.  Raises :class:`MistakeError` naming the one that is wrong."""
    state = environment.get("STATE", "").strip()
    endpoint = environment.get("AWS_ENDPOINT_URL", "").strip()
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise MistakeError("AWS_ENDPOINT_URL must be a URL, such as http://127.0.0.1:4566")
    if endpoint and state:
        raise MistakeError(
            "STATE keeps the embedded AWS, AWS_ENDPOINT_URL uses another: leave one of them away"
        )
    retries = environment.get("RETRY_SCHEDULE", "").strip()
    try:
        schedule(retries)
    except ValueError as error:
        raise MistakeError(str(error)) from error
    port = _port(environment, "PORT", _PORT)
    mqtt_port = _port(environment, "MQTT_PORT", _MQTT_PORT)
    if port and port == mqtt_port:
        raise MistakeError(f"PORT and MQTT_PORT are both {port}: choose two different ports")
    return Switches(
        port=port,
        mqtt_port=mqtt_port,
        state=Path(state) if state else None,
        samples=_one_of(environment, "SAMPLES", ("1", "0")) == "1",
        retry_schedule=retries,
        private_targets=_one_of(environment, "PRIVATE_TARGETS", ("loopback", "refuse")),
        # botocore would look for a bucket of S3 at bucket.localhost.
        aws_endpoint_url=endpoint.replace("//localhost", "//127.0.0.1") or None,
        example_vendor=_one_of(environment, "EXAMPLE_VENDOR", ("0", "1")) == "1",
        mqtt_broker=_one_of(environment, "MQTT_BROKER", ("", "embedded", "mosquitto")),
    )


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, "").strip() or str(default)
    if not text.isascii() or not text.isdigit() or int(text) > _LAST_PORT:
        raise MistakeError(f"{name} must be a port from 0 to {_LAST_PORT}, not {text!r}")
    return int(text)


def _one_of(environment: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str:
    value = environment.get(name, "").strip() or allowed[0]
    if value not in allowed:
        choice = " or ".join(each for each in allowed if each)
        raise MistakeError(f"{name} must be {choice}, not {value!r}")
    return value
