"""Content hashes of events that are stored but not sealed yet, so that checking a seal reads no disk.

A cache and nothing more: what is not here is read from the log. Bounded over all sources.
"""

from bisect import bisect_right
from collections import OrderedDict

from msgspec import Struct

from crypto.merkle import HASH_BYTES

MAX_HASHES = 262_144  # 32 bytes each
BOOT, RUN = 16, 4  # what a boot and a run take beside their hashes, in hashes
JOINED_BYTES = 64 * HASH_BYTES  # runs that follow one another are joined up to here: a longer one costs more to copy


class _Boot(Struct):
    """Runs of hashes by their first numbers, in order; they do not overlap."""

    firsts: list[int] = []
    runs: list[bytes] = []
    count: int = 0


class RecentHashes:
    """Joined hashes by (source, boot) and number; whole boots are dropped, least recently used first."""

    def __init__(self, bound: int = MAX_HASHES) -> None:
        self._bound = bound
        self._count = 0
        self._boots: OrderedDict[tuple[str, int], _Boot] = OrderedDict()

    def hashes_between(self, source: str, boot: int, first: int, end: int) -> bytes:
        """Hashes from this number on up to another, as far as they are one run; empty where it is not known."""
        known = self._boots.get((source, boot))
        at = bisect_right(known.firsts, first) - 1 if known else -1
        if known is None or at < 0:
            return b""
        start = known.firsts[at]
        return known.runs[at][(first - start) * HASH_BYTES : (end - start) * HASH_BYTES]

    def add(self, source: str, boot: int, first: int, hashes: bytes) -> None:
        """Hashes of freshly stored numbers."""
        known = self._boots.get((source, boot))
        if known is None:
            known = self._boots[source, boot] = _Boot()
            self._add(known, BOOT)
        at = bisect_right(known.firsts, first)
        before = known.runs[at - 1] if at else b""
        if at and len(before) < JOINED_BYTES and known.firsts[at - 1] + len(before) // HASH_BYTES == first:
            known.runs[at - 1] += hashes
        else:
            known.firsts.insert(at, first)
            known.runs.insert(at, hashes)
            self._add(known, RUN)
        self._add(known, len(hashes) // HASH_BYTES)
        self._boots.move_to_end((source, boot))
        while self._count > self._bound:
            self._count -= self._boots.popitem(last=False)[1].count

    def sealed(self, source: str, boot: int, below: int) -> None:
        """Forget what a seal now covers."""
        known = self._boots.get((source, boot))
        if known is None:
            return
        gone = 0
        while gone < len(known.runs) and known.firsts[gone] + len(known.runs[gone]) // HASH_BYTES <= below:
            self._add(known, -(len(known.runs[gone]) // HASH_BYTES) - RUN)
            gone += 1
        del known.firsts[:gone], known.runs[:gone]
        if not known.runs:
            self._count -= self._boots.pop((source, boot)).count

    def _add(self, known: _Boot, count: int) -> None:
        known.count += count
        self._count += count
