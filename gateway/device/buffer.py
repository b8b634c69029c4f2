"""The device's memory: every event, on disk before `record` returns, until the gateway has it and its seal.

Holds only what this device made. Nothing waiting is ever overwritten: at its bound the buffer refuses.
Events are recorded here, read and settled by storage.py, sealed by sealer.py; one lock makes
them take turns on the one connection, so that nobody reads what is not committed.
"""

import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chain.errors import DiskFullError, StoreError
from chain.event import BLIND_BYTES, Event, content_hash
from chain.seal import FIRST_PREVIOUS
from chain.store.database import Database
from gateway.device.draft import Draft
from gateway.device.errors import DeviceBufferFullError, DeviceError

ROW_BYTES: Final = 128  # what a row costs beside its content, roughly
WAITING, STORED, REJECTED = 0, 1, 2  # states of an event: the last two are settled and wait for their seal only

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS state (one INTEGER PRIMARY KEY CHECK (one = 1), source TEXT NOT NULL,"
    " boot INTEGER NOT NULL DEFAULT 0, sealed_boot INTEGER NOT NULL DEFAULT 0,"
    " sealed_next INTEGER NOT NULL DEFAULT 0, previous BLOB NOT NULL, recorded INTEGER NOT NULL DEFAULT 0,"
    " acknowledged INTEGER NOT NULL DEFAULT 0, sealed INTEGER NOT NULL DEFAULT 0,"
    " rejected INTEGER NOT NULL DEFAULT 0)",
    "CREATE TABLE IF NOT EXISTS event (boot INTEGER NOT NULL, seq INTEGER NOT NULL, state INTEGER NOT NULL,"
    " hash BLOB NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (boot, seq))",
    "CREATE INDEX IF NOT EXISTS event_waiting ON event (boot, seq) WHERE state = 0",
    "CREATE TABLE IF NOT EXISTS seal (id INTEGER PRIMARY KEY AUTOINCREMENT, boot INTEGER NOT NULL,"
    " first INTEGER NOT NULL, count INTEGER NOT NULL, settled INTEGER NOT NULL DEFAULT 0,"
    " hash BLOB NOT NULL UNIQUE, seal BLOB NOT NULL, signature BLOB NOT NULL)",
    "CREATE INDEX IF NOT EXISTS seal_waiting ON seal (id) WHERE settled = 0",
    "CREATE INDEX IF NOT EXISTS seal_settled ON seal (id) WHERE settled = 1",
    "CREATE TABLE IF NOT EXISTS rejected (id INTEGER PRIMARY KEY AUTOINCREMENT, at_us INTEGER NOT NULL,"
    " reason TEXT NOT NULL, bytes BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS mark (one INTEGER PRIMARY KEY CHECK (one = 1), boot INTEGER NOT NULL,"
    " seq INTEGER NOT NULL, value BLOB NOT NULL)",
)


@dataclass(frozen=True, slots=True)
class Counts:
    """What a device did since it was enrolled, and what it holds now.

    `recorded`, `acknowledged` and `sealed` count events, `rejected` events and seals. `buffered` counts events
    kept, `waiting_seals` seals not acknowledged, `bytes` the room both take.
    """

    boot: int
    recorded: int
    acknowledged: int
    sealed: int
    rejected: int
    buffered: int
    waiting_seals: int
    bytes: int
    last_rejection: str | None


@dataclass(frozen=True, slots=True)
class Mark:
    """What the newest marked call of `record` left beside its events: the number of the first one, and the caller's
    own bytes."""

    boot: int
    seq: int
    value: bytes


@dataclass(slots=True)
class _Ticket:
    """One call of `record` that waits for its commit."""

    drafts: Sequence[Draft]
    mark: bytes | None = None
    first: int = -1
    error: Exception | None = None
    done: bool = False


def create_buffer(path: Path, source: str) -> None:
    """Make the empty buffer of a newly enrolled device; DeviceError where events were already recorded."""
    if not path.exists():
        try:
            connection = sqlite3.connect(path)
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # cannot be set any more once WAL is on
            connection.execute("VACUUM")
            connection.close()
        except sqlite3.Error as e:
            raise StoreError(f"cannot create {path.name} in {path.parent}: {e}") from e
    db = Database(path, _SCHEMA)
    try:
        with db.transaction() as tx:
            tx.execute("INSERT OR IGNORE INTO state (one, source, previous) VALUES (1, ?, ?)", (source, FIRST_PREVIOUS))
            if tx.execute("UPDATE state SET source = ? WHERE boot = 0", (source,)).rowcount != 1:
                raise DeviceError(f"{path} belongs to a device that has recorded; take another folder")
    finally:
        db.close()


