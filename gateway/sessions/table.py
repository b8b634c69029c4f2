"""Open sessions and half-open handshakes, in memory only: a restart forgets them, and no nonce is ever read again.

Bounded: by source, in number, in time. Event loop's thread only.
"""

from collections import OrderedDict

from msgspec import Struct

from crypto.session.handshake import GatewayHandshake, Session
from gateway.sessions.limits import SessionLimits

_GRACE = 1.25  # of a session's time, in which the device makes the next one


class Live(Struct):
    """An open session: by which door its device was heard last, and when it ends (monotonic seconds)."""

    session: Session
    door: str
    ends_s: float


class HalfOpen(Struct):
    """A handshake that waits for its third message."""

    handshake: GatewayHandshake
    source: str
    until_s: float
    tries: int  # third messages that it may still meet


class SessionTable:
    """Sessions by their names, the one that was quiet longest first."""

    def __init__(self, limits: SessionLimits) -> None:
        self._limits = limits
        self._live: OrderedDict[bytes, Live] = OrderedDict()
        self._of_source: dict[str, list[bytes]] = {}  # oldest first
        self._active: dict[str, bytes] = {}  # in which a source was heard last

    def __len__(self) -> int:
        return len(self._live)

    def add(self, session: Session, door: str, now_s: float) -> None:
        """A new session; the oldest of its source that is not in use goes, and of all, where there are too many."""
        names = self._of_source.setdefault(session.source, [])
        while len(names) >= self._limits.sessions_per_source:
            in_use = self._active.get(session.source)
            self._remove(next((sid for sid in names if sid != in_use), names[0]))
            names = self._of_source.setdefault(session.source, [])
        while len(self._live) >= self._limits.sessions:
            self._remove(next(iter(self._live)))
            names = self._of_source.setdefault(session.source, [])
        names.append(session.sid)
        self._live[session.sid] = Live(session, door, now_s + session.terms.session_s * _GRACE)

    def find(self, sid: bytes, source: str, now_s: float) -> Live | None:
        """The session of this name, if it is this source's and not over."""
        live = self._live.get(sid)
        if live is None or live.session.source != source:
            return None
        if now_s >= live.ends_s:
            self._remove(sid)
            return None
        return live

    def heard(self, live: Live, door: str) -> None:
        """A frame of it opened: answers go this way, and older sessions of the source are over."""
        sid, source = live.session.sid, live.session.source
        if sid not in self._live:
            return  # its follower was heard in the same moment
        live.door = door
        self._live.move_to_end(sid)
        if self._active.get(source) != sid:
            self._active[source] = sid
            names = self._of_source[source]
            for older in names[: names.index(sid)]:
                self._remove(older)

    def active(self, source: str) -> Live | None:
        """The session in which this source was heard last."""
        sid = self._active.get(source)
        return self._live.get(sid) if sid else None

    def tidy(self, now_s: float) -> None:
        """Forget the keys of what is over."""
        for sid in [sid for sid, live in self._live.items() if now_s >= live.ends_s]:
            self._remove(sid)

    def drop(self, source: str) -> None:
        """End all sessions of a source."""
        for sid in list(self._of_source.get(source, ())):
            self._remove(sid)

    def _remove(self, sid: bytes) -> None:
        source = self._live.pop(sid).session.source
        names = self._of_source[source]
        names.remove(sid)
        if not names:
            del self._of_source[source]
        if self._active.get(source) == sid:
            del self._active[source]


class HalfOpenTable:
    """Handshakes by the names of the sessions that may come of them, oldest first."""

    def __init__(self, limits: SessionLimits) -> None:
        self._limits = limits
        self._waiting: OrderedDict[bytes, HalfOpen] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, handshake: GatewayHandshake, source: str, now_s: float) -> None:
        """One more; what is over goes, and the oldest where there are too many."""
        while self._waiting:
            oldest = next(iter(self._waiting.values()))
            if oldest.until_s > now_s and len(self._waiting) < self._limits.half_open:
                break
            self._waiting.popitem(last=False)
        self._waiting[handshake.sid] = HalfOpen(
            handshake, source, now_s + self._limits.half_open_s, self._limits.tries
        )  # fmt: skip

    def take(self, sid: bytes, source: str, now_s: float) -> GatewayHandshake | None:
        """The handshake of this name and source, for one try of a third message: the name was on the wire, so a wrong
        one may be anybody's, and must not end it."""
        waiting = self._waiting.get(sid)
        if waiting is None or waiting.source != source:
            return None
        waiting.tries -= 1
        if not waiting.tries or waiting.until_s <= now_s:
            del self._waiting[sid]
        return waiting.handshake if waiting.until_s > now_s else None

    def end(self, sid: bytes) -> None:
        """It became a session."""
        self._waiting.pop(sid, None)

    def tidy(self, now_s: float) -> None:
        """Forget the secrets of what is over."""
        for sid in [sid for sid, waiting in self._waiting.items() if now_s >= waiting.until_s]:
            del self._waiting[sid]

    def drop(self, source: str) -> None:
        """Forget those of a source."""
        for sid in [sid for sid, waiting in self._waiting.items() if waiting.source == source]:
            del self._waiting[sid]
