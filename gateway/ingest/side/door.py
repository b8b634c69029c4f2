"""The side door itself: stays connected to its broker, subscribes, publishes receipts. One thread, the event loop's."""

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateway.ingest.inbound import Sink
from gateway.ingest.mqtt.topics import receipts_topic
from gateway.ingest.side.intake import Intake
from gateway.ingest.side.line import Line, Paho
from gateway.ingest.side.options import BrokerOptions, SideDoorCounters

if TYPE_CHECKING:
    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
    from paho.mqtt.reasoncodes import ReasonCode

    from crypto.tls.client import TlsClient

log = logging.getLogger(__name__)

_TOPICS: Final = ("st/1/+/events", "st/1/+/plain/+")
_SESSION_TOPICS: Final = ("st/1/+/handshake/up", "st/1/+/frames/up")
_LOOK_S: Final = 1.0  # how often paho looks at its keep-alive


class SideDoor:
    """Takes events from a broker into the sink, from `start` to `stop`. Reconnects by itself, with back-off."""

    def __init__(self, sink: Sink, options: BrokerOptions) -> None:
        self._sink, self._options = sink, options
        self.counters = SideDoorCounters()
        self._client = self._make_client()
        self._intake: Intake  # of the present connection
        self._connected = self._subscribed = False
        self._for_sessions: int | None = None  # packet identifier of that subscription
        self._full = False  # the gateway's disk bound is reached: leave the broker for a while
        self._complained = ""  # of the broker, until it takes us
        self._task: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted us and the connection stands."""
        return self._connected

    @property
    def subscribed(self) -> bool:
        """Whether the broker has granted our topics on this connection."""
        return self._subscribed

    @property
    def tls(self) -> "TlsClient | None":
        """Its end of TLS, which counts what the connections took."""
        return self._options.tls

    async def start(self) -> None:
        """Begin to connect; returns at once. What the broker kept for us is delivered then."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Leave the broker; it keeps the session and what is not acknowledged."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def publish_receipt(self, source: str, payload: bytes) -> bool:
        """Hand a receipt (QoS 1) to paho, which sends it when the broker can be reached. False: dropped, because
        too many wait already."""
        return self.publish(receipts_topic(source), payload)

    def publish(self, topic: str, payload: bytes) -> bool:
        """Hand a message to any topic to paho, as above."""
        taken = self._client.publish(topic, payload, qos=1).rc
        if taken in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN):
            self.counters.receipts_sent += 1
            return True
        self.counters.receipts_dropped += 1
        return False

    def _make_client(self) -> Paho:
        options = self._options
        client = Paho(
            CallbackAPIVersion.VERSION2, options.client_id, protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True
        )
        if options.username is not None:
            client.username_pw_set(options.username, options.password)
        client.max_queued_messages_set(options.max_receipts)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_subscribe, client.on_message = self._on_subscribe, self._on_message
        properties: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's own omission
        properties.SessionExpiryInterval = options.session_expiry_s
        properties.ReceiveMaximum = options.max_unacked
        properties.MaximumPacketSize = options.max_packet
        client.connect_async(options.host, options.port, options.keep_alive_s, clean_start=False, properties=properties)
        return client

    # Connections, one after the other

    async def _run(self) -> None:
        pause = float(self._options.reconnect_min_s)
        while True:
            accepted = self.counters.connections
            try:
                await self._visit()
            except Exception:  # outermost boundary of this task: a fault must not end it
                log.exception("internal fault of the side door; it connects again")
            if self.counters.connections > accepted:
                pause = self._options.reconnect_min_s
            await asyncio.sleep(self._options.quota_retry_s if self._full else pause)
            pause = min(2 * pause, self._options.reconnect_max_s)

    async def _visit(self) -> None:
        """One connection, from its making to its loss; a broker sends what has no acknowledgement on the next."""
        self._full = False
        try:
            line = await self._connect()
        except (OSError, ValueError) as error:  # a certificate's fault is either
            self._complain(f"cannot reach the broker at {self._options.host}:{self._options.port} ({error})")
            return
        try:
            while not line.lost.done() and not self._full:
                await asyncio.wait({line.lost}, timeout=_LOOK_S)
                line.vouch()
                self._client.loop_misc()
        finally:
            self._client.disconnect()
            await asyncio.wait({line.lost})
            self._connected = self._subscribed = False

    async def _connect(self) -> Line:
        options = self._options
        async with asyncio.timeout(options.connect_timeout_s):
            if options.tls is not None:
                return await options.tls.connect(self._line, options.host, options.port, options.connect_timeout_s)
            _, line = await asyncio.get_running_loop().create_connection(self._line, options.host, options.port)
        return line

    def _line(self) -> Line:
        return Line(self._client, self._make_intake, self._options.max_packet)

    def _make_intake(self, line: Line) -> Intake:
        self._intake = Intake(line, self._sink, self.counters, self._options.max_unacked, self._on_full)
        return self._intake

    def _on_full(self) -> None:
        if not self._full:
            self._full = True
            self.counters.quota_pauses += 1
            self._client.disconnect()

    def _complain(self, text: str) -> None:
        """Once, not at each try."""
        if self._complained != text:
            log.error("%s", text)
        self._complained = text

    # Called by paho

    def _on_connect(
        self, client: "Client", _user: Any, _flags: "ConnectFlags", reason: "ReasonCode", _props: Properties | None
    ) -> None:
        if reason.is_failure:
            self.counters.refusals += 1
            self._complain(f"the broker refuses the connection ({reason}); check user name, password and rights")
            return
        self.counters.connections += 1
        self._connected = True
        prefix = f"$share/{self._options.group}/" if self._options.group else ""
        client.subscribe([(f"{prefix}{topics}", SubscribeOptions(qos=1)) for topics in _TOPICS])
        if not prefix:  # a session lives in one gateway: a group would spread its frames over all
            options = SubscribeOptions(qos=1)
            self._for_sessions = client.subscribe([(topics, options) for topics in _SESSION_TOPICS])[1]

    def _on_disconnect(
        self, _client: "Client", _user: Any, _flags: "DisconnectFlags", reason: "ReasonCode", _props: Properties | None
    ) -> None:
        self._connected = self._subscribed = False
        self.counters.disconnections += 1
        log.info("disconnected from the broker (%s)", reason)

    def _on_subscribe(
        self, _client: "Client", _user: Any, mid: int, reasons: "list[ReasonCode]", _props: Properties | None
    ) -> None:
        if mid == self._for_sessions:
            if any(reason.is_failure for reason in reasons):
                log.warning("no sessions behind the broker: it refuses us st/1/+/handshake/up and st/1/+/frames/up")
        elif any(reason.is_failure for reason in reasons):
            self.counters.refusals += 1
            self._complain(f"the broker refuses the subscription ({[str(r) for r in reasons]}); grant us its topics")
        else:
            self._subscribed = True
            self._complained = ""

    def _on_message(self, _client: "Client", _user: Any, message: "MQTTMessage") -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""  # counted as foreign
        identifier = message.mid.to_bytes(2, "big") if message.qos else b""
        self._intake.take_one(topic, identifier, bytes(message.payload))
