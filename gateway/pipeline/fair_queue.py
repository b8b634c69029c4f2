"""What waits for the committer, in lanes, so that whoever floods delays himself and nobody else.

A lane is an authenticated source, or all that came by a door that authenticates nobody. A batch takes from the lanes
in turn. A lane may hold as many bytes as are free (dynamic thresholds: Choudhury and Hahne, IEEE/ACM Transactions on
Networking 6(2), 1998): alone it gets half of the bound, beside n others one part of n + 2, and some room always stays
for who has little. Holds untrusted payloads, looks at their length only. The owner brings the lock.
"""

from collections import deque
from typing import Final

from gateway.ingest.inbound import Inbound

OVERHEAD_BYTES: Final = 256  # what a message costs beside its payload
TURN_BYTES: Final = 16 * 1024  # what a lane may add before it is the next one's turn


class _Lane:
    __slots__ = ("inbounds", "size")

    def __init__(self) -> None:
        self.inbounds: deque[Inbound] = deque()
        self.size = 0


class FairQueue:
    """Messages by lane, bounded by bytes: whoever puts in asks `crowded` and `full` before reading more."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._lanes: dict[str, _Lane] = {}  # in the order of their turns; none is empty
        self.size = 0  # bytes, of all lanes

    def __bool__(self) -> bool:
        return bool(self._lanes)

    @property
    def full(self) -> bool:
        """Over the bound."""
        return self.size > self._bound

    @property
    def relieved(self) -> bool:
        """Half empty: who stopped may go on."""
        return self.size <= self._bound // 2

    def crowded(self, lane: str) -> bool:
        """This lane holds its share. Always true while the queue is full."""
        waiting = self._lanes.get(lane)
        return (waiting.size if waiting else 0) > self._bound - self.size

    def put(self, inbound: Inbound) -> None:
        """Add to the end of its lane."""
        lane = self._lanes.get(inbound.lane)
        if lane is None:
            lane = self._lanes[inbound.lane] = _Lane()
        size = _weight(inbound)
        lane.inbounds.append(inbound)
        lane.size += size
        self.size += size

    def take(self, size: int) -> list[Inbound]:
        """Remove messages of about `size` bytes, from each lane in turn, each lane's in their order."""
        taken: list[Inbound] = []
        start = self.size
        while self._lanes and start - self.size < size:
            name = next(iter(self._lanes))
            lane = self._lanes.pop(name)
            self._take_turn(lane, taken)
            if lane.inbounds:
                self._lanes[name] = lane
        return taken

    def _take_turn(self, lane: _Lane, taken: list[Inbound]) -> None:
        before = lane.size
        while lane.inbounds and before - lane.size < TURN_BYTES:
            inbound = lane.inbounds.popleft()
            lane.size -= _weight(inbound)
            taken.append(inbound)
        self.size -= before - lane.size


def _weight(inbound: Inbound) -> int:
    """Bytes in memory, about."""
    return inbound.size + OVERHEAD_BYTES * len(inbound.payloads)
