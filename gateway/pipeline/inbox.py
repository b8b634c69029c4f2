"""What waits between the doors, on the event loop, and the committer, in a thread of its own.

Few large commits cost less than many small ones, and both sides share the interpreter's lock. So the committer is
called once for all that a turn of the loop reads, waits a moment for those whom it has just answered, and while it is
at work the loop reads once a millisecond. Bounded by bytes; holds untrusted payloads, looks at their length only.
"""

import asyncio
import threading
import time
from collections.abc import Callable

from gateway.ingest.inbound import Inbound
from gateway.pipeline.fair_queue import FairQueue

READ_EVERY_S = 0.001  # while the committer is at work
PATIENCE_S = 0.0003  # how long a batch that is smaller than the last one waits for more


class Inbox:
    """A fair queue between two threads. Implements gateway.ingest.inbound.Sink."""

    def __init__(self, loop: asyncio.AbstractEventLoop, bound: int) -> None:
        self._loop = loop
        self._queue = FairQueue(bound)
        self._changed = threading.Condition()
        self._relief: list[Callable[[], None]] = []
        self._calling = False
        self._at_work = False  # the committer is, between two calls of `take`
        self._closed = False
        self._last_size = 0  # of the last batch, bytes

    # -- on the event loop's thread

    def submit(self, inbound: Inbound) -> None:
        """See Sink."""
        with self._changed:
            self._queue.put(inbound)
        if not self._calling:
            self._calling = True
            self._loop.call_soon(self._call)

    def _call(self) -> None:
        """A turn of the loop ends in which something came."""
        self._calling = False
        with self._changed:
            self._changed.notify_all()
            if self._at_work:
                self._changed.wait(READ_EVERY_S)

    def congested(self) -> bool:
        """See Sink."""
        return self._queue.full

    def crowded(self, lane: str) -> bool:
        """See Sink."""
        return self._queue.crowded(lane)

    def on_relief(self, wake: Callable[[], None]) -> None:
        """See Sink."""
        with self._changed:
            self._relief.append(wake)
            self._changed.notify_all()

    @property
    def at_work(self) -> bool:
        """Whether the committer has taken what it has not committed yet."""
        return self._at_work

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self._queue.size

    def close(self) -> None:
        """Nothing comes any more; `take` gives what is there."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    # -- on the committer's thread

    def take(self, most: int, wait_s: float) -> list[Inbound] | None:
        """The next batch, about `most` bytes; empty after so many seconds without any, None at the end."""
        with self._changed:
            self._at_work = False
            self._changed.notify_all()
            if not self._queue and not self._closed:
                self._changed.wait(wait_s)
            if not self._queue and self._closed:
                return None
            self._wait_for_more()
            before = self._queue.size
            taken = self._queue.take(most)
            self._last_size = before - self._queue.size
            self._at_work = True
            wake, self._relief = (self._relief, []) if self._queue.relieved else ([], self._relief)
        for call in wake:
            self._loop.call_soon_threadsafe(call)
        return taken

    def _wait_for_more(self) -> None:
        """Who was just answered often sends again at once."""
        until = time.monotonic() + PATIENCE_S
        while 0 < self._queue.size < self._last_size and (left := until - time.monotonic()) > 0:
            self._changed.wait(left)
