"""Which events are in the log already, so that one that comes again is not stored twice.

The event index answers for what it holds. It follows the log by moments, so what was captured here since is remembered
beside it. What the index held once it must hold: after a start, or while it is built again, nothing is captured until
it does. Two events are the same where their hashes are (CBV 2.0 section 8.9), they say the same (different events may
have one hash: gateway.epcis.meaning), and the later one brings no eventID that the earlier one has not. A declaration
that an event was an error has that event's hash, and is the same as one with the same declaration. What a stored event
said is not known once it was erased, or where it is sealed; then the hash alone tells.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec

from gateway.capture.errors import BusyCaptureError
from gateway.epcis.event import Event
from gateway.epcis.event_hash import hash_id
from gateway.epcis.meaning import meaning
from gateway.epcis.opened import OPENED
from gateway.events.view import EventsView, EventsViews
from gateway.query.errors import NotFoundError, NotIndexedError

MAX_RECENT = 500_000  # events, of some 200 bytes each
_MAX_ALIKE = 100  # stored events of one hash that are looked at


@dataclass(frozen=True, slots=True)
class Candidate:
    """An event that may be stored: its bytes, its hash, the eventID where it is not that hash, and the digest of its
    error declaration, empty where it has none."""

    payload: bytes
    hash: bytes
    own_id: str | None
    declared: bytes

    @classmethod
    def of(cls, payload: bytes, event: Event) -> "Candidate":
        OPENED.put(payload, event)  # the pipeline will ask for it
        own_id = None if event.event_id == event.hash_id else event.event_id
        return cls(payload, event.hash, own_id, _digest(event.body.get("errorDeclaration")))

    @property
    def name(self) -> str:
        """Its eventID, or that which its hash gives it."""
        return self.own_id or hash_id(self.hash)

    @property
    def key(self) -> bytes:
        """Equal for events that differ by eventID at most, and for others that have one hash."""
        return self.hash + self.declared

    @property
    def exact(self) -> bytes:
        """Equal for events that differ by eventID at most."""
        return self.key + meaning(self.payload)


class Known:
    """Used by one task at a time; `look` on a thread of its own."""

    def __init__(self, views: EventsViews, start_size: int) -> None:
        """`start_size`: entries of the log when the gateway started."""
        self._views, self._least = views, start_size  # what the index must hold before anything is said of it
        self._recent: dict[bytes, list[tuple[int, str | None]]] = {}  # records and their own eventIDs, by key
        self._order: list[tuple[int, bytes]] = []  # leaves of what is in _recent, ascending
        self._indexed = 0

    def look(self, candidates: Sequence[Candidate]) -> list[int | None]:
        """For each its record, where it is stored; blocking. BusyCaptureError while that cannot be known."""
        with self._view() as view:
            stored = _Stored(view)
            return [self._found(stored, candidate) for candidate in candidates]

    def stored_since(self, hashes: Iterable[bytes], since: int) -> list[int]:
        """Records from `since` on with one of these hashes, as many at most as it stands there; like `look`."""
        query = "SELECT leaf FROM event WHERE hash = ? AND leaf >= ? ORDER BY leaf LIMIT ?"
        with self._view() as view:
            run = view.events.connection.execute
            return sorted(leaf for one, times in Counter(hashes).items() for (leaf,) in run(query, (one, since, times)))

    def add(self, stored: Iterable[tuple[Candidate, int]]) -> None:
        """What is in the log now, by ascending record. Forgets what the index holds meanwhile."""
        for candidate, leaf in stored:
            self._recent.setdefault(candidate.key, []).append((leaf, candidate.own_id))
            self._order.append((leaf, candidate.key))
        held = next((at for at, (leaf, _) in enumerate(self._order) if leaf >= self._indexed), len(self._order))
        for leaf, key in self._order[:held]:
            left = [one for one in self._recent.get(key, ()) if one[0] != leaf]
            if left:
                self._recent[key] = left
            else:
                self._recent.pop(key, None)
        del self._order[:held]

    def require_room(self) -> None:
        """BusyCaptureError where the index is too far behind for more."""
        if len(self._order) >= MAX_RECENT:
            raise BusyCaptureError(f"the event index is {len(self._order):,} events behind; try again in some seconds")

    @contextmanager
    def _view(self) -> Iterator[EventsView]:
        try:
            view = self._views.take()
        except NotIndexedError as e:
            raise BusyCaptureError(str(e)) from e
        try:
            with view.events.snapshot():  # nobody empties it between two questions
                self._indexed = self._up_to_date(view)
                yield view
        except sqlite3.Error as e:
            raise BusyCaptureError(f"the event index cannot be read: {e}; try again in some seconds") from e
        finally:
            self._views.give_back(view)

    def _up_to_date(self, view: EventsView) -> int:
        """How many leaves it holds, which is never less than it did: what was in it is remembered nowhere else."""
        indexed = view.indexed()
        if indexed < self._least:
            behind = self._least - indexed
            raise BusyCaptureError(f"the event index is {behind:,} records behind; try again in some seconds")
        self._least = indexed
        return indexed

    def _found(self, stored: "_Stored", candidate: Candidate) -> int | None:
        for leaf, own_id in self._recent.get(candidate.key, ())[:_MAX_ALIKE]:
            if candidate.own_id in (None, own_id) and stored.says(leaf, candidate):
                return leaf
        return next((leaf for leaf in stored.alike(candidate) if stored.says(leaf, candidate)), None)


class _Stored:
    """Events in the log, each opened once however many ask for it."""

    def __init__(self, view: EventsView) -> None:
        self._view = view
        self._said: dict[int, tuple[bytes, bytes] | None] = {}  # by record: digests of payload and declaration
        self._meanings: dict[bytes, bytes] = {}  # by digest of the payload

    def alike(self, candidate: Candidate) -> Iterator[int]:
        """Records in the index that have the hash and, where the candidate has one, its eventID."""
        query = "SELECT leaf FROM event WHERE hash = ? AND declared = ? ORDER BY leaf LIMIT ?"
        values = candidate.hash, bool(candidate.declared), _MAX_ALIKE
        for (leaf,) in self._view.events.connection.execute(query, values).fetchall():
            if candidate.own_id is None or self._is_named(leaf, candidate.own_id):
                yield int(leaf)

    def says(self, leaf: int, candidate: Candidate) -> bool:
        """Whether this record, alike by its hash, says what the candidate does, and declares what it declares."""
        try:
            said = self._of(leaf)
            own = sha256(candidate.payload).digest()
            return said[1] == candidate.declared and (
                said[0] == own
                or self._meaning(said[0], lambda: self._view.payload(leaf))
                == self._meaning(own, lambda: candidate.payload)
            )
        except NotFoundError:  # erased since, or sealed to others
            return not candidate.declared

    def _is_named(self, leaf: int, event_id: str) -> bool:
        query = "SELECT 1 FROM named WHERE id = ? AND leaf = ?"
        return self._view.events.connection.execute(query, (event_id, leaf)).fetchone() is not None

    def _of(self, leaf: int) -> tuple[bytes, bytes]:
        if leaf not in self._said:
            try:
                payload = self._view.payload(leaf)
                declared = _digest(_DECLARING.decode(payload).error_declaration)
                self._said[leaf] = sha256(payload).digest(), declared
            except NotFoundError:
                self._said[leaf] = None
        if (said := self._said[leaf]) is None:
            raise NotFoundError(f"the event of record {leaf} does not open any more")
        return said

    def _meaning(self, digest: bytes, payload: Callable[[], bytes]) -> bytes:
        if digest not in self._meanings:
            self._meanings[digest] = meaning(payload())
        return self._meanings[digest]


class _Declaring(msgspec.Struct, rename="camel"):
    """Of an event no more than what it declares to be false."""

    error_declaration: Any = None


_DECLARING = msgspec.json.Decoder(_Declaring)


def _digest(said: Any) -> bytes:
    return b"" if said is None else sha256(json.dumps(said, sort_keys=True).encode()).digest()
