"""Sessions of clients: their subscriptions, kept in memory for a while after they leave.

A session belongs to a source and a client identifier, so that one source cannot take another's. The table is
lost at restart and clients are told so truthfully (Session Present 0).
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple


class SessionKey(NamedTuple):
    """Whose session it is."""

    source: str
    client_id: str


@dataclass(slots=True)
class Session:
    """Granted topic filters (four exist for a source) and how long to keep them, in seconds."""

    expiry_s: int
    filters: set[str] = field(default_factory=set)
    ends: float = 0.0  # event-loop time, set when the client leaves


class SessionTable:
    """Sessions of absent clients, bounded: the one that left first is forgotten first."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._kept: OrderedDict[SessionKey, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def resume(self, key: SessionKey, clean: bool, expiry_s: int, now: float) -> tuple[Session, bool]:
        """The session for a connecting client, and whether it was present before."""
        kept = self._kept.pop(key, None)
        if kept is None or clean or kept.ends <= now:
            return Session(expiry_s), False
        kept.expiry_s = expiry_s
        return kept, True

    def keep(self, key: SessionKey, session: Session, now: float) -> None:
        """Keep the session of a client that leaves, if it asked for that."""
        if session.expiry_s <= 0:
            return
        session.ends = now + session.expiry_s
        self._kept[key] = session
        if len(self._kept) > self._bound:
            self._kept.popitem(last=False)
