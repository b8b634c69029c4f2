"""Which events are in the log already, so that one that comes again is not stored twice.

The event index answers for what it holds. It follows the log by moments, so what was captured here since is remembered
beside it. What the index held once it must hold: after a start, or while it is built again, nothing is captured until
it does. Two events are the same where their hashes are (CBV 2.0 section 8.9) and the later one brings no eventID that
the earlier one has not. A declaration that an event was an error has that event's hash, and is the same as one with the
same declaration.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec

from gateway.capture.errors import BusyCaptureError
from gateway.epcis.event import Event
from gateway.epcis.event_hash import hash_id
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
        """Equal for events that differ by eventID at most."""
        return self.hash + self.declared


class Known:
    """Used by one task at a time; `look` on a thread of its own."""

    def __init__(self, views: EventsViews, start_size: int) -> None:
        """`start_size`: entries of the log when the gateway started."""
        self._views, self._least = views, start_size  # what the index must hold before anything is said of it
        self._recent: dict[bytes, dict[str | None, int]] = {}
        self._order: list[tuple[int, bytes]] = []  # leaves of what is in _recent, ascending
        self._indexed = 0

    def look(self, candidates: Sequence[Candidate]) -> list[int | None]:
        """For each its record, where it is stored; blocking. BusyCaptureError while that cannot be known."""
        declarations: dict[int, bytes] = {}  # by leaf: each is opened once, however many ask for it
        with self._view() as view:
            return [self._found(view, candidate, declarations) for candidate in candidates]

    def stored_since(self, hashes: Iterable[bytes], since: int) -> list[int | None]:
        """For each hash its first record from `since` on; like `look`."""
        query = "SELECT MIN(leaf) FROM event WHERE hash = ? AND leaf >= ?"
        with self._view() as view:
            run = view.events.connection.execute
            return [run(query, (hashed, since)).fetchone()[0] for hashed in hashes]

    def add(self, stored: Iterable[tuple[Candidate, int]]) -> None:
        """What is in the log now, by ascending record. Forgets what the index holds meanwhile."""
        for candidate, leaf in stored:
            self._recent.setdefault(candidate.key, {})[candidate.own_id] = leaf
            self._order.append((leaf, candidate.key))
        held = next((at for at, (leaf, _) in enumerate(self._order) if leaf >= self._indexed), len(self._order))
        for leaf, key in self._order[:held]:
            left = {own_id: at for own_id, at in self._recent.get(key, {}).items() if at != leaf}
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

    def _found(self, view: EventsView, candidate: Candidate, declarations: dict[int, bytes]) -> int | None:
        recent = self._recent.get(candidate.key)
        if recent and candidate.own_id is None:
            return min(recent.values())
        if recent and candidate.own_id in recent:
            return recent[candidate.own_id]
        query = "SELECT leaf FROM event WHERE hash = ? AND declared = ? ORDER BY leaf LIMIT ?"
        values = candidate.hash, bool(candidate.declared), _MAX_ALIKE
        for (leaf,) in view.events.connection.execute(query, values).fetchall():
            if _same_id(view, leaf, candidate) and _same_declaration(view, leaf, candidate, declarations):
                return int(leaf)
        return None


def _same_id(view: EventsView, leaf: int, candidate: Candidate) -> bool:
    if candidate.own_id is None:
        return True
    query = "SELECT 1 FROM named WHERE id = ? AND leaf = ?"
    return view.events.connection.execute(query, (candidate.own_id, leaf)).fetchone() is not None


def _same_declaration(view: EventsView, leaf: int, candidate: Candidate, declarations: dict[int, bytes]) -> bool:
    if not candidate.declared:
        return True
    if leaf not in declarations:
        try:
            declarations[leaf] = _digest(_DECLARING.decode(view.payload(leaf)).error_declaration)
        except NotFoundError:  # erased since, or sealed to others
            declarations[leaf] = b""
    return declarations[leaf] == candidate.declared


class _Declaring(msgspec.Struct, rename="camel"):
    """Of an event no more than what it declares to be false."""

    error_declaration: Any = None


_DECLARING = msgspec.json.Decoder(_Declaring)


def _digest(said: Any) -> bytes:
    return b"" if said is None else sha256(json.dumps(said, sort_keys=True).encode()).digest()
