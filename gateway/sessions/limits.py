"""The bounds of sessions, what they count, and the budget of handshakes: looked at before any cryptography."""

from dataclasses import dataclass

MAX_BUCKETS = 100_000  # as many as there may be sources


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Times in seconds."""

    session_s: int = 3600  # then the device makes a new one
    sessions: int = 10_000  # of the gateway; the one that was quiet longest gives way
    sessions_per_source: int = 2  # the one in use and the one that follows
    half_open: int = 1024  # handshakes that wait for their third message; one more takes the oldest's place
    half_open_s: float = 30.0
    tries: int = 4  # third messages of one handshake; wrong ones are passed over
    per_second: float = 100.0  # handshakes of all sources together, with bursts of two seconds
    source_burst: float = 6.0  # handshake messages of one source at once,
    source_every_s: float = 5.0  # and then one in so many seconds
    hints_every_s: float = 1.0  # to a source that sends frames of an unknown session


@dataclass(slots=True)
class SessionCounters:
    """Since the start. Written on the event loop's thread only."""

    handshakes: int = 0  # that became sessions
    refused: int = 0  # handshake messages that failed
    limited: int = 0  # handshake messages over the budget, dropped unread
    opened: int = 0  # frames
    unknown: int = 0  # frames of a session that is not here (any more)
    repeated: int = 0  # frames that came before
    false: int = 0  # frames that do not open


class Bucket:
    """Tokens that come back with time."""

    __slots__ = ("_burst", "_every_s", "_left", "_seen_s")

    def __init__(self, burst: float, every_s: float, now_s: float) -> None:
        self._burst, self._every_s = burst, every_s
        self._left, self._seen_s = burst, now_s

    def take(self, now_s: float) -> bool:
        """One token, if there is one."""
        self._left = min(self._burst, self._left + (now_s - self._seen_s) / self._every_s)
        self._seen_s = now_s
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Budget:
    """A bucket for each source. First the source's, so that one that asks too often costs the others nothing."""

    def __init__(self, burst: float, every_s: float, whole: Bucket | None = None) -> None:
        self._burst, self._every_s, self._whole = burst, every_s, whole
        self._buckets: dict[str, Bucket] = {}

    def take(self, source: str, now_s: float) -> bool:
        bucket = self._buckets.get(source)
        if bucket is None:
            if len(self._buckets) >= MAX_BUCKETS:
                self._buckets.clear()
            bucket = self._buckets[source] = Bucket(self._burst, self._every_s, now_s)
        return bucket.take(now_s) and (self._whole is None or self._whole.take(now_s))
