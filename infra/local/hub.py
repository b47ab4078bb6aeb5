"""The parts of a running hub, put up in order and taken down in the other."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from infra.local import bridge, emulator, environment, ports
from infra.local.console import Console
from infra.local.files import Folder, write_json
from infra.local.mistakes import MistakeError
from infra.local.sink import Sink
from infra.local.switches import Switches

if TYPE_CHECKING:
    from chalicelib.aws import Hub as Hands
    from infra.local.bridge import Bridge
    from infra.local.broker import EmbeddedBroker
    from infra.local.functions import Functions
    from infra.local.keys import Account, Api
    from infra.local.provision import Provisioned
    from infra.local.receiver import Receiver

_PREFIX = "tributary"
_SETTLED_WITHIN = 60


class Hub:
    """Everything of one run."""

    def __init__(self, chosen: Switches, folder: Folder, screen: Console) -> None:
        self._chosen = chosen
        self._folder = folder
        self._screen = screen
        self._ends = contextlib.ExitStack()
        self._aws: emulator.Emulator | None = None
        self._keep_adopted = False

    def start(self) -> None:
        """Put everything up; return once the hub is ready and ``hub.json`` says so."""
        self._screen.say("Tributary on this machine")
        environment.allow_open_files()
        bridge.end_left_behind(self._folder)
        http = ports.bound(self._chosen.port, "PORT")
        mqtt = ports.bound(self._chosen.mqtt_port, "MQTT_PORT")
        aws = self._embedded_aws()
        region = environment.reach(aws.endpoint_url, ours=aws.pid is not None)
        # Only now: what follows imports boto3, Chalice and the hub, which takes a second.
        from chalicelib import vendors  # noqa: PLC0415
        from infra.local.keys import Account  # noqa: PLC0415

        names = vendors.names(example=self._chosen.example_vendor)
        provisioned = self._provisioned(region)
        account = Account(self._folder.keys, provisioned.stream_arn)
        if "api_key" not in account.known:  # nothing of an earlier table may reach this one
            shutil.rmtree(self._folder.kept / "mosquitto", ignore_errors=True)
        environment.tell(self._chosen, provisioned.environment(), account.root_key_sha256)
        receiver = self._receiver(account)
        functions, hands = self._functions(provisioned, region)
        url = self._http(http)
        mqtt_port = self._mqtt(mqtt, hands)
        api = account.open(url, names)
        self._ends.callback(api.close)
        self._register(account, api, receiver)
        self._samples(names, account, api, receiver, functions, mqtt_port)
        self._tell(account, url, mqtt_port, receiver)

    def stop(self, *, keep_adopted: bool) -> None:
        """Take down what is up.  ``keep_adopted`` leaves an adopted AWS and its data alone."""
        self._keep_adopted = keep_adopted
        self._folder.hub.unlink(missing_ok=True)
        self._ends.close()

    def whole(self) -> bool:
        """Tell whether all is well."""
        return self._aws is not None and self._aws.running()

    def _embedded_aws(self) -> emulator.Emulator:
        if self._chosen.aws_endpoint_url:
            ports.reachable(self._chosen.aws_endpoint_url, "AWS_ENDPOINT_URL")
            self._aws = emulator.Emulator(self._chosen.aws_endpoint_url, None)
            self._screen.step("AWS", f"{self._aws.endpoint_url} (not started by this run)")
            return self._aws
        self._screen.step("embedded AWS", "starting ministack …")
        self._ends.callback(self._end_aws)
        self._aws = emulator.ensure(self._folder)
        how = "left by the last run and adopted" if self._aws.adopted else "started"
        kept = f", kept in {self._folder.state}" if self._folder.state else ""
        self._screen.step("embedded AWS", f"{self._aws.endpoint_url} ({how}{kept})")
        return self._aws

    def _end_aws(self) -> None:
        aws = self._aws or emulator.left_behind(self._folder.aws)
        if aws is None or (self._keep_adopted and (self._aws is None or aws.adopted)):
            return
        warning = emulator.stop(self._folder, aws)
        if warning:
            self._screen.say(warning)
        if self._folder.state is None:  # keys and positions of a table that is gone
            self._folder.forget()

    def _provisioned(self, region: str) -> Provisioned:
        import boto3  # noqa: PLC0415 - slow to import
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        from infra.local import provision, template  # noqa: PLC0415

        self._template = template.load()
        self._session = boto3.Session(region_name=region)
        try:
            made = provision.provision(self._session, self._template, _PREFIX)
            if not self._chosen.aws_endpoint_url:  # another's SES would write to the address
                provision.introduce(self._session, environment.EMAIL_SENDER)
        except (BotoCoreError, ClientError) as error:
            if self._chosen.aws_endpoint_url:
                raise MistakeError(
                    f"AWS_ENDPOINT_URL: nothing to work with at {self._chosen.aws_endpoint_url}:"
                    f" {error}"
                ) from error
            raise
        self._screen.step("resources", f"table {made.table}, {len(made.queues)} queues, a bucket")
        return made

    def _receiver(self, account: Account) -> Receiver:
        from infra.local.receiver import Receiver  # noqa: PLC0415

        receiver = Receiver(ports.again(account.receiver.get("url")))
        if "secret" in account.receiver:
            receiver.trust(account.receiver["secret"])
        receiver.start()
        self._ends.callback(receiver.stop)
        self._screen.step("receiver", receiver.url)
        return receiver

    def _functions(self, provisioned: Provisioned, region: str) -> tuple[Functions, Hands]:
        import app  # noqa: PLC0415 - reads the environment
        from chalicelib import aws  # noqa: PLC0415
        from infra.local.functions import Functions  # noqa: PLC0415

        hands = aws.hub()
        _ = (
            hands.dynamodb,
            hands.sqs,
            hands.s3,
            hands.kms,
        )  # made here: boto3 makes clients in one thread
        names = ("normalize", "project", "dispatch", "deliver", "sync", "export", "sweep")
        functions = Functions(
            self._session,
            provisioned,
            self._template,
            {name: getattr(app, name) for name in names},
            self._folder.checkpoints,
        )
        functions.start()
        # The embedded AWS forgets its streams when it ends: read them to the end before.
        kept = self._folder.state is not None
        self._ends.callback(lambda: functions.stop(read_to_end=kept))
        self._screen.step("functions", f"{', '.join(names)} ({region})")
        return functions, hands

    def _http(self, listener: socket.socket) -> str:
        import app  # noqa: PLC0415 - reads the environment
        from infra.local.gateway import Gateway  # noqa: PLC0415
        from infra.local.server import HttpServer  # noqa: PLC0415

        server = HttpServer(listener, Gateway(app.app).answer)
        server.start()
        self._ends.callback(server.stop)
        self._screen.step("HTTP", server.url)
        return server.url

    def _mqtt(self, listener: socket.socket, hands: Hands) -> int:
        from chalicelib import queues  # noqa: PLC0415
        from infra.local.broker import EmbeddedBroker  # noqa: PLC0415

        def send(texts: Sequence[str]) -> None:
            queues.send(hands, hands.config.inbound_url, [queues.Message(text) for text in texts])

        port = int(listener.getsockname()[1])
        sink = Sink(send)
        sink.start()
        self._ends.callback(sink.stop)
        real = self._chosen.mqtt_broker == "mosquitto" or (
            not self._chosen.mqtt_broker and bridge.installed()
        )
        broker: Bridge | EmbeddedBroker = (
            bridge.Bridge(sink, listener, self._folder) if real else EmbeddedBroker(sink, listener)
        )
        self._ends.callback(broker.stop)
        broker.start()
        which = "mosquitto" if real else "embedded broker; install mosquitto to use that instead"
        self._screen.step("MQTT", f"127.0.0.1:{port} ({which})")
        return port

    def _register(self, account: Account, api: Api, receiver: Receiver) -> None:
        if self._chosen.private_targets == "refuse":
            self._screen.step("integration", "none: PRIVATE_TARGETS=refuse refuses the receiver")
            return
        account.register(api, receiver.url)
        receiver.trust(account.receiver["secret"])
        self._screen.step("integration", f"{account.receiver['id']} → {receiver.url}")

    def _samples(
        self,
        vendors: Sequence[str],
        account: Account,
        api: Api,
        receiver: Receiver,
        functions: Functions,
        mqtt_port: int,
    ) -> None:
        from infra.local import report, samples  # noqa: PLC0415

        if not self._chosen.samples:
            return
        sent: Mapping[str, Mapping[str, int]] = {
            vendor: {"http": 0, "mqtt": 0} for vendor in vendors
        }
        if account.fed:
            self._screen.step("samples", "are in since an earlier run")
        else:
            self._screen.step("samples", "feeding the vendors' examples by HTTP and MQTT …")
            try:
                sent = samples.feed(samples.bundled(vendors), account.connections, mqtt_port)
            except samples.SampleError as error:
                self._screen.step("samples", f"stopped: {error}")
            else:
                account.keep_fed()
            if not functions.drained(_SETTLED_WITHIN):
                self._screen.step("samples", "not all came through yet: see .local/hub.log")
        counts = receiver.counts()
        self._screen.say()
        for line in report.table(api, sent, counts["by_vendor"]):
            self._screen.say(f"  {line}")
        self._screen.say(
            f"\n  {counts['distinct']} deliveries verified at the receiver, "
            f"{counts['refused']} refused"
        )

    def _tell(self, account: Account, url: str, mqtt_port: int, receiver: Receiver) -> None:
        aws: Any = self._aws
        write_json(
            self._folder.hub,
            {
                "url": url,
                "api_key": account.api_key,
                "root_key": account.root_key,
                "pid": os.getpid(),
                "mqtt": {"host": "127.0.0.1", "port": mqtt_port},
                "receiver": {"url": receiver.url},
                "connections": {
                    vendor: {
                        key: made[key]
                        for key in ("id", "webhook_url", "secret", "mqtt_topic_prefix")
                    }
                    for vendor, made in account.connections.items()
                },
                "aws": {"endpoint_url": aws.endpoint_url, "pid": aws.pid},
            },
        )
        self._screen.say(f"\nready: {url}/v1 with the api_key of {self._folder.hub}; Ctrl-C ends\n")
