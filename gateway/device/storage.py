"""What the sender reads from the buffer, and how answers of the gateway settle what is in it.

Trust boundary: acknowledgements come here verified under the pinned key, and still nothing is believed of
them but what this device can check: a digest must be the root of its own content hashes.
"""

import logging
import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from chain.acknowledgement import Acknowledgement, StoredRange
from chain.event import SignedSeal
from crypto.flat import MAX_NUMBER
from crypto.merkle import root_of
from gateway.device.buffer import REJECTED, ROW_BYTES, STORED, WAITING, Buffer

Number = tuple[int, int]  # (boot, seq)
BEFORE_ALL: Final[Number] = (-1, -1)
AFTER_ALL: Final[Number] = (MAX_NUMBER, MAX_NUMBER)
_FREE_PAGES = 256  # so much of the file may lie idle
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """An event as the buffer holds it."""

    number: Number
    data: bytes


@dataclass(frozen=True, slots=True)
class KeptSeal:
    """A seal that waits for the gateway. Ids rise along the chain."""

    id: int
    signed: SignedSeal

    @property
    def size(self) -> int:
        return len(self.signed.seal) + len(self.signed.signature)


@dataclass(frozen=True, slots=True)
class Rejection:
    """What the gateway refused for good: when, why, the exact bytes."""

    at_us: int
    reason: str
    data: bytes


