"""The messages of one connection to a broker: to the sink when it has room, and acknowledged when they are on disk.

Trust boundary: the topic alone says whose a message is. A packet identifier means nothing on another connection, so
each connection has an intake of its own; verdicts that come after its loss are for nobody.
"""

import asyncio
import time
from collections.abc import Callable

from gateway.ingest.inbound import UNAUTHENTICATED, Inbound, Sink, Verdict
from gateway.ingest.mqtt.acks import AckQueue
from gateway.ingest.mqtt.encode import pubacks
from gateway.ingest.mqtt.topics import Target, target_of
from gateway.ingest.side.line import Line
from gateway.ingest.side.options import SideDoorCounters


class Intake:
    """Takes messages from a line and acknowledges on it. `most` bounds what it holds: a broker should heed it as our
    Receive Maximum, and Mosquitto 2.0.11 does not. `on_full` is called when the gateway's disk bound is reached."""

    def __init__(
        self, line: Line, sink: Sink, counters: SideDoorCounters, most: int, on_full: Callable[[], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._line, self._sink, self._counters = line, sink, counters
        self._most, self._on_full = most, on_full
        self._acks = AckQueue(self._acks_due)
        self._settling = False
        self._congested = False

    def room(self) -> int:
        """How many messages more it may hold; none while the sink has no room."""
        if not self._congested and self._sink.crowded(UNAUTHENTICATED):
            self._congested = True
            self._counters.congestion_pauses += 1
            self._sink.on_relief(self._on_relief)
        return 0 if self._congested else self._most - len(self._acks)

    def _on_relief(self) -> None:
        self._congested = False
        self._loop.call_soon(self._line.go_on)  # not at once: this may be the middle of parsing

    def take_one(self, topic: str, identifier: bytes, payload: bytes) -> None:
        """A message to any topic. `identifier` is empty with QoS 0."""
        target = target_of(topic)
        if target is not None:
            self.take(target, identifier, [payload], len(payload))
            return
        self._counters.foreign_topics += 1
        if identifier:
            self._acks.expect(identifier, 0).done([Verdict.REJECTED])

    def take(self, target: Target, identifiers: bytes, payloads: list[bytes], size: int) -> None:
        """Messages to one topic, as they came with one read."""
        ack, now_us = self._acks.expect(identifiers, size), time.time_ns() // 1000
        self._counters.messages += len(payloads)
        self._sink.submit(
            Inbound(target.source, False, target.channel, target.kind, payloads, size, now_us, "side", ack.done)
        )

    def _acks_due(self) -> None:
        """A verdict came. One write for all that come in the same turn of the loop."""
        if not self._settling:
            self._settling = True
            self._loop.call_soon(self._settle)

    def _settle(self) -> None:
        """Acknowledge in order, up to what the disk bound refused: that stays with the broker."""
        self._settling = False
        stored, full = b"", False
        for ack in () if self._line.closing else self._acks.settled():
            verdicts = ack.verdicts or []
            full = bool(ack.identifiers) and Verdict.QUOTA_EXCEEDED in verdicts
            stored += ack.identifiers[: 2 * verdicts.index(Verdict.QUOTA_EXCEEDED)] if full else ack.identifiers
            if full:
                break
        if stored:
            self._counters.acknowledged += len(stored) // 2
            self._line.send(b"".join(pubacks(stored)))
        if full:
            self._on_full()
        self._line.go_on()
