"""Acknowledgements of one connection in the order of its messages (MQTT-4.6.0-2).

Verdicts may come in any order; an acknowledgement leaves only when all before it have theirs. Holds no
untrusted data but packet identifiers.
"""

from collections import deque
from collections.abc import Callable

from gateway.ingest.inbound import Verdict


class Ack:
    """Messages that wait for their verdicts together. `identifiers` are joined, two bytes each; a single message
    with QoS 0 has none. `size` is their payloads in bytes."""

    __slots__ = ("_wake", "count", "identifiers", "size", "verdicts")

    def __init__(self, identifiers: bytes, size: int, wake: Callable[[], None]) -> None:
        self.identifiers = identifiers
        self.count = len(identifiers) // 2 or 1
        self.size = size
        self.verdicts: list[Verdict] | None = None
        self._wake = wake

    def done(self, verdicts: list[Verdict]) -> None:
        """The pipeline's word, a verdict for each. The first word counts."""
        if self.verdicts is None:
            self.verdicts = verdicts
            self._wake()

    @property
    def stored(self) -> bool:
        """Whether all have the verdict STORED."""
        return self.verdicts is not None and self.verdicts.count(Verdict.STORED) == len(self.verdicts)


class AckQueue:
    """The messages of one connection that are handed on and not acknowledged yet."""

    __slots__ = ("_count", "_pending", "_wake", "size", "unacked")

    def __init__(self, wake: Callable[[], None]) -> None:
        self._pending: deque[Ack] = deque()
        self._wake = wake
        self._count = 0
        self.size = 0  # bytes of payload
        self.unacked = 0  # messages with QoS 1

    def __len__(self) -> int:
        return self._count

    def expect(self, identifiers: bytes, size: int) -> Ack:
        """Add messages at the end. `size` is their payloads in bytes."""
        ack = Ack(identifiers, size, self._wake)
        self._pending.append(ack)
        self._count += ack.count
        self.size += size
        self.unacked += len(identifiers) // 2
        return ack

    def settled(self) -> list[Ack]:
        """Remove and return the longest prefix in which every message has its verdict."""
        out = []
        pending = self._pending
        while pending and pending[0].verdicts is not None:
            ack = pending.popleft()
            self._count -= ack.count
            self.size -= ack.size
            self.unacked -= len(ack.identifiers) // 2
            out.append(ack)
        return out

    def clear(self) -> None:
        """Forget all: the connection is gone, and the peer will send again what it has no answer for."""
        self._pending.clear()
        self._count = self.size = self.unacked = 0
