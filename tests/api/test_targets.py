"""What operators may name as a target: names are resolved before they are stored."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.support.names import PUBLIC, Names

KINDS = [
    (["10.0.0.1"], "private"),
    ([[PUBLIC, "169.254.169.254"]], "metadata"),
    ([["2606:4700::1111", "::ffff:127.0.0.1"]], "v4-mapped"),
    (["64:ff9b::a9fe:a9fe"], "nat64"),
]


def integration(url: str) -> dict[str, Any]:
    return {"name": "x", "kind": "webhook", "config": {"url": url}}


@pytest.mark.parametrize(("answers", "kind"), KINDS)
def test_a_name_that_leads_inside_is_refused_when_it_is_named(
    tenant: Any, names: Names, answers: list[Any], kind: str
) -> None:
    names.answers["trap.example"] = answers
    good = tenant.post("/v1/integrations", integration("https://good.example/"))["id"]
    connection = tenant.post("/v1/connections", {"vendor": "relayr", "name": "x"})["id"]
    bad = "https://trap.example/"
    settings = {"settings": {"base_url": bad}}

    refusals = [
        tenant.refused("POST", "/v1/integrations", integration(bad)),
        tenant.refused("PATCH", f"/v1/integrations/{good}", {"config": {"url": bad}}),
        tenant.refused("POST", "/v1/connections", {"vendor": "relayr", "name": "x", **settings}),
        tenant.refused("PATCH", f"/v1/connections/{connection}", settings),
    ]

    assert [problem["errors"] for problem in refusals] == [
        [{"pointer": pointer, "detail": f"address refused: {kind}"}]
        for pointer in ("/config/url",) * 2 + ("/settings/base_url",) * 2
    ]


@pytest.mark.parametrize(
    "failure", [socket.gaierror(-3, "again"), socket.gaierror(-2, "?"), TimeoutError()]
)
def test_a_name_that_nobody_resolves_now_blocks_no_operator(
    tenant: Any, names: Names, failure: OSError
) -> None:
    names.answers["new.example"] = [failure]

    made = tenant.post("/v1/integrations", integration("https://new.example/"))

    assert made["config"]["url"] == "https://new.example/"
    assert names.asked == ["new.example"]


def test_what_does_not_touch_the_target_does_not_ask_for_its_name(
    tenant: Any, names: Names
) -> None:
    path = f"/v1/integrations/{tenant.post('/v1/integrations', integration('https://a.example/'))['id']}"
    names.answers["a.example"] = ["10.0.0.1"]

    assert tenant.patch(path, {"enabled": False})["enabled"] is False
