"""Acknowledgements of one connection in the order of its messages (MQTT-4.6.0-2).

Verdicts may come in any order; an acknowledgement leaves only when all before it have theirs. Holds no
untrusted data but packet identifiers.
"""

from collections import deque
from collections.abc import Callable

from gateway.ingest.inbound import Verdict


class Ack:
    """One message that waits for its verdict. `identifier` is empty for QoS 0."""

    __slots__ = ("_wake", "identifier", "size", "verdict")

    def __init__(self, identifier: bytes, size: int, wake: Callable[[], None]) -> None:
        self.identifier = identifier
        self.size = size
        self.verdict: Verdict | None = None
        self._wake = wake

    def done(self, verdict: Verdict) -> None:
        """The pipeline's word. The first one counts."""
        if self.verdict is None:
            self.verdict = verdict
            self._wake()


class AckQueue:
    """The messages of one connection that are handed on and not acknowledged yet."""

    __slots__ = ("_pending", "_wake", "size", "unacked")

    def __init__(self, wake: Callable[[], None]) -> None:
        self._pending: deque[Ack] = deque()
        self._wake = wake
        self.size = 0  # bytes of payload
        self.unacked = 0  # messages with QoS 1

    def __len__(self) -> int:
        return len(self._pending)

    def expect(self, identifier: bytes, size: int) -> Ack:
        """Add a message at the end. `size` is its payload in bytes."""
        ack = Ack(identifier, size, self._wake)
        self._pending.append(ack)
        self.size += size
        if identifier:
            self.unacked += 1
        return ack

    def settled(self) -> list[Ack]:
        """Remove and return the longest prefix in which every message has its verdict."""
        out = []
        pending = self._pending
        while pending and pending[0].verdict is not None:
            ack = pending.popleft()
            self.size -= ack.size
            if ack.identifier:
                self.unacked -= 1
            out.append(ack)
        return out

    def clear(self) -> None:
        """Forget all: the connection is gone, and the peer will send again what it has no answer for."""
        self._pending.clear()
        self.size = self.unacked = 0
