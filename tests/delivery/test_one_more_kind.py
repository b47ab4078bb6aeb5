"""One kind more is one folder: dropped into a copy of the tree, it works, and nothing else is touched."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from chalicelib import destinations
from infra.package import ROOT, SHIPPED, ZIP

NAME = "acme"


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
    folder = copy / "chalicelib" / "destinations"
    shutil.copytree(folder / "webhook", folder / NAME, ignore=no_cache)
    return copy


def python(tree: Path, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own command, no shell
        [sys.executable, *arguments], cwd=tree, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_examples_are_its_tests(tree: Path) -> None:
    files = list((tree / "chalicelib" / "destinations" / NAME / "examples").glob("*.json"))
    told = python(
        tree, "-m", "pytest", "-q", "tests/delivery/test_destinations.py", "-k", f"{NAME}-"
    )
    passed = re.search(r"(\d+) passed", told)
    assert passed
    assert int(passed[1]) >= len(files) > 0


def test_it_can_be_had_and_is_listed(tree: Path) -> None:
    script = """
import json
from chalicelib.api import Request, handle
from chalicelib.aws import Hub
from tests.api.conftest import CONFIG, ROOT_KEY
from tests.support.fake_aws import FakeAws

aws = FakeAws()
hub = Hub(CONFIG, aws.client, aws.clock)

def call(method, path, key, body=None):
    data = b"" if body is None else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {key}"}
    return json.loads(handle(hub, Request(method, path, {}, headers, data, "https://hub.example")).text)

key = call("POST", "v1/tenants", ROOT_KEY, {"name": "A"})["api_key"]
config = {"url": "https://example.com/"}
made = call("POST", "v1/integrations", key, {"name": "A", "kind": "acme", "config": config})
listed = call("GET", "v1/catalog/destinations", key)["data"]
print(json.dumps([made["kind"], [row["kind"] for row in listed]]))
"""
    made, listed = json.loads(python(tree, "-c", script))

    assert made == NAME
    assert listed == sorted([*destinations.names(), NAME])


def test_the_package_holds_it(tree: Path, tmp_path: Path) -> None:
    build = f"package(Path({str(tmp_path)!r}), dependencies=False)"
    python(tree, "-c", f"from pathlib import Path; from infra.package import package; {build}")

    with zipfile.ZipFile(tmp_path / ZIP) as packed:
        found = {Path(name).parts[2] for name in packed.namelist() if "/destinations/" in name}
    assert found == {*destinations.names(), NAME, "__init__.py"}
