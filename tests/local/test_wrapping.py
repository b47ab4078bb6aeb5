"""What comes by MQTT looks the same whether we or AWS IoT put it on the queue."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.local import template
from infra.local.provision import Provisioned
from infra.local.sink import wrap


@pytest.mark.parametrize("payload", [b'{"a": 1}', b"\x00\xff", b"", "zwölf".encode()])
def test_we_wrap_as_the_rule_does(
    aws: Any, provisioned: Provisioned, prefix: str, payload: bytes
) -> None:
    queue = provisioned.queues["InboundQueue"]
    rule = dict(template.load().properties("MqttInbound")["TopicRulePayload"])
    topic = f"hub/{prefix}/a/b"
    aws.client("iot").create_topic_rule(
        ruleName=prefix,
        topicRulePayload={
            "sql": rule["Sql"].replace("hub/#", f"hub/{prefix}/#"),
            "awsIotSqlVersion": rule["AwsIotSqlVersion"],
            "actions": [{"sqs": {"queueUrl": queue.url, "roleArn": "arn:aws:iam::0:role/r"}}],
        },
    )

    aws.client("iot-data").publish(topic=topic, qos=1, payload=payload)

    said = aws.client("sqs").receive_message(QueueUrl=queue.url, WaitTimeSeconds=5)
    by_rule = json.loads(said["Messages"][0]["Body"])
    by_us = json.loads(wrap(topic, payload, by_rule["received_at"]))
    assert by_us == by_rule
    assert isinstance(by_rule["received_at"], int)
