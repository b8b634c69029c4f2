"""PUBLISH and its acknowledgement: from a connection to the sink, and the verdict back to the peer.

Trust boundary: the connection is admitted, its packets are not trusted: a source may publish to its own topics
only. Sources: MQTT 5.0 sections 3.3, 3.4, 4.4 and 4.6; MQTT 3.1.1 the same sections.
"""

from typing import Final

from gateway.ingest.inbound import Inbound, Verdict
from gateway.ingest.mqtt import encode
from gateway.ingest.mqtt.acks import AckQueue
from gateway.ingest.mqtt.decode import NO_PACKET_ID
from gateway.ingest.mqtt.packets import Publish
from gateway.ingest.mqtt.reason import ProtocolError, Reason, RefusedError
from gateway.ingest.mqtt.registry import Registry
from gateway.ingest.mqtt.topics import Target, status_topic, target_of
from gateway.ingest.mqtt.wire import CROWDED, UNACKED, Wire

_STORED: Final = Verdict.STORED
_SHORTEST: Final = 5  # body of a PUBLISH with QoS 1: topic length, one character, packet identifier
_MAX_CACHED_TOPICS: Final = 64


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
        self._topics: dict[bytes, Target] = {}  # own topics seen before, as on the wire

    def _publish_fast(self, duplicate: bool, data: bytes, body: int, end: int) -> bool:
        """PUBLISH, QoS 1, to a topic seen before, without properties. False: take the strict way instead."""
        if end - body < _SHORTEST:
            return False
        topic_end = body + 2 + (data[body] << 8 | data[body + 1])
        target = self._topics.get(data[body + 2 : topic_end])
        payload = topic_end + 2
        if self._v5:
            payload += 1
            if payload > end or data[payload - 1]:
                return False
        packet_id = data[topic_end : topic_end + 2]
        if target is None or payload > end or packet_id == NO_PACKET_ID:
            return False
        self._take(target, packet_id, data[payload:end], duplicate)
        return True

    def _publish(self, packet: Publish) -> None:
        if packet.qos == 2:
            raise RefusedError(Reason.QOS_NOT_SUPPORTED, "QoS 2 is not offered; use QoS 1")
        if packet.retain and self._v5:
            raise RefusedError(Reason.RETAIN_NOT_SUPPORTED, "retained messages are not offered; clear RETAIN")
        topic = self._resolve_alias(packet)
        target = target_of(topic)
        if target is not None and target.source == self._source:
            if len(self._topics) < _MAX_CACHED_TOPICS:
                self._topics[topic.encode()] = target
            self._take(target, packet.packet_id, packet.payload, packet.duplicate)
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
            self._acks.expect(packet_id, 0).verdict = verdict

    def _check_receive_maximum(self) -> None:
        if self._acks.unacked >= self._receive_maximum:
            raise ProtocolError(
                f"more than {self._receive_maximum} unacknowledged messages; heed Receive Maximum",
                Reason.RECEIVE_MAXIMUM_EXCEEDED,
            )

    def _take(self, target: Target, packet_id: bytes, payload: bytes, duplicate: bool) -> None:
        """Hand a message to the sink, then see whether we may go on reading."""
        acks, sink = self._acks, self._sink
        if packet_id and acks.unacked >= self._receive_maximum:
            self._check_receive_maximum()
        ack = acks.expect(packet_id, len(payload))
        self._counters.messages += 1
        received_us = self._received_us
        sink.submit(
            Inbound(
                target.source, True, target.channel, target.kind, payload, received_us, duplicate, "front", ack.done
            )
        )
        if len(acks) >= self._max_pending or acks.size >= self._limits.unacked_bytes:
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
            if ack.verdict is _STORED:
                if ack.identifier:
                    out += (encode.PUBACK_STORED, ack.identifier)
            elif self._write_refusal(ack.identifier, ack.verdict, out):
                refused = True
                break
        self._counters.acknowledged += len(out) // 2
        if out:
            self._transport.write(b"".join(out))
        if refused:
            self.end("the gateway's disk bound is reached")
        elif self._hold & UNACKED and not self._over_bounds():
            self._hold &= ~UNACKED

    def _write_refusal(self, packet_id: bytes, verdict: Verdict | None, out: list[bytes]) -> bool:
        """Adds the PUBACK of a message that is not in the log; True when the connection must end instead.

        MQTT 3.1.1 has no reason codes. A dead letter is durable, so it is acknowledged; what is not stored must
        not be acknowledged, and only a new connection makes the client send it again.
        """
        assert verdict is not None
        if verdict is Verdict.QUOTA_EXCEEDED:
            self._counters.quota_refusals += 1
            if not self._v5 and packet_id:
                return True
        if packet_id and self._v5:
            out += (encode.PUBACK_REASON, packet_id + bytes((verdict,)))
        elif packet_id:
            out += (encode.PUBACK_STORED, packet_id)
        return False

    def _over_bounds(self) -> bool:
        return len(self._acks) >= self._max_pending or self._acks.size >= self._limits.unacked_bytes
