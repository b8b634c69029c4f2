"""Content hashes of events that are stored but not sealed yet, so that checking a seal reads no disk.

A cache and nothing more: what is not here is read from the log. Bounded over all sources.
"""

from collections import OrderedDict

MAX_HASHES = 262_144


class RecentHashes:
    """Hashes by (source, boot) and seq; whole boots are dropped, least recently used first."""

    def __init__(self, bound: int = MAX_HASHES) -> None:
        self._bound = bound
        self._count = 0
        self._boots: OrderedDict[tuple[str, int], dict[int, bytes]] = OrderedDict()

    def of(self, source: str, boot: int) -> dict[int, bytes]:
        return self._boots.get((source, boot), {})

    def add(self, source: str, boot: int, seq: int, content_hash: bytes) -> None:
        hashes = self._boots.setdefault((source, boot), {})
        hashes[seq] = content_hash
        self._count += 1
        self._boots.move_to_end((source, boot))
        while self._count > self._bound:
            self._count -= len(self._boots.popitem(last=False)[1])

    def sealed(self, source: str, boot: int, below: int) -> None:
        """Forget what a seal now covers."""
        hashes = self._boots.get((source, boot), {})
        for seq in [seq for seq in hashes if seq < below]:
            del hashes[seq]
            self._count -= 1
