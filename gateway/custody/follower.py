"""Follows the log: each EPCIS event of this company is taken once, with the position behind it, in one transaction.

Events that partners handed over are in the log too, under sources of their own; they are their companies' transitions.
"""

import logging
from contextlib import suppress
from hashlib import sha256

from chain.errors import LogError
from chain.log.proofs import root_at
from chain.record import parts
from chain.site import SiteReader
from crypto import cbor
from crypto.merkle import EMPTY_ROOT
from gateway.custody.database import Store
from gateway.custody.errors import CustodyError
from gateway.custody.exceptions.labels import PRODUCTION_KIND, Labels
from gateway.custody.handover.book import Book
from gateway.custody.lots import COMMISSION, Lots
from gateway.custody.names import is_container, is_lot
from gateway.custody.tasks import TOO_LATE, Task, Tasks
from gateway.custody.transitions import Transitions
from gateway.epcis.event import Event, read_event
from gateway.epcis.meaning import meaning, says_the_same
from gateway.events.follower import EPCIS_KIND
from gateway.events.schema import PARTNER
from gateway.index.following import stored_events

log = logging.getLogger(__name__)
STEP = 64  # leaves at once: an event may have 60 KB
READ = "read"  # the name of a task whose event could not be read


def source_of(organisation: str) -> str:
    """The source in this log under which a partner's events stand."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in organisation.lower())
    return (PARTNER + plain)[:64]


class Follower:
    """Use it from one thread at a time."""

    def __init__(
        self, store: Store, reader: SiteReader, transitions: Transitions, lots: Lots, tasks: Tasks, book: Book
    ) -> None:
        """CustodyError where custody.db followed another log than this one."""
        self._store, self._reader, self._transitions, self._tasks = store, reader, transitions, tasks
        self._lots, self._book = lots, book
        self.labels: Labels | None = None  # told by whoever makes it
        self.unread = 0  # events whose payload does not open here
        self._require_same_history()

    @property
    def position(self) -> int:
        with self._store.reading() as db:
            row = db.execute("SELECT next_leaf FROM position").fetchone()
        return int(row[0]) if row else 0

    def step(self) -> int:
        """Take up to 64 more records; how many, 0 at the end of the log."""
        start, size = self.position, self._reader.entries.size()
        stop = min(size, start + STEP)
        if start == stop:
            return 0
        leaves, scans = [], list[int]()
        for leaf, entry in enumerate(self._reader.entries.entries(start, stop), start):
            source, (kind, *_) = parts(entry)
            if kind == EPCIS_KIND and not source.startswith(PARTNER):
                leaves.append(leaf)
            elif kind == PRODUCTION_KIND and self.labels:
                scans.append(leaf)
        watched = self.labels if scans and self.labels and self.labels.wanted else None
        with self._store.transaction() as tx:
            opened = 0
            for leaf, stored in stored_events(self._reader, leaves):
                opened += 1
                self._take(leaf, cbor.unpack(stored.event)[9])
            if watched:
                for leaf, stored in stored_events(self._reader, scans):
                    watched.scanned(stored.event, leaf)
            root = root_at(self._reader.entries, stop)
            tx.execute("INSERT OR REPLACE INTO position VALUES (0, ?, ?)", (stop, root))
        self.unread += len(leaves) - opened
        return stop - start

    def again(self, task: Task) -> None:
        """A part of an event that could not be done when it was taken. CustodyError where it cannot be read now."""
        stored = self._reader.stored(task.leaf)
        if stored is None:
            raise CustodyError("the event does not open here any more, so nothing can follow from it")
        payload, (_, name, _, place) = cbor.unpack(stored.event)[9], task.detail
        if name == READ:
            self._take(task.leaf, payload)
        else:
            self._transitions.again(read_event(payload), task.leaf, name, place)

    def _take(self, leaf: int, payload: bytes) -> None:
        try:
            event = read_event(payload)
        except Exception as e:  # it was checked before it was logged: by another version, or not by this program
            self._tasks.refuse_at_once(leaf, READ, (), f"the event cannot be read: {e!r}", "malformed")
            return
        before = self._record_of(event, payload)
        if event.error is not None:
            self._declared(event, leaf, before)
        elif before is None:
            named = [thing.uri for thing in event.things if is_container(thing.uri) or is_lot(thing.uri)]
            self._see(event, payload, leaf)
            self._book.mention([*named, event.hash_id], leaf)
            self._transitions.take(event, leaf)

    def _record_of(self, event: Event, payload: bytes) -> int | None:
        """The record that says what this event does; None where none does. Of an erased one the hash alone tells."""
        first = self._seen(event.hash)
        if first is None:
            return None
        stored = self._reader.stored(first)
        if stored is None or says_the_same(cbor.unpack(stored.event)[9], payload):
            return first
        return self._seen(_exact(event, payload))

    def _seen(self, key: bytes) -> int | None:
        with self._store.reading() as db:
            row = db.execute("SELECT leaf FROM seen WHERE hash = ?", (key,)).fetchone()
        return row and int(row[0])

    def _see(self, event: Event, payload: bytes, leaf: int) -> None:
        """By its hash or, where another event has that, by what it says too."""
        with self._store.transaction() as tx:
            if not tx.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (event.hash, leaf)).rowcount:
                tx.execute("INSERT INTO seen VALUES (?, ?)", (_exact(event, payload), leaf))

    def _declared(self, event: Event, leaf: int, before: int | None) -> None:
        """An event is declared erroneous: what the ledger was not told is not done, and the rest is told to people."""
        if before is None:
            return
        ended, taken = self._tasks.void(before)
        for task in ended:
            if task.name == COMMISSION:
                self._lots.reopen(task.detail[0])
        if taken:
            said = f"record {before} is declared erroneous, but the ledger was told already; correct it by events"
            things = [thing.uri for thing in event.things]
            self._tasks.refuse_at_once(leaf, "declare", things, said, TOO_LATE)

    def _require_same_history(self) -> None:
        with self._store.reading() as db:
            row = db.execute("SELECT next_leaf, root FROM position").fetchone()
        if row is None:
            return
        with suppress(LogError):
            if row[1] == (root_at(self._reader.entries, row[0]) if row[0] else EMPTY_ROOT):
                return
        raise CustodyError(
            f"custody.db followed another log than this one, or this one further than it goes now ({row[0]:,} records);"
            " restore both from one backup"
        )


def _exact(event: Event, payload: bytes) -> bytes:
    return sha256(event.hash + meaning(payload)).digest()
