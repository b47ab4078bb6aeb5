"""Calls of AWS: in whose name, what an answer means, and that the embedded AWS takes every kind."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib import destinations
from chalicelib.aws import Hub
from chalicelib.deliver.aws_calls import AwsCalls
from chalicelib.deliver.rendering import rendered
from chalicelib.destinations import AwsCall
from chalicelib.outbound.http import Outcome
from chalicelib.store.integrations import Integration
from tests.support.embedded import Embedded
from tests.support.fake_aws import Clock
from tests.support.world import CONFIG

OURS, THEIRS = "111111111111", "222222222222"
ROLE = f"arn:aws:iam::{THEIRS}:role/tributary-events"
SEND = AwsCall("sqs", "send_message", {"QueueUrl": "q", "MessageBody": "x"}, "eu-central-1", ROLE)
FOLDERS = Path(destinations.__file__).parent


def failure(code: str, status: int) -> ClientError:
    answer = {
        "Error": {"Code": code, "Message": "because"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, "Operation")  # type: ignore[arg-type]


@dataclass
class Cloud:
    """AWS as far as a delivery sees it: who called what, and one answer for all."""

    clock: Clock = field(default_factory=Clock)
    answer: Any = field(default_factory=dict)
    made: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    called: list[tuple[str, str]] = field(default_factory=list)
    assumed: list[dict[str, Any]] = field(default_factory=list)
    private_targets: str = "refuse"
    account: str = OURS

    def __post_init__(self) -> None:
        settings = replace(CONFIG, account=self.account, private_targets=self.private_targets)
        self.calls = AwsCalls(Hub(settings, self._client, self.clock))

    def _client(self, service: str, **options: Any) -> Any:
        self.made.append((service, options))
        return Service(self, service, options)


@dataclass
class Service:
    cloud: Cloud
    name: str
    options: dict[str, Any]

    def __getattr__(self, operation: str) -> Any:
        def call(**parameters: Any) -> Any:
            if operation == "assume_role":
                self.cloud.assumed.append(parameters)
                number = len(self.cloud.assumed)
                names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
                return {"Credentials": {name: f"{name}{number}" for name in names}}
            self.cloud.called.append((self.options.get("aws_access_key_id", ""), operation))
            if isinstance(self.cloud.answer, Exception):
                raise self.cloud.answer
            return self.cloud.answer

        return call


def test_a_call_is_made_as_the_role_with_the_integration_s_external_id() -> None:
    cloud = Cloud()

    assert cloud.calls(SEND, "tributary-abc").delivered

    (assumed,) = cloud.assumed
    assert (assumed["RoleArn"], assumed["ExternalId"]) == (ROLE, "tributary-abc")
    assert cloud.called == [("AccessKeyId1", "send_message")]
    assert cloud.made[-1][1]["region_name"] == "eu-central-1"


def test_a_session_is_kept_until_shortly_before_its_end() -> None:
    cloud = Cloud()
    for minutes in (0, 54, 1):
        cloud.clock.forward(minutes * 60_000)
        cloud.calls(SEND, "tributary-abc")

    assert [key for key, _ in cloud.called] == ["AccessKeyId1", "AccessKeyId1", "AccessKeyId2"]


def test_another_integration_never_uses_the_session_of_one() -> None:
    cloud = Cloud()
    cloud.calls(SEND, "tributary-abc")
    cloud.calls(SEND, "tributary-def")

    assert [each["ExternalId"] for each in cloud.assumed] == ["tributary-abc", "tributary-def"]


def test_a_session_that_aws_no_longer_takes_is_asked_for_anew() -> None:
    cloud = Cloud(answer=failure("ExpiredToken", 403))
    cloud.calls(SEND, "tributary-abc")
    cloud.answer = {}

    assert cloud.calls(SEND, "tributary-abc").delivered
    assert len(cloud.assumed) == 2


def test_a_role_of_the_hub_s_own_account_is_not_assumed() -> None:
    cloud = Cloud()
    own = replace(SEND, role_arn=f"arn:aws:iam::{OURS}:role/tributary-DeliverRole-1")

    outcome = cloud.calls(own, "tributary-abc")

    assert outcome.error == "not sent: the role is not of an account of yours"
    assert (cloud.assumed, cloud.called) == ([], [])


@pytest.mark.parametrize(
    "call",
    [
        replace(SEND, role_arn=None),
        AwsCall("sns", "publish", {"TopicArn": "arn:aws:sns:eu-west-1:111111111111:alarms"}),
        AwsCall("s3", "put_object", {"Bucket": "archive", "Key": "raw/x", "Body": b""}),
    ],
)
@pytest.mark.parametrize("options", [{}, {"private_targets": "loopback"}, {"account": ""}])
def test_nothing_that_the_deployment_does_not_give_is_called_in_the_hub_s_name(
    call: AwsCall, options: dict[str, str]
) -> None:
    cloud = Cloud(**options)  # type: ignore[arg-type]

    assert cloud.calls(call, "x").error == "not sent: a role_arn is needed"
    assert cloud.called == []


def test_the_local_run_goes_without_roles() -> None:
    cloud = Cloud(private_targets="loopback", account="")

    assert cloud.calls(replace(SEND, role_arn=None), "x").delivered
    assert cloud.assumed == []


def test_a_phone_number_is_called_in_the_hub_s_name() -> None:
    cloud = Cloud()

    assert cloud.calls(
        AwsCall("sns", "publish", {"PhoneNumber": "+49301", "Message": "x"}), "x"
    ).delivered
    assert cloud.called == [("", "publish")]


@pytest.mark.parametrize(
    ("operation", "listed", "answer", "status", "error"),
    [
        (
            "send_message_batch",
            "Entries",
            {
                "Successful": [{"Id": "0"}],
                "Failed": [{"Id": "1", "Code": "InternalError", "Message": "oh"}],
            },
            None,
            "1 of 2 records failed: InternalError: oh",
        ),
        (
            "publish_batch",
            "PublishBatchRequestEntries",
            {"Failed": [{"Id": "1", "Code": "NotFound", "Message": "no topic"}]},
            None,
            "1 of 2 records failed: NotFound: no topic",
        ),
        (
            "put_events",
            "Entries",
            {
                "FailedEntryCount": 1,
                "Entries": [{"EventId": "1"}, {"ErrorCode": "ThrottlingException"}],
            },
            429,
            "1 of 2 records failed: ThrottlingException: ",
        ),
        (
            "put_records",
            "Records",
            {
                "FailedRecordCount": 2,
                "Records": [
                    {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "slow"},
                    {"ErrorCode": "InternalFailure", "ErrorMessage": "oh"},
                ],
            },
            None,
            "2 of 2 records failed: InternalFailure, ProvisionedThroughputExceededException: slow",
        ),
        (
            "put_record_batch",
            "Records",
            {
                "FailedPutCount": 1,
                "RequestResponses": [{"RecordId": "1"}, {"ErrorCode": "ServiceUnavailable"}],
            },
            None,
            "1 of 2 records failed: ServiceUnavailable: ",
        ),
    ],
)
def test_a_batch_of_which_a_part_fails_has_failed(
    operation: str, listed: str, answer: Any, status: int | None, error: str
) -> None:
    cloud = Cloud(answer={"ResponseMetadata": {"HTTPStatusCode": 200}, **answer})

    outcome = cloud.calls(AwsCall("x", operation, {listed: [{}, {}]}, "eu-west-1", ROLE), "x")

    assert (outcome.status, outcome.error) == (status, error)
    assert not outcome.delivered


@pytest.mark.parametrize(
    ("raised", "status", "error"),
    [
        (failure("AccessDenied", 403), 403, "AccessDenied: because"),
        (
            failure("AWS.SimpleQueueService.NonExistentQueue", 400),
            400,
            "AWS.SimpleQueueService.NonExistentQueue: because",
        ),
        (failure("ThrottlingException", 400), 429, "ThrottlingException: because"),
        (failure("SlowDown", 503), 429, "SlowDown: because"),
        (failure("ServiceUnavailable", 503), 503, "ServiceUnavailable: because"),
        (failure("Gone", 410), None, "Gone: because"),
        (OSError("no route"), None, "not sent: OSError: no route"),
    ],
)
def test_what_aws_refuses_is_an_outcome(raised: Exception, status: int | None, error: str) -> None:
    outcome = Cloud(answer=raised).calls(SEND, "x")

    assert (outcome.status, outcome.error) == (status, error)
    assert not outcome.delivered


# --- the embedded AWS


@pytest.fixture
def calls(embedded: Embedded) -> AwsCalls:
    settings = replace(
        CONFIG,
        private_targets="loopback",
        email_sender="hub@example.com",
        sms_sender="Tributary",
        mqtt_prefix="tributary",
    )

    def client(service: str, *, guest: bool, **options: Any) -> Any:
        assert guest
        return embedded.session.client(  # type: ignore[call-overload]
            service, endpoint_url=embedded.endpoint_url, **options
        )

    return AwsCalls(Hub(settings, client, Clock()))


def sent(calls: AwsCalls, kind: str, config: Any, name: str, *, batch: bool = False) -> Outcome:
    """Send an example's events to a place of the embedded AWS."""
    example = json.loads((FOLDERS / kind / "examples" / f"{name}.json").read_text())
    integration = Integration("int_a", "ten", "A", kind, 0, config=config)
    settings = replace(
        CONFIG, email_sender="hub@example.com", sms_sender="T", mqtt_prefix="tributary"
    )
    message = rendered(integration, example["events"], batch=batch, settings=settings, device=None)
    assert isinstance(message, AwsCall)
    return calls(message, "tributary-abc")


