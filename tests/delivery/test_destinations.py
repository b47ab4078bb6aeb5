"""What every destination promises, held against its own examples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.session
import pytest
from botocore.validate import ParamValidator
from jsonschema import Draft202012Validator

from chalicelib import destinations
from chalicelib.config import Config
from chalicelib.deliver.aws_calls import ALLOWED_IN_OUR_NAME
from chalicelib.deliver.rendering import rendered
from chalicelib.destinations import AwsCall
from chalicelib.model import projections, templates
from chalicelib.model.fields import masked, secrets_of
from chalicelib.model.requests import Request
from chalicelib.store.integrations import Integration

FOLDERS = Path(destinations.__file__).parent
SCHEMAS = {
    path.stem: json.loads(path.read_text())
    for path in (Path(__file__).parent / "schemas").glob("*.json")
}
SETTINGS = Config(
    "hub",
    "inbound",
    "deliveries",
    "dead",
    "archive",
    email_sender="hub@example.com",
    sms_sender="Tributary",
    mqtt_prefix="tributary",
)


def examples(*, of_problems: bool) -> list[Any]:
    found = []
    for path in sorted(FOLDERS.glob("*/examples/*.json")):
        example = json.loads(path.read_text())
        if ("problems" in example) is of_problems:
            kind = path.parent.parent.name
            found.append(pytest.param(kind, example, id=f"{kind}-{path.stem}"))
    return found


def message_of(kind: str, example: dict[str, Any]) -> Request | AwsCall | None:
    integration = Integration(
        "int_example",
        "ten_example",
        "Example",
        kind,
        0,
        config=example["config"],
        transform=example.get("transform"),
    )
    return rendered(
        integration,
        example["events"],
        batch=example.get("batch", False),
        settings=SETTINGS,
        device=example.get("device"),
    )


def shown(message: Request | AwsCall | None) -> dict[str, Any]:
    """Write a message as examples do: bytes as text, a JSON body as what it says."""
    if message is None:
        return {"nothing": True}
    if isinstance(message, AwsCall):
        call = {
            "service": message.service,
            "operation": message.operation,
            "region": message.region,
            "role_arn": message.role_arn,
            "parameters": json.loads(json.dumps(message.parameters, default=bytes.decode)),
        }
        return {"call": call}
    request = {
        "method": message.method,
        "url": message.url,
        "headers": dict(message.headers),
        "body": json.loads(message.body),
    }
    if message.grant is not None:
        request["grant"] = {
            name: getattr(message.grant, name)
            for name in ("token_url", "client_id", "client_secret", "scope")
        }
    return {"request": request}


@pytest.mark.parametrize("kind", destinations.names())
def test_a_destination_has_a_readme_examples_and_described_fields(kind: str) -> None:
    found = destinations.destination(kind)
    readme = (FOLDERS / kind / "README.md").read_text()

    assert list((FOLDERS / kind / "examples").glob("*.json"))
    assert all(field.description.endswith(".") for field in found.fields)
    assert [field.name for field in found.fields if f"`{field.name}`" not in readme] == []


@pytest.mark.parametrize(("kind", "example"), examples(of_problems=False))
def test_these_events_become_exactly_this_message(kind: str, example: dict[str, Any]) -> None:
    found = destinations.destination(kind)

    assert example["description"]
    assert example["source"]
    assert found.check(example["config"], private_targets="refuse") == []
    wanted = {name: example[name] for name in ("request", "call", "nothing") if name in example}
    assert shown(message_of(kind, example)) == wanted


@pytest.mark.parametrize(("kind", "example"), examples(of_problems=True))
def test_this_config_has_exactly_these_problems(kind: str, example: dict[str, Any]) -> None:
    rule = example.get("private_targets", "refuse")

    found = destinations.destination(kind).check(example["config"], private_targets=rule)

    assert [list(problem) for problem in found] == example["problems"]


@pytest.mark.parametrize("kind", destinations.names())
@pytest.mark.parametrize("value", [1, "\x00", [], {}, {"a": 1}, True, [None]])
def test_nonsense_in_a_config_is_a_problem_and_never_an_error(kind: str, value: Any) -> None:
    found = destinations.destination(kind)

    config = {field.name: value for field in found.fields}

    assert found.check(config, private_targets="refuse")


@pytest.mark.parametrize(("kind", "example"), examples(of_problems=False))
def test_a_call_is_one_that_aws_understands(kind: str, example: dict[str, Any]) -> None:
    message = message_of(kind, example)
    if not isinstance(message, AwsCall):
        return
    model = botocore.session.get_session().get_service_model(message.service)
    operations = {
        botocore.xform_name(name): model.operation_model(name) for name in model.operation_names
    }
    shape = operations[message.operation].input_shape
    assert shape is not None

    assert ParamValidator().validate(dict(message.parameters), shape).generate_report() == ""


@pytest.mark.parametrize(("kind", "example"), examples(of_problems=False))
def test_only_what_the_deployment_gives_is_called_in_the_hub_s_name(
    kind: str, example: dict[str, Any]
) -> None:
    found, message = destinations.destination(kind), message_of(kind, example)
    if not isinstance(message, AwsCall):
        return
    if found.roles:
        assert message.role_arn
        assert found.check({"role_arn": None}, private_targets="refuse")
    else:
        assert found.needs
        assert message.parameters[ALLOWED_IN_OUR_NAME[message.service, message.operation]]


@pytest.mark.parametrize(("kind", "example"), examples(of_problems=False))
def test_the_body_fits_the_schema_that_its_reader_publishes(
    kind: str, example: dict[str, Any]
) -> None:
    message = message_of(kind, example)
    if kind not in SCHEMAS or not isinstance(message, Request):
        return
    path = urlsplit(message.url).path
    (schema,) = [
        each for end, each in SCHEMAS[kind]["by_path"].items() if path.endswith(end) or end == "*"
    ]
    Draft202012Validator.check_schema(schema)

    assert [
        error.message
        for error in Draft202012Validator(schema).iter_errors(json.loads(message.body))
    ] == []


def test_every_saas_kind_has_a_published_schema() -> None:
    chats = {kind for kind in destinations.names() if destinations.destination(kind).texts}

    assert set(SCHEMAS) == chats - {"email", "sms"}
    assert all(schema["source"].startswith("https://") for schema in SCHEMAS.values())


@pytest.mark.parametrize("kind", destinations.names())
def test_built_in_templates_are_ones_that_anybody_may_write(kind: str) -> None:
    for template in destinations.destination(kind).texts.values():
        assert templates.problem(template) is None


@pytest.mark.parametrize("kind", ["pagerduty", "opsgenie", "servicenow"])
def test_one_alert_is_one_ticket_under_one_key(kind: str) -> None:
    keys = set()
    for param in examples(of_problems=False):
        of, example = param.values
        assert isinstance(example, dict)
        if of == kind and "request" in example:
            alert = example["events"][0]["data"]["id"]
            assert alert in json.dumps(example["request"])
            keys.add((alert, example["events"][0]["type"]))

    assert {"alert.raised", "alert.acknowledged", "alert.cleared"} <= {each for _, each in keys}
    assert len({alert for alert, _ in keys}) == 1


def test_sensitive_values_are_masked() -> None:
    fields = destinations.destination("webhook").fields
    config = {
        "url": "https://a.example/",
        "headers": {"Authorization": "Bearer x"},
        "client_secret": "y",
        "password": None,
    }

    shown = masked(fields, config)

    assert shown == {
        "url": "https://a.example/",
        "headers": {"Authorization": "********"},
        "client_secret": "********",
        "password": None,
    }


def test_secrets_are_the_texts_of_sensitive_fields() -> None:
    fields = destinations.destination("webhook").fields
    config = {"url": "https://a.example/", "headers": {"X": "one"}, "password": "two"}

    assert secrets_of(fields, config) == {"one", "two"}


def test_an_unknown_kind_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        destinations.destination("carrier-pigeon")


def test_an_expression_that_makes_too_much_is_a_failed_rendering() -> None:
    example = {
        "config": {"url": "https://a.example/"},
        "events": [{"data": "abc"}],
        "transform": {"jmespath": "@" + "|join('',[@,@])" * 40},
    }

    with pytest.raises(projections.ProjectionError):
        message_of("webhook", example)
