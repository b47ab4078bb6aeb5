"""The environment of the handlers: what a deployment sets, and nothing that reaches beyond."""

from __future__ import annotations

import os
import resource

from infra.local import emulator
from infra.local.switches import Switches

EMAIL_SENDER = "tributary@example.com"
_OPEN_FILES = 4096
_HERE = "127.0.0.1,localhost"


def reach(endpoint_url: str, *, ours: bool) -> str:
    """Point every AWS client of this process at an endpoint; return the region.

    For the embedded AWS the caller's own account is put out of reach: keys, profile and
    endpoints of single services are taken away.
    """
    environment = os.environ
    if ours:
        for name in [name for name in environment if name.startswith("AWS_")]:
            del environment[name]
    region = (
        environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or emulator.REGION
    )
    environment["AWS_ENDPOINT_URL"] = endpoint_url
    environment["AWS_DEFAULT_REGION"] = region
    environment["AWS_EC2_METADATA_DISABLED"] = "true"
    for name in ("NO_PROXY", "no_proxy"):
        environment[name] = ",".join(filter(None, [environment.get(name), _HERE]))
    if ours or not _credentials():
        environment["AWS_ACCESS_KEY_ID"] = "test"
        environment["AWS_SECRET_ACCESS_KEY"] = "test"  # noqa: S105 - for an emulator
    return region


def tell(chosen: Switches, resources: dict[str, str], root_key_sha256: str) -> None:
    """Tell the handlers of this process what a deployment would tell them."""
    os.environ |= resources | {
        "ROOT_KEY_SHA256": root_key_sha256,
        "RETRY_SCHEDULE": chosen.retry_schedule,
        "PRIVATE_TARGETS": chosen.private_targets,
        "KEEP_ALL": "1",
        "DELIVER_PROCESSES": "1",
        "EMAIL_SENDER": EMAIL_SENDER,
        "SMS_SENDER": "Tributary",
        "MQTT_PREFIX": "tributary",
        "EXAMPLE_VENDOR": "1" if chosen.example_vendor else "0",
    }


def allow_open_files() -> None:
    """Raise the limit of open files: a burst of connections needs more than some systems allow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _credentials() -> bool:
    import boto3  # noqa: PLC0415 - slow to import

    return boto3.Session().get_credentials() is not None