def test_a_queue_gets_messages_alone_and_in_batches(embedded: Embedded, calls: AwsCalls) -> None:
    sqs = embedded.client("sqs")
    url = sqs.create_queue(QueueName="destination")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    config = {"queue_arn": arn}

    outcomes = [
        sent(calls, "sqs", config, "single"),
        sent(calls, "sqs", config, "batch", batch=True),
    ]

    assert [each.error for each in outcomes] == [None, None]
    found = sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    )["Messages"]
    events = [json.loads(each["Body"]) for each in found]
    assert len(events) == 3
    assert [each["MessageAttributes"]["id"]["StringValue"] for each in found] == [
        each["id"] for each in events
    ]


def test_a_fifo_queue_takes_an_event_once(embedded: Embedded, calls: AwsCalls) -> None:
    sqs = embedded.client("sqs")
    url = sqs.create_queue(QueueName="destination.fifo", Attributes={"FifoQueue": "true"})[
        "QueueUrl"
    ]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]

    for _ in range(2):
        assert sent(calls, "sqs", {"queue_arn": arn}, "fifo").delivered

    assert len(sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]) == 1


def test_a_bucket_gets_one_object_however_often_it_is_sent(
    embedded: Embedded, calls: AwsCalls
) -> None:
    s3 = embedded.client("s3")
    s3.create_bucket(
        Bucket="destination", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    config = {"bucket": "destination", "region": "eu-west-1", "prefix": "hub/"}

    for _ in range(2):
        assert sent(calls, "s3", config, "batch", batch=True).delivered

    (row,) = s3.list_objects_v2(Bucket="destination")["Contents"]
    assert row["Key"].startswith("hub/2026/01/31/12/")
    lines = s3.get_object(Bucket="destination", Key=row["Key"])["Body"].read().splitlines()
    assert [json.loads(line)["type"] for line in lines] == ["measurement.recorded", "alert.raised"]


def test_a_stream_gets_a_device_s_events(embedded: Embedded, calls: AwsCalls) -> None:
    kinesis = embedded.client("kinesis")
    kinesis.create_stream(StreamName="destination", ShardCount=1)
    found = kinesis.describe_stream_summary(StreamName="destination")
    config = {"stream_arn": found["StreamDescriptionSummary"]["StreamARN"]}

    outcomes = [sent(calls, "kinesis", config, n, batch=n == "batch") for n in ("single", "batch")]

    assert [each.error for each in outcomes] == [None, None]


def test_topics_buses_and_delivery_streams_get_theirs(embedded: Embedded, calls: AwsCalls) -> None:
    topic = embedded.client("sns").create_topic(Name="destination")["TopicArn"]
    bus = embedded.client("events").create_event_bus(Name="destination")["EventBusArn"]
    s3 = {"RoleARN": "arn:aws:iam::000000000000:role/r", "BucketARN": "arn:aws:s3:::destination"}
    stream = embedded.client("firehose").create_delivery_stream(
        DeliveryStreamName="destination", S3DestinationConfiguration=s3
    )["DeliveryStreamARN"]

    outcomes = [
        sent(calls, "sns", {"topic_arn": topic}, "single"),
        sent(calls, "eventbridge", {"event_bus_arn": bus}, "batch-own-source", batch=True),
        sent(calls, "firehose", {"stream_arn": stream}, "single"),
        sent(calls, "firehose", {"stream_arn": stream}, "batch", batch=True),
    ]

    assert [each.error for each in outcomes] == [None] * 4


def test_people_get_mails_and_texts(embedded: Embedded, calls: AwsCalls) -> None:
    embedded.client("sesv2").create_email_identity(EmailIdentity="hub@example.com")

    outcomes = [
        sent(calls, "email", {"to": ["a@example.com"]}, "alert"),
        sent(calls, "sms", {"phone_number": "+4930123456"}, "alert"),
    ]

    assert [each.error for each in outcomes] == [None, None]


def test_a_queue_that_is_not_there_is_named_in_the_error(calls: AwsCalls) -> None:
    missing = {"queue_arn": "arn:aws:sqs:eu-west-1:000000000000:missing"}

    outcome = sent(calls, "sqs", missing, "single")

    assert outcome.status == 400
    assert "NonExistentQueue" in (outcome.error or "")
