"""What every destination promises, held against its own examples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chalicelib import destinations

FOLDERS = Path(destinations.__file__).parent


def examples(*, of_problems: bool) -> list[Any]:
    found = []
    for path in sorted(FOLDERS.glob("*/examples/*.json")):
        example = json.loads(path.read_text())
        if ("problems" in example) is of_problems:
            kind = path.parent.parent.name
            found.append(pytest.param(kind, example, id=f"{kind}-{path.stem}"))
    return found


@pytest.mark.parametrize("kind", destinations.names())
def test_a_destination_has_a_readme_examples_and_described_fields(kind: str) -> None:
    found = destinations.destination(kind)

    assert (FOLDERS / kind / "README.md").is_file()
    assert list((FOLDERS / kind / "examples").glob("*.json"))
    assert all(field.description.endswith(".") for field in found.fields)


@pytest.mark.parametrize(("kind", "example"), examples(of_problems=False))
def test_these_events_become_exactly_this_request(kind: str, example: dict[str, Any]) -> None:
    found = destinations.destination(kind)
    wanted = example["request"]

    request = found.render(example["events"], example["config"], example["batch"])

    assert example["description"]
    assert found.check(example["config"], private_targets="refuse") == []
    assert (request.method, request.url) == (wanted["method"], wanted["url"])
    assert dict(request.headers) == wanted["headers"]
    assert json.loads(request.body) == wanted["body"]


@pytest.mark.parametrize(("kind", "example"), examples(of_problems=True))
def test_this_config_has_exactly_these_problems(kind: str, example: dict[str, Any]) -> None:
    rule = example.get("private_targets", "refuse")

    found = destinations.destination(kind).check(example["config"], private_targets=rule)

    assert [list(problem) for problem in found] == example["problems"]


@pytest.mark.parametrize("kind", destinations.names())
@pytest.mark.parametrize("value", [None, 1, "x", [], {}, {"a": 1}, True])
def test_nonsense_in_a_config_is_a_problem_and_never_an_error(kind: str, value: Any) -> None:
    found = destinations.destination(kind)

    config = {field.name: value for field in found.fields}

    assert found.check(config, private_targets="refuse")


def test_sensitive_values_are_masked() -> None:
    fields = destinations.destination("webhook").fields
    config = {"url": "https://a.example/", "headers": {"Authorization": "Bearer x"}}

    shown = destinations.masked(fields, config)

    assert shown == {"url": "https://a.example/", "headers": {"Authorization": "********"}}


def test_an_unknown_kind_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        destinations.destination("carrier-pigeon")
