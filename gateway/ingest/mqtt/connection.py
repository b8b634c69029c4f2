"""One MQTT client at the front door: CONNECT, PUBLISH, SUBSCRIBE and their answers.

Trust boundary: untrusted until `_connect` has admitted it; afterwards it may use its own source's topics only.
Sources: MQTT 5.0 sections 3 and 4; MQTT 3.1.1 sections 3 and 4.
"""

import asyncio
from collections.abc import Callable

from gateway.ingest.mqtt import encode
from gateway.ingest.mqtt.decode import (
    V3,
    V5,
    read_connect,
    read_disconnect,
    read_level,
    read_publish,
    read_subscribe,
    read_unsubscribe,
)
from gateway.ingest.mqtt.handshake import NO_LIMIT, admit, connack_properties
from gateway.ingest.mqtt.publishing import Publishing
from gateway.ingest.mqtt.reason import MalformedPacketError, MqttError, ProtocolError, Reason, RefusedError
from gateway.ingest.mqtt.registry import Registry
from gateway.ingest.mqtt.session import Session, SessionKey
from gateway.ingest.mqtt.topics import every_topic, is_filter, own_filters
from gateway.ingest.mqtt.wire import CONGESTED


class Connection(Publishing):
    """A client of the front door, from its first byte to its last."""

    def __init__(self, registry: Registry, on_lost: Callable[["Connection"], None]) -> None:
        super().__init__(registry)
        self._on_lost = on_lost
        self._session: Session | None = None  # None until admitted
        self._will: bytes | None = None
        self._keep_alive_s = 0.0  # one and a half times what was agreed
        self._peer_packet = NO_LIMIT
        self.key = SessionKey("", "")

    @property
    def admitted(self) -> bool:
        """Whether its CONNECT was accepted."""
        return self._session is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._arm(self._limits.connect_timeout_s, self._on_connect_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        try:
            super().connection_lost(exc)
        finally:  # whatever liveness does, the listener must know that this socket is gone
            self._on_lost(self)

    # What the registry asks of a member

    @property
    def tls_group(self) -> str:
        return str(self._transport.get_extra_info("tls_group", ""))

    @property
    def buffered(self) -> bool:
        return bool(self._rest)

    def hold_reading(self) -> None:
        self.hold(CONGESTED)

    def resume_reading(self) -> None:
        self.release(CONGESTED)

    def give_way(self) -> None:
        self._close(Reason.TAKEN_OVER, "taken over by another connection")

    def put_out(self) -> None:
        self._close(Reason.NOT_AUTHORIZED, "the source was revoked")

    def shut_down(self) -> None:
        """The gateway stops: that is no death of the device, so no will."""
        self._will = None
        self._close(Reason.SHUTTING_DOWN, "the gateway is stopping")

    def send(self, topic: str, payload: bytes) -> bool:
        if self._session is None or self._ended or self._session.filters.isdisjoint((topic, every_topic(self._source))):
            return False
        packet = encode.publish_qos0(bool(self._v5), topic, payload)
        buffered = self._transport.get_write_buffer_size()
        if len(packet) > self._peer_packet or buffered + len(packet) > self._limits.write_buffer:
            return False
        self._say(packet)
        return True

    # Packets

    def _on_packet(self, data: bytes, pos: int, body: int, end: int) -> None:
        first = data[pos]
        if self._session is None:
            self._on_partial(first)
            self._connect(data[body:end])
        else:
            self._dispatch(first, data[body:end], bool(self._v5))

    def _on_burst(self, data: bytes, pos: int) -> int:
        return self._publish_many(data, pos) if self._session is not None else pos

    def _on_partial(self, first: int) -> None:
        if self._session is None and first != 0x10:
            raise ProtocolError("expected CONNECT as the first packet")

    def _dispatch(self, first: int, body: bytes, v5: bool) -> None:
        if first >> 4 == 3:
            self._publish(read_publish(first, body, v5))
        elif first == 0x82:
            self._subscribe(body, v5)
        elif first == 0xA2:
            self._unsubscribe(body, v5)
        elif first == 0xC0 and not body:
            self._say(encode.PINGRESP)
        elif first == 0xE0:
            self._disconnect(body, v5)
        elif first >> 4 in (0, 8, 10, 12, 14) or (first >> 4 == 15 and not v5):
            raise MalformedPacketError(f"first byte 0x{first:02x} or its length is wrong for any packet")
        else:
            raise ProtocolError(f"a client must not send packet type {first >> 4} here")

    def _connect(self, body: bytes) -> None:
        # 1. A level we speak; the answer to any other is in the form of the nearest one.
        level = read_level(body)
        self._v5 = level >= V5
        if level not in (V3, V5):
            raise RefusedError(Reason.UNSUPPORTED_VERSION, f"protocol level {level}; use 4 (3.1.1) or 5")
        # 2. Who is it, and is there room?
        connect = read_connect(body)
        registry, limits = self._registry, self._limits
        admission = admit(connect, self._transport.get_extra_info("peer_common_name"), registry)
        # 3. Take over, resume the session, join.
        registry.make_way(admission.key)
        now = self._loop.time()
        session, present = registry.sessions.resume(admission.key, connect.clean, admission.expiry_s, now)
        self.key, self._source, self._will = admission.key, admission.key.source, admission.will
        self._session, self._peer_packet, self._packet_limit = session, admission.peer_packet, limits.packet
        self._receive_maximum = limits.receive_maximum if connect.v5 else NO_LIMIT
        self._max_pending = limits.unacked_messages + (limits.receive_maximum if connect.v5 else 0)
        registry.join(self)
        # 4. Answer, and watch over it.
        self._counters.sessions_opened += 1
        properties = connack_properties(connect, admission, limits)
        self._transport.write(encode.connack(connect.v5, present, properties))
        self._keep_alive_s = admission.keep_alive_s * 1.5
        self._check_keep_alive()
        if registry.congested:
            self.hold(CONGESTED)
        if session.filters:
            registry.on_subscribed(self._source)

    def _subscribe(self, body: bytes, v5: bool) -> None:
        packet = read_subscribe(body, v5)
        if packet.has_identifier:
            raise RefusedError(Reason.SUBSCRIPTION_ID_NOT_SUPPORTED, "Subscription Identifiers are not offered")
        codes = [self._grant(topic_filter) for topic_filter in packet.filters]
        self._say(encode.suback(v5, packet.packet_id, codes))
        if Reason.SUCCESS in codes:
            self._registry.on_subscribed(self._source)

    def _grant(self, topic_filter: str) -> Reason:
        """Grants QoS 0, the only one receipts are sent with, or says why not."""
        assert self._session is not None
        if topic_filter in own_filters(self._source):
            self._session.filters.add(topic_filter)
            return Reason.SUCCESS
        if not is_filter(topic_filter):
            return Reason.FILTER_INVALID
        if topic_filter.startswith("$share/"):
            return Reason.SHARED_NOT_SUPPORTED
        return Reason.NOT_AUTHORIZED

    def _unsubscribe(self, body: bytes, v5: bool) -> None:
        assert self._session is not None
        packet = read_unsubscribe(body, v5)
        codes = []
        for topic_filter in packet.filters:
            found = topic_filter in self._session.filters
            self._session.filters.discard(topic_filter)
            codes.append(Reason.SUCCESS if found else Reason.NO_SUBSCRIPTION_EXISTED)
        self._say(encode.unsuback(v5, packet.packet_id, list(codes)))

    def _disconnect(self, body: bytes, v5: bool) -> None:
        assert self._session is not None
        packet = read_disconnect(body, v5)
        if packet.expiry_s is not None:
            if packet.expiry_s and not self._session.expiry_s:
                raise ProtocolError("a session of expiry 0 cannot be prolonged in DISCONNECT")
            self._session.expiry_s = min(packet.expiry_s, self._limits.session_expiry_s)
        if packet.reason == Reason.SUCCESS:
            self._will = None
        self._write_acks()
        self.end("disconnected by the device")

    # Time and end

    def _on_connect_timeout(self) -> None:
        self._counters.connect_timeouts += 1
        self.end("no CONNECT in time")

    def _check_keep_alive(self) -> None:
        """Section 3.1.2.10: one and a half times the keep-alive without a packet ends the connection."""
        if self._timer is not None:
            self._timer.cancel()
        if not self._keep_alive_s or self._ended:
            return
        now = self._loop.time()
        if self._hold:  # we are not reading, so silence proves nothing
            self._last_seen = now
        left = self._last_seen + self._keep_alive_s - now
        if left > 0:
            self._arm(left, self._check_keep_alive)
        else:
            self._counters.keep_alive_timeouts += 1
            self._close(Reason.KEEP_ALIVE_TIMEOUT, "keep-alive expired")

    def _on_error(self, error: MqttError) -> None:
        self._count(error)
        if not self._ended and self.admitted:
            self._write_acks()
        self._close(error.reason, str(error))

    def _count(self, error: MqttError) -> None:
        counters = self._counters
        if isinstance(error, MalformedPacketError):
            counters.malformed += 1
        elif isinstance(error, ProtocolError):
            counters.protocol_errors += 1
        elif isinstance(error, RefusedError):
            self._count_refusal(error.reason)

    def _count_refusal(self, reason: Reason) -> None:
        counters = self._counters
        if self.admitted:
            counters.not_offered += reason != Reason.NOT_AUTHORIZED  # that one is counted as a refused topic
        elif reason == Reason.QUOTA_EXCEEDED:
            counters.refused_full += 1
        elif reason in (Reason.BAD_LOGIN, Reason.NOT_AUTHORIZED):
            counters.refused_login += 1
        else:
            counters.refused_connect += 1

    def _close(self, reason: Reason, text: str) -> None:
        """End with the reason, in the words that the peer's version has for it."""
        if self.admitted:
            word = encode.disconnect_v5(reason, text, self._peer_packet) if self._v5 else b""
        else:
            word = b"" if self._v5 is None else encode.connack_refused(self._v5, reason, text)
        self.end(text, word)

    def _on_end(self, reason: str) -> None:
        self._acks.clear()
        if self._session is not None:
            self._registry.sessions.keep(self.key, self._session, self._loop.time())
            self._registry.leave(self, reason, self._will)