class Buffer:
    """The buffer of one start of the device: opening it durably takes the next boot number."""

    def __init__(self, path: Path, source: str, max_events: int, max_bytes: int) -> None:
        if not path.exists():
            raise DeviceError(
                f"{path} is missing: event numbers would start again and be taken for forgeries;"
                " enrol the device anew, in another folder"
            )
        self.db = Database(path, _SCHEMA)
        self.lock = threading.RLock()
        self.source = source
        self._max_events, self._max_bytes = max_events, max_bytes
        self._tickets: deque[_Ticket] = deque()
        self._closed = False
        self.boot = self._next_boot(path)
        self.next_seq = 0
        self.sealed_next = 0  # of this boot, as next_seq is
        self.unsealed_since: float | None = None  # monotonic seconds
        counts = read_counts(self.db.connection)
        self.events, self.bytes = counts.buffered, counts.bytes  # kept up to date by all who add and remove

    def _next_boot(self, path: Path) -> int:
        with self.db.transaction() as tx:
            row = tx.execute("UPDATE state SET boot = boot + 1 RETURNING source, boot").fetchone()
            if row is None or row[0] != self.source:
                raise DeviceError(f"{path} is not the buffer of {self.source}; do not move buffers between devices")
            return int(row[1])

    def record(self, drafts: Sequence[Draft], mark: bytes | None = None) -> int:
        """Number the drafts and write them, all or none; the seq of the first, durable on return.

        Calls from several threads share one sync of the disk (group commit). `mark` replaces the one kept mark in the
        same step, so that a caller knows after a crash what of its own work these events stand for.

        Raises:
            DeviceBufferFullError: the bound is reached, or the disk is full.
            StoreError: the disk failed.
        """
        ticket = _Ticket(drafts, mark)
        self._tickets.append(ticket)
        with self.lock:
            if self._closed:
                raise DeviceError("this device was stopped; open it again to record")
            if not ticket.done:
                self._commit([self._tickets.popleft() for _ in range(len(self._tickets))])
        if ticket.error is not None:
            raise ticket.error
        return ticket.first

    def _commit(self, tickets: list[_Ticket]) -> None:
        """The first thread that gets the lock writes for all that wait behind it."""
        seq, size = self.next_seq, 0
        try:
            with self.db.transaction() as tx:
                for ticket in tickets:
                    rows = self._rows(ticket, seq, size)
                    tx.executemany("INSERT INTO event VALUES (?, ?, 0, ?, ?)", rows)
                    if ticket.mark is not None and ticket.error is None:
                        tx.execute("INSERT OR REPLACE INTO mark VALUES (1, ?, ?, ?)", (self.boot, seq, ticket.mark))
                    seq, size = seq + len(rows), size + sum(len(row[3]) + ROW_BYTES for row in rows)
                tx.execute("UPDATE state SET recorded = recorded + ?", (seq - self.next_seq,))
        except StoreError as e:
            error = DeviceBufferFullError(str(e)) if isinstance(e, DiskFullError) else e
            for ticket in tickets:
                ticket.error = error
        else:
            self.events, self.bytes = self.events + seq - self.next_seq, self.bytes + size
            if self.unsealed_since is None and seq > self.next_seq:
                self.unsealed_since = time.monotonic()
            self.next_seq = seq
        finally:
            for ticket in tickets:
                ticket.done = True

    def _rows(self, ticket: _Ticket, seq: int, size: int) -> list[tuple[int, int, bytes, bytes]]:
        """The table rows of a ticket from `seq` on; none and an error in it where the bound forbids them."""
        rows = []
        for offset, d in enumerate(ticket.drafts):
            blind = os.urandom(BLIND_BYTES)
            event = Event(self.source, self.boot, seq + offset, d.kind, d.schema, d.sensed_us, blind, d.payload)
            encoded = event.encode()
            rows.append((self.boot, seq + offset, content_hash(encoded), encoded))
        events = self.events + seq - self.next_seq + len(rows)
        total = self.bytes + size + sum(len(row[3]) + ROW_BYTES for row in rows)
        if events > self._max_events or total > self._max_bytes:
            ticket.error = DeviceBufferFullError(
                f"the buffer holds {self.events} events in {self.bytes} bytes; its bound is {self._max_events} events"
                f" and {self._max_bytes} bytes. Nothing was recorded; wait until the gateway has taken some"
            )
            return []
        ticket.first = seq
        return rows

    def mark(self) -> Mark | None:
        """The newest mark, of whichever boot."""
        with self.lock:
            row = self.db.connection.execute("SELECT boot, seq, value FROM mark").fetchone()
        return None if row is None else Mark(*row)

    def counts(self) -> Counts:
        with self.lock:
            return read_counts(self.db.connection)

    def is_empty(self) -> bool:
        """True when the gateway has every event and every seal."""
        with self.lock:
            seals = self.db.connection.execute("SELECT EXISTS (SELECT 1 FROM seal WHERE settled = 0)").fetchone()
            return self.events == 0 and not seals[0]

    def close(self) -> None:
        with self.lock:
            self._closed = True
            self.db.close()


def read_counts(connection: sqlite3.Connection) -> Counts:
    """Counts of a buffer, also of one that another process has open."""
    query = (
        "SELECT boot, recorded, acknowledged, sealed, rejected, (SELECT COUNT(*) FROM event),"
        " (SELECT COUNT(*) FROM seal WHERE settled = 0),"
        f" (SELECT COALESCE(SUM(LENGTH(bytes) + {ROW_BYTES}), 0) FROM event)"
        f" + (SELECT COALESCE(SUM(LENGTH(seal) + LENGTH(signature) + {ROW_BYTES}), 0) FROM seal),"
        " (SELECT reason FROM rejected ORDER BY id DESC LIMIT 1) FROM state"
    )
    row = connection.execute(query).fetchone()
    if row is None:
        raise DeviceError("the buffer is empty of its own state; enrol the device again, in another folder")
    return Counts(*row)
