"""``make run`` as a caller sees it: a process, its output, its exit code, ``.local/hub.json``."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from chalicelib import vendors
from infra.local import daemon
from infra.local.run import main
from tests.local.runs import Run, post, publish, running
from tests.local.waiting import until


def devices(hub: dict[str, Any]) -> list[str]:
    answer = httpx.get(
        f"{hub['url']}/v1/devices",
        headers={"authorization": f"Bearer {hub['api_key']}"},
        trust_env=False,
    )
    return [each["id"] for each in answer.json()["data"]]


def haltian(device: str) -> dict[str, Any]:
    return {"tsmId": 12100, "tsmEv": 10, "tsmTs": 1657195118, "tsmTuid": device, "temp": 21.5}


def test_samples_come_out_as_records_and_verified_deliveries(folder: Path) -> None:
    with running(folder, SAMPLES="1") as (run, hub):
        counts = httpx.get(hub["receiver"]["url"], trust_env=False).json()
        known = {each.split(":")[0] for each in devices(hub)}
        output = run.output.read_text()

    expected = set(vendors.names())
    assert set(hub["connections"]) == expected
    assert known == expected
    assert set(counts["by_vendor"]) == expected
    assert counts["refused"] == 0
    assert set(hub) == {
        "url", "api_key", "root_key", "pid", "mqtt", "receiver", "connections", "aws"
    }  # fmt: skip
    for vendor in expected:
        assert set(hub["connections"][vendor]) == {
            "id", "webhook_url", "secret", "mqtt_topic_prefix"
        }  # fmt: skip
        assert vendor in output
    assert "ready" in output
    assert run.process.returncode == 0
    assert list((folder / ".local").glob("*.json")) == []
    assert not daemon.alive(hub["aws"]["pid"], "ministack")


def test_a_killed_hub_loses_nothing_and_goes_on(folder: Path) -> None:
    first = Run(folder)
    before = first.ready()
    mode = (folder / ".local" / "hub.json").stat().st_mode
    post(before["connections"]["haltian"], haltian("A"))
    publish(before["mqtt"]["port"], before["connections"]["haltian"], "x", haltian("B"))
    first.process.kill()
    first.process.wait()

    with running(folder) as (_, after):
        assert after["aws"] == before["aws"]
        for same in ("api_key", "root_key", "receiver"):
            assert after[same] == before[same]
        assert {v: c["secret"] for v, c in after["connections"].items()} == {
            v: c["secret"] for v, c in before["connections"].items()
        }
        until(lambda: sorted(devices(after)) == ["haltian:A", "haltian:B"], within=40)

    assert mode & 0o777 == 0o600


def test_state_is_kept_between_clean_runs(folder: Path) -> None:
    with running(folder, STATE="kept") as (_, before):
        post(before["connections"]["haltian"], haltian("A"))
    with running(folder, STATE="kept") as (_, after):
        until(lambda: devices(after) == ["haltian:A"], within=40)

    assert after["api_key"] == before["api_key"]


def test_a_second_run_in_the_folder_is_refused(folder: Path) -> None:
    with running(folder, PRIVATE_TARGETS="refuse") as (run, hub):
        assert "PRIVATE_TARGETS=refuse" in run.output.read_text()
        assert "another hub" in Run(folder).refused()
        assert devices(hub) == []


def test_an_endpoint_of_one_s_own_is_used_and_left_alone(folder: Path, aws: Any) -> None:
    with running(folder, AWS_ENDPOINT_URL=aws.endpoint_url) as (_, hub):
        assert hub["aws"] == {"endpoint_url": aws.endpoint_url, "pid": None}
        assert devices(hub) == []

    tables = aws.client("dynamodb").list_tables()["TableNames"]
    assert "tributary-hub-table" in tables
    assert not (folder / ".local" / "aws.json").exists()


def test_an_endpoint_where_nobody_answers_is_a_mistake(folder: Path) -> None:
    line = Run(folder, AWS_ENDPOINT_URL="http://127.0.0.1:9").refused()

    assert "AWS_ENDPOINT_URL" in line


@pytest.mark.parametrize("switch", ["PORT", "MQTT_PORT"])
def test_a_taken_port_is_refused(folder: Path, switch: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        line = Run(folder, **{switch: str(taken.getsockname()[1])}).refused()

    assert f"{switch}=" in line
    assert not (folder / ".local" / "aws.json").exists()


def test_a_bad_switch_is_refused(folder: Path) -> None:
    assert "SAMPLES" in Run(folder, SAMPLES="perhaps").refused()


def test_a_full_disk_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".local").mkdir()
    Path(".local", f".room.{os.getpid()}").symlink_to("/dev/full")
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        assert main() == 2
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)

    (line,) = capsys.readouterr().out.splitlines()
    assert "no space left" in line


def test_ending_while_it_starts_is_an_end(folder: Path) -> None:
    run = Run(folder, SAMPLES="1")
    until(lambda: "embedded AWS" in run.output.read_text())

    assert run.end(signal.SIGTERM) == 0
    assert not (folder / ".local" / "aws.json").exists()
