"""The side door: a client of any existing MQTT 5 broker that acknowledges only what is on disk.

Trust boundary: only the topic says who a source is, so nothing that comes in here is authenticated. A broker's
PUBACK to a device promises nothing about us; the receipts that go out here close that gap.

Two threads: paho's runs the socket, the event loop's does all else. They share `_inbox` (a deque, appended by
one and emptied by the other) and, under `_lock`, the generation: the number of the present connection. An
acknowledgement is sent only on the connection that delivered its message, because a packet identifier means
nothing on another one.
"""

import asyncio
import functools
import logging
import ssl
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from gateway.ingest.inbound import UNAUTHENTICATED, Inbound, Sink, Verdict
from gateway.ingest.mqtt.acks import Ack, AckQueue
from gateway.ingest.mqtt.topics import receipts_topic, target_of

if TYPE_CHECKING:
    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

log = logging.getLogger(__name__)

_TOPICS: Final = ("st/1/+/events", "st/1/+/plain/+")


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """Which broker, as whom, within which bounds. Times in seconds, sizes in bytes.

    `client_id` names the session that the broker keeps for `session_expiry_s`: keep it the same over restarts.
    With `group`, several gateways share the messages (`$share/<group>/...`).
    """

    host: str
    port: int
    client_id: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None
    group: str | None = None
    keep_alive_s: int = 30
    session_expiry_s: int = 604_800
    max_unacked: int = 1024  # MQTT 5 Receive Maximum, and what the pipeline may hold of ours
    max_packet: int = 262_144
    max_receipts: int = 4096  # queued for the broker; beyond it receipts are dropped
    reconnect_min_s: int = 1
    reconnect_max_s: int = 60
    quota_retry_s: float = 30.0  # how long to stay away from the broker when the gateway's disk bound is reached


@dataclass(slots=True)
class SideDoorCounters:
    """Counted since start, for the metrics page. Each field is written by one thread only."""

    connections: int = 0
    disconnections: int = 0
    refusals: int = 0  # CONNECT or SUBSCRIBE refused by the broker
    messages: int = 0  # handed to the sink
    acknowledged: int = 0
    foreign_topics: int = 0  # acknowledged and dropped: the topic names no source, so no record could
    dropped_qos0: int = 0  # messages that nobody promised to keep, over the bound
    quota_pauses: int = 0
    congestion_pauses: int = 0
    receipts_sent: int = 0
    receipts_dropped: int = 0


@dataclass(frozen=True, slots=True)
class _Delivery:
    generation: int
    mid: int
    qos: int
    topic: str
    payload: bytes
    received_us: int


