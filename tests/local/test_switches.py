"""Switches are understood, or refused in one line that names them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infra.local import ports, switches
from infra.local.files import Folder, read_json, write_json
from infra.local.mistakes import MistakeError, no_space
from infra.local.switches import Switches


def test_without_any_the_defaults_hold() -> None:
    chosen = switches.read({"PORT": "", "STATE": ""})

    assert chosen == Switches()
    assert (chosen.port, chosen.mqtt_port, chosen.samples) == (8080, 1883, True)
    assert chosen.private_targets == "loopback"


def test_all_of_them_are_read() -> None:
    chosen = switches.read(
        {
            "PORT": "0",
            "MQTT_PORT": "65535",
            "STATE": "x/y",
            "SAMPLES": "0",
            "RETRY_SCHEDULE": "2,4.5",
            "PRIVATE_TARGETS": "refuse",
            "EXAMPLE_VENDOR": "1",
            "MQTT_BROKER": "embedded",
        }
    )

    assert chosen == Switches(
        port=0,
        mqtt_port=65535,
        state=Path("x/y"),
        samples=False,
        retry_schedule="2,4.5",
        private_targets="refuse",
        example_vendor=True,
        mqtt_broker="embedded",
    )


def test_localhost_is_an_address_so_that_buckets_need_no_names() -> None:
    chosen = switches.read({"AWS_ENDPOINT_URL": "http://localhost:4566"})

    assert chosen.aws_endpoint_url == "http://127.0.0.1:4566"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "-1"),
        ("PORT", "65536"),
        ("PORT", "٣"),
        ("MQTT_PORT", "1.5"),
        ("SAMPLES", "yes"),
        ("EXAMPLE_VENDOR", "yes"),
        ("RETRY_SCHEDULE", "1,x"),
        ("RETRY_SCHEDULE", "0"),
        ("PRIVATE_TARGETS", "all"),
        ("MQTT_BROKER", "nanomq"),
        ("AWS_ENDPOINT_URL", "127.0.0.1:4566"),
    ],
)
def test_a_bad_one_is_named_in_one_line(name: str, value: str) -> None:
    with pytest.raises(MistakeError, match=name) as mistake:
        switches.read({name: value})

    assert "\n" not in str(mistake.value)


def test_state_is_for_the_embedded_aws_only() -> None:
    with pytest.raises(MistakeError, match="STATE"):
        switches.read({"STATE": "x", "AWS_ENDPOINT_URL": "http://127.0.0.1:4566"})


def test_a_taken_port_names_its_switch() -> None:
    with ports.bound(0, "PORT") as taken:
        taken.listen()
        with pytest.raises(MistakeError, match="PORT="):
            ports.bound(taken.getsockname()[1], "PORT")


def test_a_former_port_is_taken_again_if_it_is_free() -> None:
    with ports.again(None) as first:
        number = first.getsockname()[1]
        first.listen()
        with ports.again(f"http://127.0.0.1:{number}") as second:
            assert second.getsockname()[1] != number
    with ports.again(f"http://127.0.0.1:{number}") as third:
        assert third.getsockname()[1] == number


def test_a_folder_is_used_by_one_run_at_a_time(tmp_path: Path) -> None:
    first = Folder(tmp_path / "a", tmp_path / "state")
    first.take()
    for second in (Folder(tmp_path / "a"), Folder(tmp_path / "b", tmp_path / "state")):
        with pytest.raises(MistakeError, match="another hub"):
            second.take()
    first.release()
    again = Folder(tmp_path / "a")
    again.take()
    again.release()


def test_a_folder_that_cannot_be_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(MistakeError, match="file"):
        Folder(tmp_path / "file").take()


def test_a_full_disk_is_known_as_one(tmp_path: Path) -> None:
    (tmp_path / f".room.{os.getpid()}").symlink_to("/dev/full")

    with pytest.raises(OSError, match="No space") as full:
        Folder(tmp_path).take()

    assert no_space(full.value)
    wrapped = RuntimeError()
    wrapped.__cause__ = full.value
    assert no_space(wrapped)
    assert not no_space(ValueError())


def test_a_file_is_replaced_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})

    assert read_json(path) == {"a": 1}
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]
    assert read_json(tmp_path / "none") is None
