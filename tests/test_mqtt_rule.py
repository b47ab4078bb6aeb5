"""The IoT rule and the reader of what it sends agree on names."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

from chalicelib.model.envelope import from_json

RULE = Path(__file__).parent.parent / "infra" / "resources.json"


def test_what_the_rule_selects_is_what_an_envelope_is_read_from() -> None:
    sql = json.loads(RULE.read_text())["Resources"]["MqttInbound"]["Properties"][
        "TopicRulePayload"
    ]["Sql"]
    values = {
        "encode(*, 'base64')": base64.b64encode(b"[1]").decode(),
        "topic()": "hub/con_a/devices/d/measurements",
        "timestamp()": 1_795_227_389_800,
    }
    columns = dict(re.findall(r"(\w+\([^)]*\)) AS (\w+)", sql))
    message = {name: values[expression] for expression, name in columns.items()}

    envelope = from_json(json.dumps(message))

    assert len(message) == len(values)
    assert (envelope.connection_id, envelope.topic) == ("con_a", "devices/d/measurements")
    assert (envelope.body, envelope.received_at) == (b"[1]", 1_795_227_389_800)
