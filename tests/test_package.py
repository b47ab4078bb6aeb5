"""What would be deployed: the template and the zip, built as ``make package`` builds them, offline."""

from __future__ import annotations

import ast
import copy
import json
import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cfnlint.api import lint
from cfnlint.helpers import REGIONS
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from chalicelib import config, queues
from chalicelib.model.arns import ROLE_PREFIX
from chalicelib.store import exports, keys, table
from infra import package
from infra.local import filters

if TYPE_CHECKING:
    from collections.abc import Iterator

FUNCTIONS = {
    "APIHandler": "ApiHandlerRole",
    "Normalize": "NormalizeRole",
    "Project": "ProjectRole",
    "Dispatch": "DispatchRole",
    "Deliver": "DeliverRole",
    "Sync": "SyncRole",
    "Export": "ExportRole",
    "Sweep": "SweepRole",
}
IN_THE_RUNTIME = (
    "boto3",
    "botocore",
    "s3transfer",
    "jmespath",
    "python-dateutil",
    "six",
    "urllib3",
)
"""What Lambda's Python brings along."""
HOUR, DAY = 3600, 86_400


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    package.package(folder, dependencies=False)
    package.precompile(folder / package.ZIP)
    return folder


@pytest.fixture(scope="session")
def template(built: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((built / package.TEMPLATE).read_text("utf-8"))
    return loaded


@pytest.fixture
def resources(template: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = template["Resources"]
    return found


@pytest.fixture(scope="session")
def unpacked(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip as Lambda unpacks it, with what pip would have put in linked from this environment."""
    task = tmp_path_factory.mktemp("task")
    with zipfile.ZipFile(built / package.ZIP) as packed:
        packed.extractall(task)
    requirements = (package.ROOT / "requirements.txt").read_text("utf-8")
    link(re.findall(r"^([A-Za-z0-9._-]+)==", requirements, re.MULTILINE), task)
    return task


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runtime")
    link(IN_THE_RUNTIME, folder)
    return folder


def link(distributions: list[str] | tuple[str, ...], folder: Path) -> None:
    for name in distributions:
        distribution = metadata.distribution(name)
        tops = {each.parts[0] for each in distribution.files or ()} - {"..", "__pycache__"}
        for top in tops:
            target = folder / top
            if not target.exists():
                target.symlink_to(Path(str(distribution.locate_file(top))))


def properties(resources: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = resources[name]["Properties"]
    return found


def event_source(
    resources: dict[str, Any], function: str, queue: str | None = None
) -> dict[str, Any]:
    (found,) = (
        event["Properties"]
        for event in properties(resources, function)["Events"].values()
        if queue is None or event["Properties"]["Queue"] == {"Fn::GetAtt": [queue, "Arn"]}
    )
    return dict(found)


def statements(resources: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, resource in resources.items():
        if resource["Type"] == "AWS::IAM::Role":
            for policy in resource["Properties"]["Policies"]:
                for statement in policy["PolicyDocument"]["Statement"]:
                    yield name, statement


def modules_that_functions_import() -> list[str]:
    tree = ast.parse((package.ROOT / "app.py").read_text("utf-8"))
    return sorted(
        f"{node.module}.{name.name}"
        for function in tree.body
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    )


def test_cloudformation_finds_nothing_to_complain_about(built: Path) -> None:
    text = (built / package.TEMPLATE).read_text("utf-8")
    assert [str(match) for match in lint(text, regions=REGIONS)] == []


def test_neither_in_what_aws_makes_of_it(
    template: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Event sources and unused parameters are only looked at once the SAM part is expanded.
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    expanded = copy.deepcopy(template)
    for function in FUNCTIONS:
        properties(expanded["Resources"], function)["CodeUri"] = "s3://bucket/key"
    expanded = Translator({}, Parser()).translate(expanded, {})
    assert [str(match) for match in lint(json.dumps(expanded))] == []


def test_every_stage_builds(tmp_path: Path) -> None:
    package.package(tmp_path, "dev", dependencies=False)
    assert (tmp_path / package.TEMPLATE).is_file()


def test_a_refusal_of_chalice_is_told(tmp_path: Path) -> None:
    with pytest.raises(package.PackagingError):
        package.package(tmp_path, dependencies=False, resources=tmp_path / "missing.json")


def test_equal_code_gives_equal_zips(built: Path, tmp_path: Path) -> None:
    package.package(tmp_path, dependencies=False)
    package.precompile(tmp_path / package.ZIP)
    assert (tmp_path / package.ZIP).read_bytes() == (built / package.ZIP).read_bytes()


# ---- the zip


@pytest.mark.parametrize("module", ["app", *modules_that_functions_import()])
def test_the_zip_holds_what_a_function_imports(module: str, unpacked: Path, runtime: Path) -> None:
    # Isolated, and without this environment's packages: only what Lambda would find.
    script = (
        f"import sys; sys.path[:0] = [{str(unpacked)!r}, {str(runtime)!r}]; "
        f"import importlib; importlib.import_module({module!r})"
    )
    command = [sys.executable, "-I", "-S", "-B", "-W", "error", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr


def test_every_module_of_the_zip_can_be_imported(unpacked: Path, runtime: Path) -> None:
    script = (
        f"import sys; sys.path[:0] = [{str(unpacked)!r}, {str(runtime)!r}]\n"
        "import chalicelib, importlib, pkgutil\n"
        "for each in pkgutil.walk_packages(chalicelib.__path__, 'chalicelib.'):\n"
        "    importlib.import_module(each.name)\n"
    )
    command = [sys.executable, "-I", "-S", "-B", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr


def test_the_zip_carries_byte_code_that_python_takes_unchecked(unpacked: Path) -> None:
    sources = [each for each in unpacked.rglob("*.py") if not each.is_symlink()]
    ours = [each for each in sources if each.relative_to(unpacked).parts[0] == "chalicelib"]
    assert ours
    tag = sys.implementation.cache_tag
    for source in ours:
        code = (source.parent / "__pycache__" / f"{source.stem}.{tag}.pyc").read_bytes()
        assert code[4] == 1  # by hash, and unchecked


def test_the_zip_holds_nothing_but_what_runs(built: Path) -> None:
    with zipfile.ZipFile(built / package.ZIP) as packed:
        tops = {name.split("/")[0] for name in packed.namelist()}
    assert tops == {"app.py", "__pycache__", "chalice", "chalicelib"}


# ---- roles


def test_every_function_has_a_role_of_its_own(resources: dict[str, Any]) -> None:
    found = {
        name: resource["Properties"]["Role"]["Fn::GetAtt"][0]
        for name, resource in resources.items()
        if resource["Type"] == "AWS::Serverless::Function"
    }
    assert found == FUNCTIONS


def test_roles_name_what_they_may_touch(resources: dict[str, Any]) -> None:
    for role, statement in statements(resources):
        where = f"{role}: {statement['Sid']}"
        assert statement["Effect"] == "Allow", where
        assert not [each for each in statement["Action"] if "*" in each], where
        if statement.get("Resource") == "*":  # X-Ray knows no other
            assert {each.split(":")[0] for each in statement["Action"]} == {"xray"}, where


def test_what_deliver_may_do_for_tenants_is_bounded(resources: dict[str, Any]) -> None:
    reaching = {"sts:AssumeRole", "ses:SendEmail", "sns:Publish", "iot:Publish"}
    found: dict[str, dict[str, Any]] = {}
    for role, statement in statements(resources):
        for action in reaching.intersection(statement["Action"]):
            assert role == "DeliverRole"
            assert action not in found
            found[action] = statement

    assume, mail = found["sts:AssumeRole"], found["ses:SendEmail"]
    assert assume["Resource"]["Fn::Sub"].endswith(f"iam::*:role/{ROLE_PREFIX}*")
    own_account = {"aws:ResourceAccount": {"Ref": "AWS::AccountId"}}
    assert assume["Condition"] == {"StringNotEquals": own_account}
    sender = {"ses:FromAddress": {"Ref": "EmailSender"}}
    assert mail["Condition"] == {"StringEquals": sender}
    assert "Resource" not in found["sns:Publish"]  # a phone number has no name
    assert found["sns:Publish"]["NotResource"]["Fn::Sub"].endswith(":sns:*:*:*")
    assert found["iot:Publish"]["Resource"]["Fn::Sub"].endswith(":topic/${MqttPrefix}/*")


@pytest.mark.parametrize(
    ("prefix", "good"),
    [("", True), ("tributary", True), ("hub", False), ("hub2", True), ("a/b", False)],
)
def test_the_template_and_the_hub_take_the_same_topics(
    prefix: str, good: bool, template: dict[str, Any]
) -> None:
    pattern = template["Parameters"]["MqttPrefix"]["AllowedPattern"]
    names = (
        "TABLE_NAME",
        "INBOUND_QUEUE_URL",
        "DELIVERIES_QUEUE_URL",
        "DEAD_LETTERS_QUEUE_URL",
        "ARCHIVE_BUCKET",
        "ORDERED_QUEUE_URL",
        "SYNC_QUEUE_URL",
        "ORDERED_DEAD_LETTERS_QUEUE_URL",
        "EXPORTS_QUEUE_URL",
        "SECRETS_KEY",
    )
    environment = dict.fromkeys(names, "x") | {"MQTT_PREFIX": prefix}

    assert bool(re.fullmatch(pattern, prefix)) is good
    if good:
        assert config.from_environment(environment).mqtt_prefix == prefix
    else:
        with pytest.raises(ValueError, match="MQTT_PREFIX"):
            config.from_environment(environment)


def test_only_who_must_may_write(resources: dict[str, Any]) -> None:
    writers: dict[str, set[str]] = {}
    for role, statement in statements(resources):
        actions = statement["Action"]
        for action in [actions] if isinstance(actions, str) else actions:
            writers.setdefault(action, set()).add(role)
    assert writers["dynamodb:PutItem"] == {*FUNCTIONS.values()} - {"DispatchRole"}
    assert writers["s3:PutObject"] == {
        "ApiHandlerRole",
        "NormalizeRole",
        "DeliverRole",
        "SyncRole",
        "ExportRole",
    }
    assert writers["s3:DeleteObject"] == {"ExportRole"}
    assert writers["s3:ListBucket"] == {"ApiHandlerRole", "NormalizeRole"}
    assert writers["sqs:ReceiveMessage"] == {
        "NormalizeRole",
        "DeliverRole",
        "SyncRole",
        "ExportRole",
    }
    assert writers["dynamodb:GetRecords"] == {"ProjectRole", "DispatchRole"}
    assert "dynamodb:Scan" not in writers
    assert writers["kms:GenerateDataKey"] == {"ApiHandlerRole", "DeliverRole"}
    assert writers["kms:Decrypt"] == {"ApiHandlerRole", "DeliverRole", "SyncRole"}


@pytest.mark.parametrize(
    ("action", "queues"),
    [
        ("sqs:SendMessage", ("DeliveriesQueue", "OrderedQueue", "DeliveriesDeadLetters")),
        ("sqs:ReceiveMessage", ("DeliveriesDeadLetters", "OrderedDeadLetters")),
    ],
)
def test_deliver_may_do_what_a_replay_and_a_redrive_need(
    action: str, queues: tuple[str, ...], resources: dict[str, Any]
) -> None:
    may = [
        s["Resource"]
        for role, s in statements(resources)
        if role == "DeliverRole" and action in s["Action"]
    ]

    assert all(queue in json.dumps(may) for queue in queues)


@pytest.mark.parametrize("function", ["Project", "Dispatch"])
def test_who_reads_the_stream_may_report_what_it_gives_up(
    function: str, resources: dict[str, Any]
) -> None:
    destination = event_source(resources, function)["DestinationConfig"]["OnFailure"]["Destination"]
    sends = [
        statement["Resource"]
        for role, statement in statements(resources)
        if role == FUNCTIONS[function] and "sqs:SendMessage" in statement["Action"]
    ]
    assert destination in sends


# ---- resources, one by one


def test_table_queues_and_bucket_are_defined_once(resources: dict[str, Any]) -> None:
    kinds: dict[str, list[str]] = {}
    for name, resource in resources.items():
        kinds.setdefault(resource["Type"], []).append(name)
    assert kinds["AWS::DynamoDB::Table"] == ["HubTable"]
    assert kinds["AWS::S3::Bucket"] == ["ArchiveBucket"]
    assert sorted(kinds["AWS::SQS::Queue"]) == [
        "DeliveriesDeadLetters",
        "DeliveriesQueue",
        "ExportsDeadLetters",
        "ExportsQueue",
        "InboundDeadLetters",
        "InboundQueue",
        "OrderedDeadLetters",
        "OrderedQueue",
        "StreamFailures",
        "SyncDeadLetters",
        "SyncQueue",
    ]


def test_what_holds_data_outlives_the_stack(resources: dict[str, Any]) -> None:
    keeps = {"AWS::DynamoDB::Table", "AWS::KMS::Key", "AWS::S3::Bucket", "AWS::SQS::Queue"}
    for name, resource in resources.items():
        if resource["Type"] in keeps:
            policies = resource.get("DeletionPolicy"), resource.get("UpdateReplacePolicy")
            assert policies == ("Retain", "Retain"), name


def test_files_of_exports_end_when_the_hub_says_so(resources: dict[str, Any]) -> None:
    rules = properties(resources, "ArchiveBucket")["LifecycleConfiguration"]["Rules"]
    (ours,) = (rule for rule in rules if rule.get("Prefix") == "exports/")
    assert ours["Status"] == "Enabled"
    assert ours["ExpirationInDays"] * DAY * 1000 == exports.KEPT
    assert any("AbortIncompleteMultipartUpload" in rule for rule in rules)


def test_export_touches_nothing_of_the_bucket_but_its_files(resources: dict[str, Any]) -> None:
    found = [
        statement["Resource"]
        for role, statement in statements(resources)
        if role == "ExportRole" and statement["Action"][0].startswith("s3:")
    ]
    assert found == [{"Fn::Sub": "${ArchiveBucket.Arn}/exports/*"}]


def test_the_table_has_the_indexes_that_the_store_queries(resources: dict[str, Any]) -> None:
    found = {
        index["IndexName"]: tuple(each["AttributeName"] for each in index["KeySchema"])
        for index in properties(resources, "HubTable")["GlobalSecondaryIndexes"]
    }
    assert found == table.INDEXES


def test_functions_are_told_what_the_configuration_reads(template: dict[str, Any]) -> None:
    shared = template["Globals"]["Function"]["Environment"]["Variables"]
    own = properties(template["Resources"], "APIHandler")["Environment"]["Variables"]
    assert not set(shared) & set(own)
    parameters = template["Parameters"]
    values = {
        name: str(parameters.get(value["Ref"], {}).get("Default", value["Ref"]))
        for name, value in (shared | own).items()
    }
    read = config.from_environment(values)
    assert read == config.Config(
        table="HubTable",
        inbound_url="InboundQueue",
        deliveries_url="DeliveriesQueue",
        dead_letters_url="DeliveriesDeadLetters",
        bucket="ArchiveBucket",
        account="AWS::AccountId",
        ordered_url="OrderedQueue",
        sync_url="SyncQueue",
        ordered_dead_letters_url="OrderedDeadLetters",
        exports_url="ExportsQueue",
        secrets_key="SecretsKey",
    )


def test_the_root_key_is_told_to_the_front_door_alone(template: dict[str, Any]) -> None:
    own = properties(template["Resources"], "APIHandler")["Environment"]["Variables"]
    assert own == {"ROOT_KEY_SHA256": {"Ref": "RootKeySha256"}}
    assert json.dumps(template).count('{"Ref": "RootKeySha256"}') == 1
    assert template["Parameters"]["RootKeySha256"]["NoEcho"] is True


@pytest.mark.parametrize("default", [(), (5, 60), (0.5,)])
def test_the_template_takes_every_retry_schedule_that_the_hub_takes(
    default: tuple[float, ...], template: dict[str, Any]
) -> None:
    pattern = template["Parameters"]["RetrySchedule"]["AllowedPattern"]
    text = ",".join(str(each) for each in default)
    assert re.fullmatch(pattern, text)
    assert config.schedule(text) == (default or config.DEFAULT_SCHEDULE)


# ---- queues and event sources


@pytest.mark.parametrize(
    ("function", "queue", "dead_letters"),
    [
        ("Normalize", "InboundQueue", "InboundDeadLetters"),
        ("Deliver", "DeliveriesQueue", "DeliveriesDeadLetters"),
        ("Deliver", "OrderedQueue", "OrderedDeadLetters"),
        ("Sync", "SyncQueue", "SyncDeadLetters"),
        ("Export", "ExportsQueue", "ExportsDeadLetters"),
    ],
)
def test_a_message_fails_one_by_one_and_ends_in_its_dead_letters(
    function: str, queue: str, dead_letters: str, resources: dict[str, Any]
) -> None:
    source, settings = event_source(resources, function, queue), properties(resources, queue)
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert settings["VisibilityTimeout"] == 6 * properties(resources, function)["Timeout"]
    assert settings["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": [dead_letters, "Arn"]},
        "maxReceiveCount": 5,
    }
    # A dead letter keeps its age: it must have days left when it arrives.
    kept = properties(resources, dead_letters)["MessageRetentionPeriod"]
    assert kept - settings["MessageRetentionPeriod"] >= 7 * DAY
    # No message may die of old age before its last receive.
    longest = settings["RedrivePolicy"]["maxReceiveCount"] * settings["VisibilityTimeout"]
    assert longest < settings["MessageRetentionPeriod"]


def test_queues_take_what_the_hub_sends(resources: dict[str, Any]) -> None:
    for name, resource in resources.items():
        if resource["Type"] == "AWS::SQS::Queue":
            assert resource["Properties"]["MaximumMessageSize"] == queues.MESSAGE_LIMIT, name
            assert resource["Properties"]["SqsManagedSseEnabled"] is True, name


def test_the_front_door_answers_before_the_gateway_gives_up(resources: dict[str, Any]) -> None:
    assert properties(resources, "APIHandler")["Timeout"] <= 29


@pytest.mark.parametrize("function", ["Project", "Dispatch"])
def test_stream_records_are_given_up_while_the_stream_still_has_them(
    function: str, resources: dict[str, Any]
) -> None:
    source = event_source(resources, function)
    assert source["Stream"] == {"Fn::GetAtt": ["HubTable", "StreamArn"]}
    assert source["StartingPosition"] == "TRIM_HORIZON"
    assert source["BisectBatchOnFunctionError"] is True
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["MaximumRecordAgeInSeconds"] <= 12 * HOUR  # of the 24 that a stream keeps
    assert "ParallelizationFactor" not in source  # one writer a device


@pytest.mark.parametrize(
    ("function", "passed", "removed"),
    [
        ("Project", keys.SAID, (keys.SEGMENT, keys.FACTS, keys.SIGNAL)),
        (
            "Dispatch",
            (keys.SEGMENT, keys.EVENT, keys.MEDIA, keys.ALERT, keys.COMMAND, keys.DEVICE),
            (),
        ),
    ],
)
def test_the_stream_tells_each_stage_of_its_own_items(
    function: str,
    passed: tuple[str, ...],
    removed: tuple[str, ...],
    resources: dict[str, Any],
) -> None:
    criteria = event_source(resources, function)["FilterCriteria"]["Filters"]
    matches = filters.compiled([json.loads(each["Pattern"]) for each in criteria])
    kinds = (
        *keys.SAID,
        keys.ALERT,
        keys.COMMAND,
        keys.DEVICE,
        keys.STATE,
        "DEVICES",
        "ALERT",
        "R#1h#",
        "Q#",
    )
    for kind in kinds:
        sort_key = kind + "2026" if kind.endswith("#") else kind
        for name in ("INSERT", "MODIFY", "REMOVE"):
            record = {"eventName": name, "dynamodb": {"Keys": {"sk": {"S": sort_key}}}}
            told = kind in (removed if name == "REMOVE" else passed)
            assert matches(record) is told, (name, sort_key)
            expiry = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
            assert matches({**record, "userIdentity": expiry}) is (told and name != "REMOVE")


# ---- the API


def test_greedy_routes_declare_their_parameter(resources: dict[str, Any]) -> None:
    paths = properties(resources, "RestAPI")["DefinitionBody"]["paths"]
    assert set(paths) == {"/", "/{path+}", "/webhooks/{path+}"}
    for path, methods in paths.items():
        for method, operation in methods.items():
            declared = [each["name"] for each in operation.get("parameters", [])]
            assert declared == (["path"] if "{" in path else []), (method, path)
            assert operation["x-amazon-apigateway-integration"]["type"] == "aws_proxy", (
                method,
                path,
            )


def test_every_body_reaches_the_hub_as_its_bytes(resources: dict[str, Any]) -> None:
    definition = properties(resources, "RestAPI")["DefinitionBody"]
    assert definition["x-amazon-apigateway-binary-media-types"] == ["*/*"]


def test_what_the_gateway_refuses_is_a_problem_too(resources: dict[str, Any]) -> None:
    definition = properties(resources, "RestAPI")["DefinitionBody"]
    responses = definition["x-amazon-apigateway-gateway-responses"]
    assert {"DEFAULT_4XX", "DEFAULT_5XX", "REQUEST_TOO_LARGE", "THROTTLED"} <= set(responses)
    for name, response in responses.items():
        kind = response["responseParameters"]["gatewayresponse.header.Content-Type"]
        assert kind == "'application/problem+json'", name
        (text,) = response["responseTemplates"].values()
        problem = json.loads(text.replace("$context.error.messageString", '"why"'))
        assert problem["title"], name
        if "statusCode" in response:
            assert str(problem["status"]) == response["statusCode"], name


# ---- what an operator learns


def test_every_function_and_every_dead_letter_has_an_alarm(resources: dict[str, Any]) -> None:
    watched = {
        (each["Properties"]["MetricName"], json.dumps(each["Properties"]["Dimensions"][0]["Value"]))
        for each in resources.values()
        if each["Type"] == "AWS::CloudWatch::Alarm"
    }
    for function in FUNCTIONS:
        assert ("Errors", json.dumps({"Ref": function})) in watched
    for queue in (
        "InboundDeadLetters",
        "DeliveriesDeadLetters",
        "OrderedDeadLetters",
        "SyncDeadLetters",
        "ExportsDeadLetters",
        "StreamFailures",
    ):
        name = json.dumps({"Fn::GetAtt": [queue, "QueueName"]})
        assert ("ApproximateNumberOfMessagesVisible", name) in watched


def test_every_function_has_a_log_that_ends(resources: dict[str, Any]) -> None:
    named = {
        each["Properties"]["LogGroupName"]["Fn::Sub"]: each["Properties"]["RetentionInDays"]
        for each in resources.values()
        if each["Type"] == "AWS::Logs::LogGroup"
    }
    assert named == {f"/aws/lambda/${{{function}}}": 30 for function in FUNCTIONS}
