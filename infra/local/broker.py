"""The embedded MQTT broker: amqtt, taught to acknowledge only what the inbound queue has.

It lives in the hub's process and forgets everything when that ends, which loses nothing a
publisher saw acknowledged.  For other subscribers it is a broker like any other, without queues
for clients that are away and without shared subscriptions.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from functools import partial
from typing import Any

from amqtt.broker import Broker as AmqttBroker
from amqtt.broker import Server
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.session import INCOMING, IncomingApplicationMessage, OutgoingApplicationMessage

from infra.local.sink import ROOT, Sink

_LOG = logging.getLogger(__name__)


class _Handler(BrokerProtocolHandler):
    """One client's connection."""

    sink: Sink

    async def _handle_message_flow(
        self, app_message: IncomingApplicationMessage | OutgoingApplicationMessage
    ) -> None:
        """Hand a publication to the sink first; amqtt's own flow, which acknowledges, after."""
        if app_message.direction == INCOMING and _is_ours(app_message.topic):
            taken = self._put(app_message.topic, bytes(app_message.data))
            if app_message.qos:
                await taken
        await super()._handle_message_flow(app_message)

    def _put(self, topic: str, payload: bytes) -> asyncio.Future[None]:
        """Hand over at once, so that a client's order is kept.  The future tells when it is safe."""
        loop = asyncio.get_running_loop()
        taken: asyncio.Future[None] = loop.create_future()

        def finish() -> None:
            if not taken.done():
                taken.set_result(None)

        def done() -> None:
            with contextlib.suppress(RuntimeError):  # the loop may have ended meanwhile
                loop.call_soon_threadsafe(finish)

        self.sink.put(topic, payload, done)
        return taken


class _Broker(AmqttBroker):
    """A broker whose connections know the sink and that listens on a socket already bound."""

    def __init__(self, sink: Sink, listener: socket.socket, config: dict[str, Any]) -> None:
        super().__init__(config)
        self._sink = sink
        self._listener = listener

    async def _create_server_instance(self, listener_name: str, *_: Any) -> asyncio.Server:
        return await asyncio.start_server(
            partial(self.stream_connected, listener_name=listener_name), sock=self._listener
        )

    async def _handle_client_session(
        self,
        reader: Any,
        writer: Any,
        client_session: Any,
        handler: BrokerProtocolHandler,  # noqa: ARG002 - replaced: it is not attached yet
        server: Server,
        listener_name: str,
    ) -> None:
        ours = _Handler(self.plugins_manager)
        ours.sink = self._sink
        await super()._handle_client_session(
            reader, writer, client_session, ours, server, listener_name
        )

    async def _broadcast_message(
        self, session: Any, topic: str | None, data: Any, force_qos: int | None = None
    ) -> None:
        will = session is not None and force_qos is not None
        if will and topic and _is_ours(topic):
            self._sink.put(topic, bytes(data or b""), lambda: None)
        await super()._broadcast_message(session, topic, data, force_qos)


class EmbeddedBroker:
    """The broker in a thread of its own."""

    kind = "embedded"

    def __init__(self, sink: Sink, listener: socket.socket) -> None:
        self._sink = sink
        self._listener = listener
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="mqtt-broker", daemon=True)

    def start(self) -> None:
        """Begin to listen.  Raises what amqtt raises."""
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)
        logging.getLogger("transitions").setLevel(logging.CRITICAL)
        self._thread.start()
        self._ready.wait()
        if self._failure:
            raise self._failure

    def stop(self) -> None:
        """Disconnect all clients and end.  What was not acknowledged is theirs to send again."""
        if self._loop and self._end:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(timeout=10)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 - told to whoever started it
            self._failure = error
            if self._ready.is_set():
                _LOG.exception("the embedded MQTT broker ended")
        self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(lambda _, context: _LOG.debug("amqtt: %s", context))
        self._end = asyncio.Event()
        host, port = self._listener.getsockname()
        broker = _Broker(
            self._sink,
            self._listener,
            {
                "listeners": {"default": {"type": "tcp", "bind": f"{host}:{port}"}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {}},
            },
        )
        await broker.start()
        self._ready.set()
        await self._end.wait()
        with contextlib.suppress(Exception):  # a client that breaks off must not keep us
            await asyncio.wait_for(broker.shutdown(), timeout=5)


def _is_ours(topic: str) -> bool:
    """Tell whether the IoT rule would take a topic, and amqtt lets it pass."""
    return topic.startswith(ROOT) and not set("+#") & set(topic)
