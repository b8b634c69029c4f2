"""Events that were opened a moment ago, by their bytes, for whoever needs them next: each is opened once on its way.

What capture over REST has checked and read goes through the pipeline as bytes, whose kind would check and read it
again. An event here came out of these very bytes by the same rules; what is not here is opened anew.
"""

from threading import Lock

from gateway.epcis.event import Event

MAX_EVENTS = 4096
MAX_BYTES = 4 * 2**20  # of their payloads; in memory they have some ten times as many


class Opened:
    """Bounded: the oldest goes. Safe to call from several threads."""

    def __init__(self) -> None:
        self._events: dict[bytes, Event] = {}
        self._nbytes, self._lock = 0, Lock()

    def put(self, payload: bytes, event: Event) -> None:
        """`event` is what `open_event` makes of these bytes."""
        with self._lock:
            if payload not in self._events:
                self._nbytes += len(payload)
                self._events[payload] = event
            while len(self._events) > MAX_EVENTS or self._nbytes > MAX_BYTES:
                oldest = next(iter(self._events))
                self._nbytes -= len(oldest)
                del self._events[oldest]

    def take(self, payload: bytes) -> Event | None:
        """It is not here any more then."""
        with self._lock:
            found = self._events.pop(payload, None)
            if found is not None:
                self._nbytes -= len(payload)
            return found


OPENED = Opened()
