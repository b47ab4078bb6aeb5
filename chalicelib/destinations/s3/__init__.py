"""S3: one object of NDJSON a delivery, under a name that is the same for every retry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.destinations import ROLE, AwsCall, Destination, Form, Most, as_json, check_role
from chalicelib.model import arns
from chalicelib.model.cloudevents import CloudEvent, identity
from chalicelib.model.fields import Field, Problem, check_text, declared

_FIELDS = (
    Field("bucket", "The bucket.", required=True),
    Field("region", "The bucket's region.", required=True),
    Field("prefix", "How the objects' names begin, such as hub/."),
    ROLE,
)


def _check(config: Mapping[str, Any], *, private_targets: str) -> list[Problem]:
    found = declared(_FIELDS, config) + check_role(config, private_targets)
    found += check_text(config, "bucket", r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "a bucket's name")
    found += check_text(config, "prefix", r"[\w!.*'()/=-]{0,512}", "letters, digits and !-_.*'()/=")
    region = config.get("region")
    if region is not None and (detail := arns.region_problem(region)):
        found.append(("/region", detail))
    return found


def _render(events: Sequence[CloudEvent], config: Mapping[str, Any], form: Form) -> AwsCall:
    # By the first event's hour: the moment of sending would give a retry another name.
    day, hour = events[0]["time"][:10].replace("-", "/"), events[0]["time"][11:13]
    name = identity(events, batch=form.batch)
    parameters = {
        "Bucket": config["bucket"],
        "Key": f"{config.get('prefix') or ''}{day}/{hour}/{name}.ndjson",
        "Body": b"".join(as_json(event) + b"\n" for event in events),
        "ContentType": "application/x-ndjson",
    }
    return AwsCall("s3", "put_object", parameters, config["region"], config.get(ROLE.name))


destination = Destination("Amazon S3", _FIELDS, _check, _render, batches=Most(500))
