"""The embedded AWS outlives a killed hub, is adopted, and keeps its state where one is asked for."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local import daemon, emulator, provision, template
from infra.local.checkpoints import Checkpoints
from infra.local.files import Folder, read_json, write_json
from infra.local.mistakes import MistakeError
from infra.local.stream_poller import StreamPoller
from infra.local.template import EventSource
from tests.local.conftest import Session
from tests.local.waiting import until

_STARTER = """
import sys, time
from pathlib import Path
from infra.local import emulator
from infra.local.files import Folder
emulator.ensure(Folder(Path(sys.argv[1])))
print("up", flush=True)
time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    made = Folder(tmp_path)
    yield made
    said = read_json(made.aws)
    if said:
        daemon.end(said["pid"], "ministack")


def test_after_a_kill_the_next_run_adopts_it_with_its_data(folder: Folder) -> None:
    with subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-c", _STARTER, str(folder.root)], stdout=subprocess.PIPE, text=True
    ) as hub:
        assert hub.stdout is not None
        assert hub.stdout.readline() == "up\n"
        before = read_json(folder.aws)
        made = provision.provision(Session(before["endpoint_url"]), template.load(), "t")
        hub.send_signal(signal.SIGKILL)

    adopted = emulator.ensure(folder)

    assert adopted.adopted
    assert (adopted.endpoint_url, adopted.pid) == (before["endpoint_url"], before["pid"])
    again = provision.provision(Session(adopted.endpoint_url), template.load(), "t")
    assert again.stream_arn == made.stream_arn
    assert emulator.stop(folder, adopted) is None
    assert not folder.aws.exists()
    assert not adopted.running()


def test_a_note_of_a_process_that_is_gone_is_not_believed(folder: Folder) -> None:
    write_json(folder.aws, {"endpoint_url": "http://127.0.0.1:9", "pid": 2**22 + 1, "state": None})

    started = emulator.ensure(folder)

    assert not started.adopted
    assert started.running()


def test_another_process_with_that_id_is_left_alone(folder: Folder) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        said = {"endpoint_url": "http://127.0.0.1:9", "pid": other.pid, "state": None}
        write_json(folder.aws, said)

        assert not emulator.ensure(folder).adopted
        assert other.poll() is None
        other.kill()


def test_one_with_another_state_is_ended_first(folder: Folder, tmp_path: Path) -> None:
    first = emulator.ensure(folder)
    kept = Folder(folder.root, tmp_path / "state")

    second = emulator.ensure(kept)

    assert not second.adopted
    assert not first.running()


def test_a_damaged_note_means_a_new_start(folder: Folder) -> None:
    folder.aws.write_text("{")

    assert not emulator.ensure(folder).adopted


def test_it_listens_on_loopback_only(folder: Folder) -> None:
    started = emulator.ensure(folder)

    listening = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", _LISTENING, str(started.pid)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert listening
    assert all(each.startswith("0100007F:") for each in listening)


_LISTENING = """
import os, sys
from pathlib import Path
folder = Path("/proc", sys.argv[1])
inodes = {os.readlink(each)[8:-1] for each in (folder / "fd").iterdir()
          if os.readlink(each).startswith("socket:")}
for table in ("tcp", "tcp6"):
    for line in (folder / "net" / table).read_text().splitlines()[1:]:
        parts = line.split()
        if parts[3] == "0A" and parts[9] in inodes:
            print(parts[1])
"""


def test_why_it_did_not_start_is_one_line(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(MistakeError, match="did not start") as mistake:
        emulator.start(folder)

    assert "\n" not in str(mistake.value)
    assert not folder.aws.exists()


def test_its_state_comes_back_after_a_clean_end(folder: Folder, tmp_path: Path) -> None:
    kept = Folder(folder.root, tmp_path / "state")
    running = emulator.ensure(kept)
    session: Any = Session(running.endpoint_url)
    made = provision.provision(session, template.load(), "t")
    item = {"pk": {"S": "p"}, "sk": {"S": "s"}, "b": {"B": b"\x00\xff"}, "n": {"N": "1"}}
    session.client("dynamodb").put_item(TableName=made.table, Item=item)
    session.client("s3").put_object(Bucket=made.bucket, Key="a/b", Body=b"\x00\xff")
    inbound = made.queues["InboundQueue"]
    session.client("sqs").send_message(QueueUrl=inbound.url, MessageBody="waiting")
    positions = Checkpoints(tmp_path / "positions.json", made.stream_arn)
    positions.advance(_shard(session, made.stream_arn), _last(session, made.stream_arn))

    assert emulator.stop(kept, running) is None
    running = emulator.ensure(kept)

    session = Session(running.endpoint_url)
    again = provision.provision(session, template.load(), "t")
    assert again.stream_arn == made.stream_arn
    assert again.bucket == made.bucket
    key = {"pk": {"S": "p"}, "sk": {"S": "s"}}
    read = session.client("dynamodb").get_item(TableName=made.table, Key=key)
    assert read["Item"] == item
    body = session.client("s3").get_object(Bucket=made.bucket, Key="a/b")["Body"]
    with body:
        assert body.read() == b"\x00\xff"
    said = session.client("sqs").receive_message(QueueUrl=again.queues["InboundQueue"].url)
    assert [each["Body"] for each in said["Messages"]] == ["waiting"]
    _reads_on(session, again, tmp_path / "positions.json")
    emulator.stop(kept, running)


def _reads_on(session: Any, made: provision.Provisioned, positions: Path) -> None:
    """The stream starts anew with the emulator; an old position must not hide what is written."""
    item = {"pk": {"S": "p"}, "sk": {"S": "after"}}
    session.client("dynamodb").put_item(TableName=made.table, Item=item)
    seen: list[str] = []

    def function(event: dict[str, Any], _: Any) -> None:
        seen.extend(each["dynamodb"]["Keys"]["sk"]["S"] for each in event["Records"])

    poller = StreamPoller(
        session.client("dynamodbstreams"),
        made.stream_arn,
        function,
        EventSource(batch_size=100),
        name="f",
        checkpoints=Checkpoints(positions, made.stream_arn),
    )
    poller.start()
    until(lambda: seen == ["after"])
    poller.stop()


def _shard(session: Any, arn: str) -> str:
    said = session.client("dynamodbstreams").describe_stream(StreamArn=arn)
    return str(said["StreamDescription"]["Shards"][0]["ShardId"])


def _last(session: Any, arn: str) -> str:
    streams = session.client("dynamodbstreams")
    start = streams.get_shard_iterator(
        StreamArn=arn, ShardId=_shard(session, arn), ShardIteratorType="TRIM_HORIZON"
    )
    records = streams.get_records(ShardIterator=start["ShardIterator"])["Records"]
    return str(records[-1]["dynamodb"]["SequenceNumber"])


def test_free_ports_are_free() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", emulator.free_port()))


def test_a_note_is_for_its_owner_only(folder: Folder) -> None:
    emulator.ensure(folder)

    assert folder.aws.stat().st_mode & 0o777 == 0o600
    assert set(json.loads(folder.aws.read_text())) == {"endpoint_url", "pid", "state"}
