"""Names of AWS resources: those that a tenant says deliveries go to, and the role that lets them in.

The hub reaches into a tenant's account only as a role of that account, and only with the external id
that the hub made for the integration: naming somebody else's role leads nowhere.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from chalicelib.model.digests import digest

ROLE_PREFIX = "tributary-"
"""How the name of a role begins that the hub may assume."""
_ARN = re.compile(
    r"arn:(aws|aws-cn|aws-us-gov):([a-z0-9-]{1,32}):([a-z0-9-]{0,32}):([0-9]{12}|):(\S{1,512})"
)
_ROLE = re.compile(rf"role/{ROLE_PREFIX}[\w+=,.@-]{{1,54}}", re.ASCII)
_REGION = re.compile(r"[a-z]{2}(-[a-z]+){1,3}-[0-9]{1,2}")
_SUFFIXES = {"aws-cn": "amazonaws.com.cn"}


class Arn(NamedTuple):
    """The parts of an ARN."""

    partition: str
    service: str
    region: str
    account: str
    resource: str


def parsed(text: str) -> Arn | None:
    """Return an ARN's parts, or ``None`` for a text that is none."""
    found = _ARN.fullmatch(text)
    return Arn(*found.groups()) if found else None


def problem(value: object, service: str, resource: str) -> str | None:
    """Say why a value is no ARN of a service's resource, whose name fits a pattern, or ``None``."""
    arn = parsed(value) if isinstance(value, str) else None
    good = arn is not None and arn.service == service and _REGION.fullmatch(arn.region)
    if (
        arn is None
        or not good
        or not arn.account
        or not re.fullmatch(resource, arn.resource, re.ASCII)
    ):
        return f"must be an ARN of {service} with region and account"
    return None


def role_problem(value: object) -> str | None:
    """Say why a value is no ARN of a role that the hub may assume, or ``None``."""
    arn = parsed(value) if isinstance(value, str) else None
    if arn is None or arn.service != "iam" or not arn.account or not _ROLE.fullmatch(arn.resource):
        return f"must be the ARN of a role whose name begins with {ROLE_PREFIX}"
    return None


def region_problem(value: object) -> str | None:
    """Say why a value is no region, or ``None``."""
    good = isinstance(value, str) and _REGION.fullmatch(value)
    return None if good else "must be a region, such as eu-central-1"


def queue_url(arn: Arn) -> str:
    """Return the URL by which SQS knows a queue."""
    suffix = _SUFFIXES.get(arn.partition, "amazonaws.com")
    return f"https://sqs.{arn.region}.{suffix}/{arn.account}/{arn.resource}"


def external_id(tenant: str, integration_id: str) -> str:
    """Return the external id with which the hub assumes an integration's role."""
    return f"{ROLE_PREFIX}{digest('external-id', tenant, integration_id)}"
