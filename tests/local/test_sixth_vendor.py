"""Vendor six is one folder: dropped into a copy of the tree, it works, and nothing else is touched."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from chalicelib import vendors
from infra.local.keys import Api
from infra.package import SHIPPED, ZIP
from tests.local.runs import ROOT, post, publish, running
from tests.local.waiting import until

NAME = "sixth"
DEVICE = f"{NAME}:roof-1"
MOMENT = 1767960000
RANGE = {"from": "2026-01-09T12:00:00Z", "to": "2026-01-09T13:00:00Z"}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree with one folder more, copied as a newcomer copies it."""
    copy = tmp_path_factory.mktemp("tree")
    no_cache = shutil.ignore_patterns("__pycache__")
    for each in (*SHIPPED, "infra", "tests", "pyproject.toml"):
        if (ROOT / each).is_dir():
            shutil.copytree(ROOT / each, copy / each, ignore=no_cache)
        else:
            shutil.copy2(ROOT / each, copy / each)
    folder = copy / "chalicelib" / "vendors" / NAME
    shutil.copytree(folder.parent / vendors.EXAMPLE, folder)
    for path in (each for each in folder.rglob("*") if each.is_file()):
        text = re.sub(rf"\b{vendors.EXAMPLE}\b", NAME, path.read_text("utf-8"))
        path.write_text(text.replace('"evidence": "invented"', '"evidence": "derived"'), "utf-8")
    return copy


def python(tree: Path, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own command, no shell
        [sys.executable, *arguments], cwd=tree, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def message(kind: str, **more: Any) -> dict[str, Any]:
    return {"station": "roof-1", "type": kind, "time": MOMENT, **more}


def delivered(hub: Mapping[str, Any]) -> Counter[str]:
    answer = httpx.get(f"{hub['receiver']['url']}/events", trust_env=False)
    events = answer.json()["data"]
    return Counter(
        each["type"] for each in events if each["source"].startswith(f"/vendors/{NAME}/")
    )


def test_what_it_sends_by_either_door_is_stored_and_delivered(tree: Path, folder: Path) -> None:
    with running(folder, PYTHONPATH=str(tree)) as (_, hub):
        api = Api(hub["url"], hub["api_key"])
        connection = api.post("/v1/connections", {"vendor": NAME, "name": "the sixth"})
        start = message("start", name="Roof", cause="power")
        alarm = message("alarm", alarm="frost", state="on", level="high")
        messages = [message("report", temp=68.9), start, {**start, "attempt": 2}, alarm, 5]
        post(connection, {"messages": messages})
        later = {"time": MOMENT + 60, "temp": 50}
        publish(hub["mqtt"]["port"], connection, "stations/roof-1/report", later)
        expected = Counter(
            {
                "measurement.recorded": 2,
                "event.occurred": 1,
                "alert.raised": 1,
                "device.registered": 1,
            }
        )
        until(lambda: delivered(hub) >= expected, within=40)

        device = api.get(f"/v1/devices/{DEVICE}")
        measured = api.get(f"/v1/devices/{DEVICE}/measurements", metric="temperature", **RANGE)
        events = api.get("/v1/events", vendor=NAME, **RANGE)
        alerts = api.get("/v1/alerts", vendor=NAME)
        aside = api.get("/v1/quarantine", connection=connection["id"])
        catalogue = api.get("/v1/catalog/vendors")
        deliveries = delivered(hub)
        api.close()

    assert NAME in hub["connections"]  # the run makes one for every vendor in the tree
    assert NAME in {row["name"] for row in catalogue["data"]}
    assert (device["vendor"], device["name"]) == (NAME, "Roof")
    assert [row["value"] for row in measured["data"]] == [20.5, 10]
    assert [row["type"] for row in events["data"]] == [f"{NAME}.start"]
    assert [(row["name"], row["severity"]) for row in alerts["data"]] == [("frost", "critical")]
    assert [row["path"] for row in aside["data"]] == ["$.messages[4]"]
    assert deliveries["event.occurred"] == 1


def test_its_examples_are_its_tests(tree: Path) -> None:
    files = list((tree / "chalicelib" / "vendors" / NAME / "examples").glob("*.json"))
    told = python(tree, "-m", "pytest", "-q", "tests/test_examples.py", "-k", f"{NAME}-")
    passed = re.search(r"(\d+) passed", told)
    assert passed
    assert int(passed[1]) >= len(files) > 0


def test_the_package_holds_it_and_not_the_invented_one(tree: Path, tmp_path: Path) -> None:
    build = f"package(Path({str(tmp_path)!r}), dependencies=False)"
    python(tree, "-c", f"from pathlib import Path; from infra.package import package; {build}")

    with zipfile.ZipFile(tmp_path / ZIP) as packed:
        found = {Path(name).parts[2] for name in packed.namelist() if "/vendors/" in name}
    assert found == {*vendors.names(), NAME, "__init__.py"}
