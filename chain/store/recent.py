"""Segments that were opened a moment ago, so that their neighbours' readers need not open them again.

Bounded in bytes, because a segment may be of one reading or of a thousand events with a thousand things each; what is
in memory is some times its bytes. Every reader of a site has its own, and a gateway has a dozen readers.
"""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from chain.store.segment import Segment

MOST_SEGMENTS = 64
MOST_BYTES = 2 * 2**20


class RecentSegments:
    """The segments that were asked for last. Safe to call from several threads."""

    def __init__(self, load: Callable[[int], Segment]) -> None:
        self._load = load
        self._held: OrderedDict[int, Segment] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def get(self, first_leaf: int) -> Segment:
        """The segment that begins there. Raises what opening it raises."""
        with self._lock:
            found = self._held.get(first_leaf)
            if found is not None:
                self._held.move_to_end(first_leaf)
                return found
        segment = self._load(first_leaf)
        with self._lock:
            self._keep(segment)
        return segment

    def forget(self) -> None:
        """Some were erased."""
        with self._lock:
            self._held.clear()
            self._bytes = 0

    def _keep(self, segment: Segment) -> None:
        """The last one stays whatever its size: it is asked for once for each of its events."""
        if segment.first_leaf not in self._held:
            self._held[segment.first_leaf] = segment
            self._bytes += segment.size
        while len(self._held) > 1 and (len(self._held) > MOST_SEGMENTS or self._bytes > MOST_BYTES):
            self._bytes -= self._held.popitem(last=False)[1].size
