"""Resources come from the deployment's template and can be made again and again."""

from __future__ import annotations

import json
from typing import Any

from infra.local import provision, template
from infra.local.template import EventSource, Template


def test_the_table_is_the_template_s(aws: Any, provisioned: provision.Provisioned) -> None:
    wanted = template.load().properties("HubTable")

    made = aws.client("dynamodb").describe_table(TableName=provisioned.table)["Table"]

    assert made["KeySchema"] == wanted["KeySchema"]
    assert {each["IndexName"] for each in made["GlobalSecondaryIndexes"]} == {
        each["IndexName"] for each in wanted["GlobalSecondaryIndexes"]
    }
    assert made["StreamSpecification"]["StreamViewType"] == "NEW_AND_OLD_IMAGES"
    assert made["LatestStreamArn"] == provisioned.stream_arn
    expiry = aws.client("dynamodb").describe_time_to_live(TableName=provisioned.table)
    assert expiry["TimeToLiveDescription"]["AttributeName"] == "expires_at"


def test_queues_redrive_to_their_dead_letters(aws: Any, provisioned: provision.Provisioned) -> None:
    sqs = aws.client("sqs")
    for queue, dead in (
        ("InboundQueue", "InboundDeadLetters"),
        ("DeliveriesQueue", "DeliveriesDeadLetters"),
        ("OrderedQueue", "OrderedDeadLetters"),
        ("ExportsQueue", "ExportsDeadLetters"),
    ):
        said = sqs.get_queue_attributes(
            QueueUrl=provisioned.queues[queue].url, AttributeNames=["RedrivePolicy"]
        )
        policy = json.loads(said["Attributes"]["RedrivePolicy"])
        assert policy["deadLetterTargetArn"] == provisioned.queues[dead].arn


def test_the_handlers_are_told_every_resource(provisioned: provision.Provisioned) -> None:
    assert provisioned.environment() == {
        "TABLE_NAME": provisioned.table,
        "INBOUND_QUEUE_URL": provisioned.queues["InboundQueue"].url,
        "DELIVERIES_QUEUE_URL": provisioned.queues["DeliveriesQueue"].url,
        "ORDERED_QUEUE_URL": provisioned.queues["OrderedQueue"].url,
        "SYNC_QUEUE_URL": provisioned.queues["SyncQueue"].url,
        "EXPORTS_QUEUE_URL": provisioned.queues["ExportsQueue"].url,
        "DEAD_LETTERS_QUEUE_URL": provisioned.queues["DeliveriesDeadLetters"].url,
        "ORDERED_DEAD_LETTERS_QUEUE_URL": provisioned.queues["OrderedDeadLetters"].url,
        "ARCHIVE_BUCKET": provisioned.bucket,
        "SECRETS_KEY": provisioned.secrets_key,
    }


def test_a_second_time_changes_nothing(
    aws: Any, prefix: str, provisioned: provision.Provisioned
) -> None:
    sqs = aws.client("sqs")
    sqs.send_message(QueueUrl=provisioned.queues["InboundQueue"].url, MessageBody="kept")

    again = provision.provision(aws, template.load(), prefix)

    assert again == provisioned
    said = sqs.receive_message(QueueUrl=again.queues["InboundQueue"].url)
    assert [each["Body"] for each in said["Messages"]] == ["kept"]


def test_an_index_that_an_older_version_lacks_is_added(aws: Any, prefix: str) -> None:
    new = template.load()
    older = json.loads(json.dumps(dict(new.resources)))
    properties = older["HubTable"]["Properties"]
    first, second = properties["GlobalSecondaryIndexes"]
    properties["GlobalSecondaryIndexes"] = [first]
    used = {each["AttributeName"] for each in first["KeySchema"] + properties["KeySchema"]}
    properties["AttributeDefinitions"] = [
        each for each in properties["AttributeDefinitions"] if each["AttributeName"] in used
    ]
    before = provision.provision(aws, Template(older), prefix)

    after = provision.provision(aws, new, prefix)

    made = aws.client("dynamodb").describe_table(TableName=after.table)["Table"]
    assert second["IndexName"] in {each["IndexName"] for each in made["GlobalSecondaryIndexes"]}
    assert after.stream_arn == before.stream_arn


def test_event_sources_are_the_template_s() -> None:
    source = template.load().event_source("Project", EventSource(batch_size=1))

    assert source.batch_size == 100
    assert source.partial_failures
    assert source.bisect
    assert source.filters
    assert source.on_failure == "StreamFailures"
    assert template.load().event_source("Nobody", EventSource(batch_size=7)).batch_size == 7


def test_ses_knows_who_mails_come_from_however_often_it_is_told(aws: Any) -> None:
    for _ in range(2):
        provision.introduce(aws, "hub@example.com")

    known = aws.client("sesv2").list_email_identities()["EmailIdentities"]
    assert "hub@example.com" in {each["IdentityName"] for each in known}
