"""PUBLISH and its acknowledgement: from a connection to the sink, and the verdict back to the peer.

Trust boundary: the connection is admitted, its packets are not trusted: a source may publish to its own topics
only. Sources: MQTT 5.0 sections 3.3, 3.4, 4.4 and 4.6; MQTT 3.1.1 the same sections.
"""

from gateway.ingest.inbound import Inbound, Verdict
from gateway.ingest.mqtt import encode
from gateway.ingest.mqtt.acks import Ack, AckQueue
from gateway.ingest.mqtt.burst import burst
from gateway.ingest.mqtt.packets import Publish
from gateway.ingest.mqtt.primitives import write_text
from gateway.ingest.mqtt.reason import ProtocolError, Reason, RefusedError
from gateway.ingest.mqtt.registry import Registry
from gateway.ingest.mqtt.topics import Target, status_topic, target_of
from gateway.ingest.mqtt.wire import CROWDED, UNACKED, Wire


class Publishing(Wire):
    """The part of a connection that takes messages and acknowledges them in their order."""

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry.limits, registry.counters)
        self._registry = registry
        self._sink = registry.sink
        self._v5: bool | None = None  # None until a CONNECT named its level
        self._source = ""
        self._acks = AckQueue(self._acks_due)
        self._settling = False
        self._receive_maximum = 0
        self._max_pending = 0
        self._aliases: dict[int, str] = {}
        self._target: Target | None = None  # of the last message,
        self._topic = b""  # and its topic as on the wire

    def _publish_many(self, data: bytes, pos: int) -> int:
        """PUBLISH packets with QoS 1 to the topic of the last one. Returns where those end that were taken."""
        most = min(self._receive_maximum - self._acks.unacked, self._max_pending - len(self._acks))
        room = self._limits.unacked_bytes - self._acks.size
        if self._target is None or most <= 0 or room <= 0:
            return pos
        payloads, identifiers, size, end = burst(data, pos, self._topic, bool(self._v5), most, room, self._packet_limit)
        if payloads:
            self._take(self._target, identifiers, payloads, size)
        return end

    def _publish(self, packet: Publish) -> None:
        if packet.qos == 2:
            raise RefusedError(Reason.QOS_NOT_SUPPORTED, "QoS 2 is not offered; use QoS 1")
        if packet.retain and self._v5:
            raise RefusedError(Reason.RETAIN_NOT_SUPPORTED, "retained messages are not offered; clear RETAIN")
        topic = self._resolve_alias(packet)
        target = target_of(topic)
        if target is not None and target.source == self._source:
            self._target, self._topic = target, write_text(topic)
            self._take(target, packet.packet_id, [packet.payload], len(packet.payload))
        elif topic == status_topic(self._source):
            self._counters.status_messages += 1
            self._answer(packet.packet_id, Verdict.STORED)
        else:
            self._refuse_topic(packet, topic)

    def _resolve_alias(self, packet: Publish) -> str:
        if not packet.alias:
            return packet.topic
        if packet.alias > self._limits.topic_aliases:
            raise ProtocolError(
                f"topic alias {packet.alias}, the maximum is {self._limits.topic_aliases}", Reason.ALIAS_INVALID
            )
        if packet.topic:
            self._aliases[packet.alias] = packet.topic
        elif packet.alias not in self._aliases:
            raise ProtocolError(f"topic alias {packet.alias} has no topic yet; send the topic with it once")
        return self._aliases[packet.alias]

    def _refuse_topic(self, packet: Publish, topic: str) -> None:
        self._counters.refused_topics += 1
        if not self._v5:  # MQTT 3.1.1 has no other way to say no (section 3.3.5)
            raise RefusedError(Reason.NOT_AUTHORIZED, f"{self._source} may not publish to {topic[:80]!r}")
        self._answer(packet.packet_id, Verdict.NOT_AUTHORIZED)

    def _answer(self, packet_id: bytes, verdict: Verdict) -> None:
        """Acknowledge, in its turn, a message that is not for the sink."""
        if packet_id:
            self._check_receive_maximum()
            self._acks.expect(packet_id, 0).verdicts = [verdict]

    def _check_receive_maximum(self) -> None:
        if self._acks.unacked >= self._receive_maximum:
            raise ProtocolError(
                f"more than {self._receive_maximum} unacknowledged messages; heed Receive Maximum",
                Reason.RECEIVE_MAXIMUM_EXCEEDED,
            )

    def _take(self, target: Target, identifiers: bytes, payloads: list[bytes], size: int) -> None:
        """Hand messages to the sink, then see whether we may go on reading."""
        acks, sink = self._acks, self._sink
        if identifiers:
            self._check_receive_maximum()
        ack = acks.expect(identifiers, size)
        self._counters.messages += len(payloads)
        sink.submit(
            Inbound(
                target.source, True, target.channel, target.kind, payloads, size, self._received_us, "front", ack.done
            )
        )
        if self._over_bounds():
            self._counters.unacked_pauses += 1
            self._hold |= UNACKED
        if sink.crowded(target.source):
            self._wait_for_room()

    def _wait_for_room(self) -> None:
        """The sink is full and nobody reads, or it has this source's share and only this connection does not."""
        if self._sink.congested():
            self._registry.congest()
        elif not self._hold & CROWDED:
            self._counters.crowded_pauses += 1
            self._hold |= CROWDED
            self._sink.on_relief(self._on_room)

    def _on_room(self) -> None:
        self._loop.call_soon(self.release, CROWDED)  # not at once: this may be the middle of parsing

    def _acks_due(self) -> None:
        """A verdict came. One write for all that come in the same turn of the loop."""
        if not self._busy and not self._settling and not self._ended:
            self._settling = True
            self._loop.call_soon(self._settle)

    def _settle(self) -> None:
        self._settling = False
        if not self._ended:
            self._write_acks()
            self._go_on()

    def _write_acks(self) -> None:
        settled = self._acks.settled()
        if not settled:
            return
        out: list[bytes] = []
        refused = False
        for ack in settled:
            if not ack.stored:
                refused = self._write_refusals(ack, out)
                if refused:
                    break
            elif ack.identifiers:
                out += encode.pubacks(ack.identifiers)
        self._counters.acknowledged += len(out) // 2
        if out:
            self._transport.write(b"".join(out))
        if refused:
            self.end("the gateway's disk bound is reached")
        elif self._hold & UNACKED and not self._over_bounds():
            self._hold &= ~UNACKED

    def _write_refusals(self, ack: Ack, out: list[bytes]) -> bool:
        """Adds the PUBACKs of messages of which some are not in the log; True when the connection must end instead.

        MQTT 3.1.1 has no reason codes. A dead letter is durable, so it is acknowledged; what is not stored must
        not be acknowledged, and only a new connection makes the client send it again.
        """
        for number, verdict in enumerate(ack.verdicts or ()):
            packet_id = ack.identifiers[2 * number : 2 * number + 2]
            if verdict is Verdict.QUOTA_EXCEEDED:
                self._counters.quota_refusals += 1
                if not self._v5 and packet_id:
                    return True
            if packet_id and self._v5 and verdict is not Verdict.STORED:
                out += (encode.PUBACK_REASON, packet_id + bytes((verdict,)))
            elif packet_id:
                out += (encode.PUBACK_STORED, packet_id)
        return False

    def _over_bounds(self) -> bool:
        return len(self._acks) >= self._max_pending or self._acks.size >= self._limits.unacked_bytes