class Storage:
    """The sender's view of the buffer."""

    def __init__(self, buffer: Buffer, max_rejected: int) -> None:
        self._buffer, self._max_rejected = buffer, max_rejected

    def waiting(self, after: Number, before: Number, limit: int) -> list[Kept]:
        """Events without acknowledgement, strictly between two numbers, in order."""
        query = (
            "SELECT boot, seq, bytes FROM event WHERE state = 0 AND (boot, seq) > (?, ?) AND (boot, seq) < (?, ?)"
            " ORDER BY boot, seq LIMIT ?"
        )
        with self._buffer.lock:
            rows = self._buffer.db.connection.execute(query, (*after, *before, limit)).fetchall()
        return [Kept((boot, seq), data) for boot, seq, data in rows]

    def still_waiting(self, numbers: Iterable[Number]) -> list[Kept]:
        """Those of these events that have no acknowledgement yet, in order."""
        query = "SELECT bytes FROM event WHERE boot = ? AND seq = ? AND state = 0"
        kept = []
        with self._buffer.lock:
            for number in sorted(numbers):
                row = self._buffer.db.connection.execute(query, number).fetchone()
                if row is not None:
                    kept.append(Kept(number, row[0]))
        return kept

    def sealed_to(self) -> Number:
        """The first number that no seal covers."""
        with self._buffer.lock:
            row = self._buffer.db.connection.execute("SELECT sealed_boot, sealed_next FROM state").fetchone()
        return row[0], row[1]

    def waiting_seals(self, before: Number, limit: int) -> list[KeptSeal]:
        """Unacknowledged seals, oldest first, up to the first that reaches to `before` or beyond."""
        query = "SELECT id, seal, signature, boot, first + count - 1 FROM seal WHERE settled = 0 ORDER BY id LIMIT ?"
        with self._buffer.lock:
            rows = self._buffer.db.connection.execute(query, (limit,)).fetchall()
        seals = []
        for seal_id, seal, signature, boot, last in rows:
            if (boot, last) >= before:
                break
            seals.append(KeptSeal(seal_id, SignedSeal(seal, signature)))
        return seals

    def acknowledge(self, acknowledgements: Sequence[Acknowledgement]) -> tuple[list[StoredRange], int]:
        """Settle what these cover: the ranges that hold, and the id of the last seal stored (0: none)."""
        confirmed: list[StoredRange] = []
        last_seal = 0
        with self._buffer.lock, self._buffer.db.transaction() as tx:
            for acknowledgement in acknowledgements:
                confirmed += [stored for stored in acknowledgement.ranges if self._store(tx, stored)]
                row = tx.execute("SELECT id FROM seal WHERE hash = ?", (acknowledgement.sealed,)).fetchone()
                last_seal = max(last_seal, row[0] if row else 0)
            tx.execute("UPDATE seal SET settled = 1 WHERE settled = 0 AND id <= ?", (last_seal,))
            gone = _purge(tx)
        self._released(*gone)
        return confirmed, last_seal

    def _store(self, tx: sqlite3.Connection, stored: StoredRange) -> bool:
        end = stored.first + stored.count
        if stored.count > self._buffer.events or end > MAX_NUMBER:
            return False  # more than there is: it cannot be checked (answers to what is settled look like this)
        span = (stored.boot, stored.first, end)
        query = "SELECT hash FROM event WHERE boot = ? AND seq >= ? AND seq < ? ORDER BY seq"
        rows = tx.execute(query, span).fetchall()
        if len(rows) != stored.count:
            return False
        if root_of([row[0] for row in rows]) != stored.digest:
            _LOG.warning("acknowledgement of boot %d, %d to %d is not of this device's bytes; kept", span[0], *span[1:])
            return False
        query = "UPDATE event SET state = 1 WHERE boot = ? AND seq >= ? AND seq < ? AND state = 0"
        fresh = tx.execute(query, span).rowcount
        tx.execute("UPDATE state SET acknowledged = acknowledged + ?", (fresh,))
        return True

    def reject_event(self, number: Number, reason: str) -> None:
        """Move one event to the rejected table. Its hash stays until its seal is settled: it was numbered."""
        with self._buffer.lock, self._buffer.db.transaction() as tx:
            where = "WHERE boot = ? AND seq = ? AND state = 0"
            row = tx.execute(f"SELECT bytes FROM event {where}", number).fetchone()
            if row is None:
                return
            self._keep_rejected(tx, reason, row[0])
            tx.execute(f"UPDATE event SET state = {REJECTED}, bytes = x'' {where}", number)
            tx.execute("UPDATE state SET rejected = rejected + 1")
            events, freed = _purge(tx)
        self._released(events, freed + len(row[0]))

    def reject_seal(self, seal_id: int, reason: str) -> None:
        """Move one seal to the rejected table. The chain goes on naming it: the gateway shows the break."""
        with self._buffer.lock, self._buffer.db.transaction() as tx:
            row = tx.execute("SELECT seal FROM seal WHERE id = ? AND settled = 0", (seal_id,)).fetchone()
            if row is None:
                return
            self._keep_rejected(tx, reason, row[0])
            tx.execute("UPDATE seal SET settled = 1 WHERE id = ?", (seal_id,))
            tx.execute("UPDATE state SET rejected = rejected + 1")
            gone = _purge(tx)
        self._released(*gone)

    def rejections(self) -> list[Rejection]:
        """Newest first."""
        query = "SELECT at_us, reason, bytes FROM rejected ORDER BY id DESC"
        with self._buffer.lock:
            return [Rejection(*row) for row in self._buffer.db.connection.execute(query)]

    def _keep_rejected(self, tx: sqlite3.Connection, reason: str, data: bytes) -> None:
        """Beyond the bound the oldest go; `rejected` in the state still counts them."""
        row = (time.time_ns() // 1000, reason[:1000], data)
        tx.execute("INSERT INTO rejected (at_us, reason, bytes) VALUES (?, ?, ?)", row)
        tx.execute("DELETE FROM rejected WHERE id <= (SELECT MAX(id) FROM rejected) - ?", (self._max_rejected,))

    def _released(self, events: int, size: int) -> None:
        """Count the room back, and give the disk back what lies idle."""
        with self._buffer.lock:
            self._buffer.events -= events
            self._buffer.bytes -= size
            connection = self._buffer.db.connection
            if events and connection.execute("PRAGMA freelist_count").fetchone()[0] > _FREE_PAGES:
                # A script, because sqlite3 steps a statement without columns once, which would free one page.
                connection.executescript(f"PRAGMA incremental_vacuum({_FREE_PAGES * 2})")


def _purge(tx: sqlite3.Connection) -> tuple[int, int]:
    """Delete what both answers cover: settled events under settled seals. How many events, how many bytes."""
    events = size = 0
    for seal_id, *span in tx.execute("SELECT id, boot, first, first + count FROM seal WHERE settled = 1").fetchall():
        inside = "FROM event WHERE boot = ? AND seq >= ? AND seq < ?"
        total = f"SELECT COUNT(*), COALESCE(SUM(LENGTH(bytes) + {ROW_BYTES}), 0) {inside} AND state != {WAITING}"
        count, freed = tx.execute(total, span).fetchone()
        tx.execute(f"DELETE {inside} AND state IN ({STORED}, {REJECTED})", span)
        events, size = events + count, size + freed
        if not tx.execute(f"SELECT EXISTS (SELECT 1 {inside})", span).fetchone()[0]:
            freed = f"LENGTH(seal) + LENGTH(signature) + {ROW_BYTES}"
            size += tx.execute(f"DELETE FROM seal WHERE id = ? RETURNING {freed}", (seal_id,)).fetchone()[0]
    return events, size