class SideDoor:
    """Takes events from a broker into the sink, from `start` to `stop`. Reconnects by itself, with back-off."""

    def __init__(self, sink: Sink, options: BrokerOptions) -> None:
        self._sink = sink
        self._options = options
        self.counters = SideDoorCounters()
        self._client: Client | None = None
        self._loop: asyncio.AbstractEventLoop
        self._lock = threading.Lock()
        self._generation = 0  # under _lock
        self._connected = False
        self._subscribed = False
        self._complained = ""  # of the broker's refusal, until it takes us
        self._inbox: deque[_Delivery] = deque()
        self._scheduled = False
        # From here on: event loop's thread only.
        self._acks = AckQueue(self._acks_due)
        self._acks_generation = 0
        self._settling = False
        self._in_flight = 0
        self._congested = False
        self._away: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted us and the connection stands."""
        return self._connected

    @property
    def subscribed(self) -> bool:
        """Whether the broker has granted our topics on this connection."""
        return self._subscribed

    async def start(self) -> None:
        """Begin to connect; returns at once. What the broker kept for us is delivered then."""
        self._loop = asyncio.get_running_loop()
        self._client = self._make_client()
        self._enter(self._client)

    async def stop(self) -> None:
        """Leave the broker; it keeps the session and what is not acknowledged."""
        if self._away is not None:
            self._away.cancel()
            await asyncio.gather(self._away, return_exceptions=True)
        if self._client is not None:
            await asyncio.to_thread(_leave, self._client)

    async def publish_receipt(self, source: str, payload: bytes) -> bool:
        """Hand a receipt (QoS 1) to the client, which sends it when the broker can be reached. False: dropped,
        because too many wait already."""
        from paho.mqtt.enums import MQTTErrorCode

        assert self._client is not None
        taken = self._client.publish(receipts_topic(source), payload, qos=1).rc
        if taken in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN):
            self.counters.receipts_sent += 1
            return True
        self.counters.receipts_dropped += 1
        return False

    def _make_client(self) -> "Client":
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

        options = self._options
        client = Client(
            CallbackAPIVersion.VERSION2, options.client_id, protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True
        )
        if options.username is not None:
            client.username_pw_set(options.username, options.password)
        if options.tls is not None:
            client.tls_set_context(options.tls)
        client.reconnect_delay_set(options.reconnect_min_s, options.reconnect_max_s)
        client.max_queued_messages_set(options.max_receipts)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def _enter(self, client: "Client") -> None:
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        options = self._options
        properties: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's own omission
        properties.SessionExpiryInterval = options.session_expiry_s
        properties.ReceiveMaximum = options.max_unacked
        properties.MaximumPacketSize = options.max_packet
        client.connect_async(options.host, options.port, options.keep_alive_s, clean_start=False, properties=properties)
        client.loop_start()

    # On paho's thread. An exception here would end that thread, so nothing here may raise.

    def _on_connect(
        self, client: "Client", _user: Any, _flags: "ConnectFlags", reason: "ReasonCode", _props: "Properties | None"
    ) -> None:
        from paho.mqtt.subscribeoptions import SubscribeOptions

        if reason.is_failure:
            self.counters.refusals += 1
            self._complain(f"the broker refuses the connection ({reason}); check user name, password and rights")
            return
        with self._lock:
            self._generation += 1
        self.counters.connections += 1
        self._connected = True
        prefix = f"$share/{self._options.group}/" if self._options.group else ""
        client.subscribe([(f"{prefix}{topics}", SubscribeOptions(qos=1)) for topics in _TOPICS])

    def _on_disconnect(
        self,
        _client: "Client",
        _user: Any,
        _flags: "DisconnectFlags",
        reason: "ReasonCode",
        _props: "Properties | None",
    ) -> None:
        with self._lock:
            self._generation += 1
        self._connected = self._subscribed = False
        self.counters.disconnections += 1
        log.info("disconnected from the broker (%s)", reason)

    def _on_subscribe(
        self, _client: "Client", _user: Any, _mid: int, reasons: "list[ReasonCode]", _props: "Properties | None"
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self.counters.refusals += 1
            self._complain(f"the broker refuses the subscription ({[str(r) for r in reasons]}); grant us its topics")
        else:
            self._subscribed = True
            self._complained = ""

    def _complain(self, text: str) -> None:
        """Once, not at each try."""
        if self._complained != text:
            log.error("%s", text)
        self._complained = text

    def _on_message(self, _client: "Client", _user: Any, message: "MQTTMessage") -> None:
        if message.qos == 0 and len(self._inbox) >= self._options.max_unacked:
            self.counters.dropped_qos0 += 1
            return
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""  # counted as foreign
        self._inbox.append(
            _Delivery(
                self._generation,  # no lock needed: this thread is the one that changes it
                message.mid,
                message.qos,
                topic,
                bytes(message.payload),
                time.time_ns() // 1000,
            )
        )
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon_threadsafe(self._pump)

    # On the event loop's thread

    def _pump(self) -> None:
        """Hand deliveries to the sink while it and our own bound have room, those of one topic together."""
        self._scheduled = False  # before looking into the inbox: whatever comes later schedules again
        while self._inbox and not self._congested and self._in_flight < self._options.max_unacked:
            if self._sink.crowded(UNAUTHENTICATED):
                self._congested = True
                self.counters.congestion_pauses += 1
                self._sink.on_relief(self._relieved)
                return
            self._submit(self._alike())

    def _alike(self) -> list[_Delivery]:
        """The next deliveries that have one topic, connection and QoS above 0, within our bound; or a single one."""
        found = [self._inbox.popleft()]
        first, most = found[0], self._options.max_unacked - self._in_flight
        while self._inbox and len(found) < most and first.qos and _alike(self._inbox[0], first):
            found.append(self._inbox.popleft())
        return found

    def _relieved(self) -> None:
        self._congested = False
        self._loop.call_soon(self._pump)

    def _submit(self, deliveries: list[_Delivery]) -> None:
        first, count = deliveries[0], len(deliveries)
        if first.qos and first.generation != self._generation:
            return  # the broker sends them again
        if first.generation != self._acks_generation and first.qos:
            self._acks = AckQueue(self._acks_due)
            self._acks_generation = first.generation
        payloads = [delivery.payload for delivery in deliveries]
        size = sum(map(len, payloads))
        ack = self._acks.expect(b"".join([d.mid.to_bytes(2, "big") for d in deliveries]) if first.qos else b"", size)
        target = target_of(first.topic)
        if target is None:
            self.counters.foreign_topics += count
            ack.done([Verdict.REJECTED] * count)
            return
        self._in_flight += count
        self.counters.messages += count
        done = functools.partial(self._done, ack)
        self._sink.submit(
            Inbound(
                target.source, False, target.channel, target.kind, payloads, size, first.received_us, "side", done
            )
        )  # fmt: skip

    def _done(self, ack: Ack, verdicts: list[Verdict]) -> None:
        self._in_flight -= len(verdicts)
        ack.done(verdicts)
        if self._inbox and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._pump)

    def _acks_due(self) -> None:
        if not self._settling:
            self._settling = True
            self._loop.call_soon(self._settle)

    def _settle(self) -> None:
        """Acknowledge in order. What the disk bound refused stays with the broker: leave it and come back."""
        self._settling = False
        for ack in self._acks.settled():
            mids = [int.from_bytes(ack.identifiers[i : i + 2], "big") for i in range(0, len(ack.identifiers), 2)]
            for mid, verdict in zip(mids, ack.verdicts or (), strict=False):
                if verdict is Verdict.QUOTA_EXCEEDED:
                    self._stay_away()
                    return
                self._acknowledge(mid)

    def _acknowledge(self, mid: int) -> None:
        assert self._client is not None
        with self._lock:
            if self._acks_generation == self._generation:
                self._client.ack(mid, 1)
                self.counters.acknowledged += 1

    def _stay_away(self) -> None:
        self._acks.clear()
        if self._away is None:
            self.counters.quota_pauses += 1
            self._away = self._loop.create_task(self._come_back())

    async def _come_back(self) -> None:
        """A broker sends an unacknowledged message again only on a new connection. That needs a new client:
        paho leaks two sockets when its thread is started twice. Receipts go to the new one meanwhile."""
        assert self._client is not None
        old, self._client = self._client, self._make_client()
        await asyncio.to_thread(_leave, old)
        del old
        await asyncio.sleep(self._options.quota_retry_s)
        self._away = None
        self._enter(self._client)


def _alike(one: _Delivery, other: _Delivery) -> bool:
    return (one.topic, one.generation, bool(one.qos)) == (other.topic, other.generation, bool(other.qos))


def _leave(client: "Client") -> None:
    """Disconnect, keeping the session, and end paho's thread. Blocks for a moment."""
    client.disconnect()
    client.loop_stop()
