"""Which payloads were erased on purpose, by which entry of the log, and how far the destruction has come.

The statements are what the log names; the rows of runs are derived from them, so that one leaf is found at once. A
database of an older version has neither table, and nothing erased.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from chain.erasure import Erasure, decode_erasure
from chain.store.database import Database

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS erasure (leaf INTEGER PRIMARY KEY, state INTEGER NOT NULL, statement BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS erased_run (first INTEGER PRIMARY KEY, count INTEGER NOT NULL, leaf INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS erasure_destroyed ON erasure (leaf) WHERE state IN (1, 2)",
)


class ErasureState(IntEnum):
    """How far an erasure has come. Each step is durable before the next begins."""

    LOGGED = 0  # the statement is in the log, and nothing is destroyed yet
    DESTROYED = 1  # rows and keys are gone from the site's database; copies in its journal or in the index may be left
    DONE = 2
    NEVER_STORED = 3  # events of a subject that was erased before: only their records were written


@dataclass(frozen=True, slots=True)
class StoredErasure:
    """A statement, the leaf that logs it, and its state."""

    leaf: int
    state: ErasureState
    statement: bytes

    @property
    def erasure(self) -> Erasure:
        return decode_erasure(self.statement)


class Erasures:
    """Reads and writes statements over one database connection."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._there = False

    def put(self, tx: sqlite3.Connection, leaf: int, erasure: Erasure, state: ErasureState) -> None:
        tx.execute("INSERT INTO erasure VALUES (?, ?, ?)", (leaf, int(state), erasure.encode()))
        tx.executemany("INSERT INTO erased_run VALUES (?, ?, ?)", [(*run, leaf) for run in erasure.runs])

    def set_state(self, tx: sqlite3.Connection, leaf: int, state: ErasureState) -> None:
        tx.execute("UPDATE erasure SET state = ? WHERE leaf = ?", (int(state), leaf))

    def covering(self, leaf: int) -> StoredErasure | None:
        """The erasure of this leaf's payload, None where there was none."""
        if not self._exists():
            return None
        query = "SELECT first, count, leaf FROM erased_run WHERE first <= ? ORDER BY first DESC LIMIT 1"
        row = self._db.connection.execute(query, (leaf,)).fetchone()
        return self.at(row[2]) if row and leaf < row[0] + row[1] else None

    def at(self, leaf: int) -> StoredErasure | None:
        """The statement that this leaf logs."""
        return next(self._select("leaf = ?", leaf), None)

    def all(self) -> list[StoredErasure]:
        """In the order of the log."""
        return list(self._select("leaf >= ?", 0))

    def unfinished(self) -> list[StoredErasure]:
        return list(self._select("state IN (0, 1) AND leaf >= ?", 0))

    def put_back(self) -> list[int]:
        """Leaves of statements that were carried out, and of whose payloads some are stored again."""
        there = "SELECT 1 FROM segment WHERE first_leaf BETWEEN r.first AND r.first + r.count - 1"
        query = (
            f"SELECT DISTINCT e.leaf FROM erased_run r JOIN erasure e USING (leaf) WHERE state > 1 AND EXISTS ({there})"
        )
        return [row[0] for row in self._db.connection.execute(query)] if self._exists() else []

    def count(self) -> int:
        """How many statements there are."""
        return self._number("SELECT COUNT(*) FROM erasure")

    def destroyed(self) -> int:
        """How many of them destroyed what had been stored: an index that was built before the last one holds values
        that it must not hold."""
        return self._number("SELECT COUNT(*) FROM erasure WHERE state IN (1, 2)")

    def runs(self) -> Iterator[tuple[int, int, int]]:
        """Rows (first, count, leaf) by first leaf."""
        if self._exists():
            yield from self._db.connection.execute("SELECT first, count, leaf FROM erased_run ORDER BY first")

    def _number(self, query: str) -> int:
        return int(self._db.connection.execute(query).fetchone()[0]) if self._exists() else 0

    def _select(self, condition: str, value: int) -> Iterator[StoredErasure]:
        if self._exists():
            query = f"SELECT leaf, state, statement FROM erasure WHERE {condition} ORDER BY leaf"
            for leaf, state, statement in self._db.connection.execute(query, (value,)).fetchall():
                yield StoredErasure(leaf, ErasureState(state), statement)

    def _exists(self) -> bool:
        if not self._there:
            query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'erased_run'"
            self._there = self._db.connection.execute(query).fetchone() is not None
        return self._there
