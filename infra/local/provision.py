"""Table, queues, bucket and key of ``infra/resources.json``, made at any endpoint.

Idempotent: run again it completes what is missing and leaves what is there.  The same function
serves ministack, LocalStack, moto and AWS itself.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infra.local.template import Template, reference

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

_ACTIVE_WITHIN = 60
_QUEUE_SETTINGS = (
    "DeduplicationScope",
    "DelaySeconds",
    "FifoThroughputLimit",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "VisibilityTimeout",
)


@dataclass(frozen=True, slots=True)
class Queue:
    """One queue, as boto3 and as event sources know it."""

    url: str
    arn: str


@dataclass(frozen=True, slots=True)
class Provisioned:
    """What was made, by name, URL and ARN."""

    table: str
    stream_arn: str
    """Names this very table: another table of the same name has another one."""
    queues: Mapping[str, Queue]
    """By logical id."""
    bucket: str
    secrets_key: str
    """Alias of the KMS key."""

    def environment(self) -> dict[str, str]:
        """Return the variables that tell the handlers where everything is."""
        return {
            "TABLE_NAME": self.table,
            "INBOUND_QUEUE_URL": self.queues["InboundQueue"].url,
            "DELIVERIES_QUEUE_URL": self.queues["DeliveriesQueue"].url,
            "ORDERED_QUEUE_URL": self.queues["OrderedQueue"].url,
            "SYNC_QUEUE_URL": self.queues["SyncQueue"].url,
            "EXPORTS_QUEUE_URL": self.queues["ExportsQueue"].url,
            "DEAD_LETTERS_QUEUE_URL": self.queues["DeliveriesDeadLetters"].url,
            "ORDERED_DEAD_LETTERS_QUEUE_URL": self.queues["OrderedDeadLetters"].url,
            "ARCHIVE_BUCKET": self.bucket,
            "SECRETS_KEY": self.secrets_key,
        }


def provision(session: boto3.Session, template: Template, prefix: str) -> Provisioned:
    """Make everything whose names begin with ``prefix``, and wait until it can be used."""
    table = name_of(prefix, "HubTable")
    stream_arn = _table(session.client("dynamodb"), template.properties("HubTable"), table)
    bucket = name_of(prefix, "ArchiveBucket")
    _bucket(session.client("s3"), bucket, session.region_name)
    secrets_key = f"alias/{name_of(prefix, 'SecretsKey')}"
    _key(session.client("kms"), secrets_key)
    queues = _queues(session.client("sqs"), template, prefix)
    return Provisioned(table, stream_arn, queues, bucket, secrets_key)


def introduce(session: boto3.Session, address: str) -> None:
    """Make SES know the address that mails to people come from."""
    ses: Any = session.client("sesv2")
    with suppress(ses.exceptions.AlreadyExistsException):
        ses.create_email_identity(EmailIdentity=address)


def name_of(prefix: str, logical_id: str) -> str:
    """Return the name of a resource: ``HubTable`` is ``<prefix>-hub-table``."""
    return prefix + re.sub(r"(?=[A-Z])", "-", logical_id).lower()


def _table(dynamodb: DynamoDBClient, properties: Mapping[str, Any], name: str) -> str:
    wanted: dict[str, Any] = {
        "AttributeDefinitions": properties["AttributeDefinitions"],
        "KeySchema": properties["KeySchema"],
        "BillingMode": "PAY_PER_REQUEST",
        "StreamSpecification": {"StreamEnabled": True, **properties["StreamSpecification"]},
    }
    if properties.get("GlobalSecondaryIndexes"):
        wanted["GlobalSecondaryIndexes"] = properties["GlobalSecondaryIndexes"]
    try:
        dynamodb.create_table(TableName=name, **wanted)
    except dynamodb.exceptions.ResourceInUseException:
        _complete(dynamodb, name, wanted)
    description = _active(dynamodb, name)
    _expiry(dynamodb, name, properties.get("TimeToLiveSpecification"))
    return str(description["LatestStreamArn"])


def _complete(dynamodb: DynamoDBClient, name: str, wanted: Mapping[str, Any]) -> None:
    """Add the indexes that a table made by an older version lacks."""
    there = {
        each["IndexName"] for each in _active(dynamodb, name).get("GlobalSecondaryIndexes", [])
    }
    for index in wanted.get("GlobalSecondaryIndexes", []):
        if index["IndexName"] not in there:
            dynamodb.update_table(
                TableName=name,
                AttributeDefinitions=wanted["AttributeDefinitions"],
                GlobalSecondaryIndexUpdates=[{"Create": index}],
            )
            _active(dynamodb, name)


def _active(dynamodb: DynamoDBClient, name: str) -> Mapping[str, Any]:
    until = time.monotonic() + _ACTIVE_WITHIN
    while time.monotonic() < until:
        description = dynamodb.describe_table(TableName=name)["Table"]
        states = [description["TableStatus"]]
        states += [each["IndexStatus"] for each in description.get("GlobalSecondaryIndexes", [])]
        if all(state == "ACTIVE" for state in states):
            return description
        time.sleep(0.05)
    raise TimeoutError(f"table {name} was not ACTIVE within {_ACTIVE_WITHIN} s")


def _expiry(dynamodb: DynamoDBClient, name: str, wanted: Mapping[str, Any] | None) -> None:
    if not wanted:
        return
    now = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    if now.get("AttributeName") != wanted["AttributeName"]:
        dynamodb.update_time_to_live(
            TableName=name,
            TimeToLiveSpecification={"AttributeName": wanted["AttributeName"], "Enabled": True},
        )


def _queues(sqs: SQSClient, template: Template, prefix: str) -> dict[str, Queue]:
    made: dict[str, Queue] = {}

    def make(logical_id: str) -> Queue:
        if logical_id not in made:
            properties = template.properties(logical_id)
            attributes = {key: str(properties[key]) for key in _QUEUE_SETTINGS if key in properties}
            policy = properties.get("RedrivePolicy")
            target = reference(policy["deadLetterTargetArn"]) if policy else None
            if policy and target:
                attributes["RedrivePolicy"] = json.dumps(
                    {
                        "deadLetterTargetArn": make(target).arn,
                        "maxReceiveCount": int(policy["maxReceiveCount"]),
                    }
                )
            name = name_of(prefix, logical_id)
            if properties.get("FifoQueue"):
                name, attributes["FifoQueue"] = f"{name}.fifo", "true"
            made[logical_id] = _queue(sqs, name, attributes)
        return made[logical_id]

    for each in template.of_type("AWS::SQS::Queue"):
        make(each)
    return made


def _queue(sqs: SQSClient, name: str, attributes: Mapping[str, str]) -> Queue:
    try:
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        if attributes:
            sqs.set_queue_attributes(QueueUrl=url, Attributes=dict(attributes))  # type: ignore[arg-type]
    except sqs.exceptions.QueueDoesNotExist:
        url = sqs.create_queue(QueueName=name, Attributes=dict(attributes))["QueueUrl"]  # type: ignore[arg-type]
    answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return Queue(url, answer["Attributes"]["QueueArn"])


def _bucket(s3: S3Client, name: str, region: str) -> None:
    from botocore.exceptions import ClientError  # noqa: PLC0415 - beside the clients it belongs to

    try:
        s3.head_bucket(Bucket=name)
    except ClientError:
        if region == "us-east-1":
            s3.create_bucket(Bucket=name)
        else:
            s3.create_bucket(
                Bucket=name,
                CreateBucketConfiguration={"LocationConstraint": region},  # type: ignore[typeddict-item]
            )


def _key(kms: Any, alias: str) -> None:
    """Make the key that an alias names; one that is there is kept, with all that it protects."""
    try:
        kms.describe_key(KeyId=alias)
    except kms.exceptions.NotFoundException:
        made = kms.create_key(Description="Tributary: secrets in the table")
        kms.create_alias(AliasName=alias, TargetKeyId=made["KeyMetadata"]["KeyId"])
