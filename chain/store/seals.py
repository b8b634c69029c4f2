"""Stored seals and their state: which ranges each source signed, and whether the stored events match.

Signatures are verified before a seal comes here; this module keeps the chain of each source and finds the
seal that covers an event.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Protocol

from msgspec import Struct

from chain.errors import StoreError
from chain.event import SignedSeal
from chain.seal import FIRST_PREVIOUS, Seal, seal_hash
from chain.store.database import Database
from crypto import bulk
from crypto.errors import SealtrailError
from crypto.merkle import HASH_BYTES

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS seal (leaf INTEGER PRIMARY KEY, source TEXT NOT NULL, boot INTEGER NOT NULL,"
    " first_seq INTEGER NOT NULL, count INTEGER NOT NULL, state INTEGER NOT NULL, seal BLOB NOT NULL,"
    " signature BLOB NOT NULL)",
    "CREATE UNIQUE INDEX IF NOT EXISTS seal_range ON seal (source, boot, first_seq)",
    "CREATE INDEX IF NOT EXISTS seal_pending ON seal (source, boot, first_seq) WHERE state = 0",
)
ROWS_AT_ONCE = 64


class SealState(IntEnum):
    """What is known of a seal's range."""

    PENDING = 0  # some of its events have not arrived
    HOLDS = 1  # its events are stored and are those sealed
    BROKEN = 2  # its events are stored and are not those sealed


class StoredSeal(Struct, frozen=True):
    """A verified seal, the leaf that logs it, and its state."""

    leaf: int
    seal: Seal
    signed: SignedSeal
    state: SealState


class Placed(Protocol):
    """A verified seal with a leaf, in the store or on its way there."""

    @property
    def leaf(self) -> int: ...
    @property
    def seal(self) -> Seal: ...
    @property
    def signed(self) -> SignedSeal: ...
    @property
    def state(self) -> SealState: ...


class Seals:
    """Reads and writes seals over one database connection."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def put(self, tx: sqlite3.Connection, seals: Sequence[Placed]) -> None:
        """Many rows with one statement: each statement gives the interpreter's lock away, and waits to get it back."""
        for start in range(0, len(seals), ROWS_AT_ONCE):
            part = seals[start : start + ROWS_AT_ONCE]
            rows = ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?)"] * len(part))
            tx.execute(f"INSERT INTO seal VALUES {rows}", [value for placed in part for value in _row(placed)])

    def set_state(self, tx: sqlite3.Connection, leaf: int, state: SealState) -> None:
        tx.execute("UPDATE seal SET state = ? WHERE leaf = ?", (int(state), leaf))

    def last(self, source: str) -> StoredSeal | None:
        """The source's newest seal, whose hash its next one must name."""
        return self._one("source = ? ORDER BY boot DESC, first_seq DESC LIMIT 1", (source,))

    def covering(self, source: str, boot: int, seq: int) -> StoredSeal | None:
        """The seal over one event, None where it is not sealed yet."""
        condition = "source = ? AND boot = ? AND first_seq <= ? ORDER BY first_seq DESC LIMIT 1"
        found = self._one(condition, (source, boot, seq))
        return found if found and seq < found.seal.first + found.seal.count else None

    def at(self, leaf: int) -> StoredSeal | None:
        """The seal that this leaf logs."""
        return self._one("leaf = ?", (leaf,))

    def pending_sources(self) -> set[str]:
        """Sources with a seal whose events have not all arrived."""
        return {row[0] for row in self._db.connection.execute("SELECT DISTINCT source FROM seal WHERE state = 0")}

    def pending_over(self, source: str, boot: int, first: int, count: int) -> list[StoredSeal]:
        """Seals that wait for events and cover one of these numbers."""
        condition = "state = 0 AND source = ? AND boot = ? AND first_seq < ? AND first_seq + count > ?"
        return self._many(condition, (source, boot, first + count, first))

    def untold_gaps(self, limit: int) -> list[int]:
        """Leaves of seals that wait for events and of which no gap alert tells, oldest first."""
        told = "SELECT leaf FROM alert WHERE kind = 'gap' AND leaf IS NOT NULL"
        # Left to itself SQLite goes through every seal there ever was, because they lie in this order.
        waiting = "FROM seal INDEXED BY seal_pending WHERE state = 0"
        query = f"SELECT leaf {waiting} AND leaf NOT IN ({told}) ORDER BY leaf LIMIT ?"
        return [row[0] for row in self._db.connection.execute(query, (limit,))]

    def all(self) -> Iterator[tuple[tuple[int, str, int, int, int], StoredSeal]]:
        """Every row in order of leaves: its columns (leaf, source, boot, first, count) and the seal in it.
        StoreError where a row cannot be one of a seal."""
        query = "SELECT leaf, source, boot, first_seq, count, seal, signature, state FROM seal ORDER BY leaf"
        for *columns, seal, signature, state in self._db.connection.execute(query):
            leaf, source, boot, first, count = columns
            try:
                stored = StoredSeal(leaf, Seal.decode(seal), SignedSeal(seal, signature), SealState(state))
            except (SealtrailError, TypeError, ValueError) as e:
                raise StoreError(f"seal at entry {leaf}: {e}") from e
            yield (leaf, source, boot, first, count), stored

    def boots(self, source: str) -> list[int]:
        query = "SELECT DISTINCT boot FROM seal WHERE source = ? ORDER BY boot"
        return [row[0] for row in self._db.connection.execute(query, (source,))]

    def _one(self, condition: str, values: tuple[str | int, ...]) -> StoredSeal | None:
        found = self._many(condition, values)
        return found[0] if found else None

    def _many(self, condition: str, values: tuple[str | int, ...]) -> list[StoredSeal]:
        query = f"SELECT leaf, seal, signature, state FROM seal WHERE {condition}"
        rows = self._db.connection.execute(query, values)
        return [StoredSeal(leaf, Seal.decode(seal), SignedSeal(seal, sig), SealState(s)) for leaf, seal, sig, s in rows]


def _row(placed: Placed) -> tuple[int | str | bytes, ...]:
    seal, signed = placed.seal, placed.signed
    state = int(placed.state)
    return placed.leaf, seal.source, seal.boot, seal.first, seal.count, state, signed.seal, signed.signature


def expected_previous(last: Placed | None, new: Seal) -> bytes:
    """What a source's next seal must name: the hash of its last one; a new key starts a new chain."""
    if last is None or (last.seal.kid != new.kid and new.previous == FIRST_PREVIOUS):
        return FIRST_PREVIOUS
    return seal_hash(last.signed.seal)


def state_of(seal: Seal, hashes: bytes | None) -> SealState:
    """What the joined content hashes of a seal's range say of it; None where some events have not arrived."""
    if hashes is None:
        return SealState.PENDING
    complete = len(hashes) == seal.count * HASH_BYTES
    return SealState.HOLDS if complete and bulk.root(hashes) == seal.root else SealState.BROKEN
