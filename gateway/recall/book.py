"""recall.db: recalls that were begun or heard of here, who was told, what they answered, and what was said upwards.

Evidence of others is kept as it came, with their signatures. Durable when a call returns. Private (mode 0600): it names
this company's own customers and suppliers.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection
from threading import RLock
from typing import Any

from chain.store.database import Database
from gateway.recall.errors import RecallError, UnknownRecallError

FILE = "recall.db"
MAX_RECALLS = 10_000
MAX_SAID = 1_000  # answers of ours that are kept for one recall and supplier; then the oldest goes
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS starting (leaf INTEGER PRIMARY KEY, lot TEXT NOT NULL, grade INTEGER NOT NULL,"
    " reason TEXT NOT NULL, deadline_us INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS recall (id TEXT PRIMARY KEY, drill INTEGER NOT NULL, maker INTEGER NOT NULL,"
    " lot TEXT NOT NULL, grade INTEGER NOT NULL, reason TEXT NOT NULL, deadline_us INTEGER NOT NULL,"
    " begun_us INTEGER NOT NULL, tier INTEGER NOT NULL,"
    " closed INTEGER NOT NULL DEFAULT 0)",
    # Who told us. confirmed: a person here answered, with `counts` in place of what the events say.
    "CREATE TABLE IF NOT EXISTS supplier (recall TEXT NOT NULL, organisation TEXT NOT NULL, notice BLOB NOT NULL,"
    " packs INTEGER NOT NULL, heard_us INTEGER NOT NULL, confirmed INTEGER NOT NULL DEFAULT 0, counts TEXT,"
    " PRIMARY KEY (recall, organisation))",
    "CREATE TABLE IF NOT EXISTS said (recall TEXT NOT NULL, organisation TEXT NOT NULL, number INTEGER NOT NULL,"
    " body BLOB NOT NULL, salt BLOB NOT NULL, leaf INTEGER NOT NULL, tx_id TEXT NOT NULL DEFAULT '',"
    " opening BLOB NOT NULL, PRIMARY KEY (recall, organisation, number))",
    "CREATE TABLE IF NOT EXISTS customer (recall TEXT NOT NULL, organisation TEXT NOT NULL, packs INTEGER NOT NULL,"
    " told_us INTEGER NOT NULL, answer BLOB, number INTEGER NOT NULL DEFAULT 0, salt BLOB NOT NULL,"
    " first_us INTEGER NOT NULL DEFAULT 0, answered_us INTEGER NOT NULL DEFAULT 0, late INTEGER NOT NULL DEFAULT 0,"
    " ledger INTEGER, told INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (recall, organisation))",
)


@dataclass(frozen=True, slots=True)
class Recall:
    """One recall as this gateway knows it. `maker`: it began here. `tier`: how far from the maker we are."""

    id: str
    drill: bool
    maker: bool
    lot: str
    grade: int
    reason: str
    deadline_us: int
    begun_us: int
    tier: int
    closed: bool


@dataclass(frozen=True, slots=True)
class Supplier:
    """Who told us, and whether a person here answered."""

    recall: str
    organisation: str
    notice: bytes
    packs: int
    heard_us: int
    confirmed: bool
    counts: str | None


@dataclass(frozen=True, slots=True)
class Customer:
    """A direct customer: how many packs it was sent by our events, and by the ledger (None: not known there); its
    newest signed answer; when its first and newest one came, 0 for never. `told`: the outbox has its notice."""

    recall: str
    organisation: str
    packs: int
    told_us: int
    answer: bytes | None
    number: int
    salt: bytes
    first_us: int
    answered_us: int
    late: bool
    ledger: int | None
    told: bool


@dataclass(frozen=True, slots=True)
class Said:
    """An answer of ours. `opening`: the answers of customers that its root is of (gateway.recall.branches)."""

    recall: str
    organisation: str
    number: int
    body: bytes
    salt: bytes
    leaf: int
    tx_id: str
    opening: bytes


@dataclass(frozen=True, slots=True)
class Starting:
    """A recall that the ledger is being told of; `leaf` is the record that is its evidence."""

    leaf: int
    lot: str
    grade: int
    reason: str
    deadline_us: int


class Book:
    """One connection; calls block and may come from any thread."""

    def __init__(self, root: Path) -> None:
        self._db, self._lock = Database(root / FILE, SCHEMA, private=True), RLock()

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        with self._lock, self._db.transaction() as tx:
            yield tx

    def _rows(self, query: str, *values: Any) -> list[Any]:
        with self._lock:
            return self._db.connection.execute(query, values).fetchall()

    # -- recalls

    def put_starting(self, one: Starting) -> None:
        with self._changing() as tx:
            values = (one.leaf, one.lot, one.grade, one.reason, one.deadline_us)
            tx.execute("INSERT OR IGNORE INTO starting VALUES (?, ?, ?, ?, ?)", values)

    def starting(self) -> list[Starting]:
        return [Starting(*row) for row in self._rows("SELECT * FROM starting")]

    def end_starting(self, leaf: int) -> None:
        with self._changing() as tx:
            tx.execute("DELETE FROM starting WHERE leaf = ?", (leaf,))

    def put(self, recall: Recall, started: int | None = None) -> None:
        """Known from now on; one that is known already stays as it is. `started`: the record that began it here."""
        with self._changing() as tx:
            if tx.execute("SELECT COUNT(*) FROM recall").fetchone()[0] >= MAX_RECALLS:
                raise RecallError(f"{MAX_RECALLS:,} recalls are kept in {FILE}, which is the bound")
            values = (
                recall.id, recall.drill, recall.maker, recall.lot, recall.grade, recall.reason, recall.deadline_us,
                recall.begun_us, recall.tier, recall.closed,
            )  # fmt: skip
            tx.execute("INSERT OR IGNORE INTO recall VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
            if started is not None:
                tx.execute("DELETE FROM starting WHERE leaf = ?", (started,))

    def get(self, recall: str) -> Recall:
        rows = self._rows("SELECT * FROM recall WHERE id = ?", recall)
        if not rows:
            raise UnknownRecallError(f"no recall {recall[:80]!r} is known here")
        return _recall(rows[0])

    def all(self) -> list[Recall]:
        """Newest first."""
        return [_recall(row) for row in self._rows("SELECT * FROM recall ORDER BY begun_us DESC, id")]

    def has(self, recall: str) -> bool:
        return bool(self._rows("SELECT 1 FROM recall WHERE id = ?", recall))

    def any(self) -> bool:
        return bool(self._rows("SELECT 1 FROM recall LIMIT 1"))

    def open_count(self) -> int:
        """How many recalls, drills aside, are not closed."""
        return int(self._rows("SELECT COUNT(*) FROM recall WHERE NOT closed AND NOT drill")[0][0])

    def open(self) -> list[Recall]:
        return [recall for recall in self.all() if not recall.closed]

    def end(self, recall: str) -> None:
        with self._changing() as tx:
            tx.execute("UPDATE recall SET closed = 1 WHERE id = ?", (recall,))

    # -- suppliers

    def put_supplier(self, recall: str, organisation: str, notice: bytes, packs: int, now_us: int) -> None:
        with self._changing() as tx:
            query = (
                "INSERT OR IGNORE INTO supplier (recall, organisation, notice, packs, heard_us) VALUES (?, ?, ?, ?, ?)"
            )
            tx.execute(query, (recall, organisation, notice, packs, now_us))

    def suppliers(self, recall: str) -> list[Supplier]:
        """In the order in which they told us."""
        rows = self._rows("SELECT * FROM supplier WHERE recall = ? ORDER BY heard_us, organisation", recall)
        return [Supplier(*[*row, bool(confirmed), counts]) for *row, confirmed, counts in rows]

    def confirm(self, recall: str, counts: str | None) -> None:
        """A person answers."""
        with self._changing() as tx:
            tx.execute("UPDATE supplier SET confirmed = 1, counts = ? WHERE recall = ?", (counts, recall))

    # -- customers

    def put_customer(self, recall: str, organisation: str, packs: int, ledger: int | None, now_us: int) -> None:
        """How many packs it was sent, at most so far."""
        with self._changing() as tx:
            known = tx.execute(
                "UPDATE customer SET packs = MAX(packs, ?), ledger = ? WHERE recall = ? AND organisation = ?",
                (packs, ledger, recall, organisation),
            ).rowcount
            if not known:
                columns = "recall, organisation, packs, told_us, salt, ledger"
                values = (recall, organisation, packs, now_us, os.urandom(16), ledger)
                tx.execute(f"INSERT INTO customer ({columns}) VALUES (?, ?, ?, ?, ?, ?)", values)

    def customers(self, recall: str) -> list[Customer]:
        rows = self._rows("SELECT * FROM customer WHERE recall = ? ORDER BY organisation", recall)
        return [Customer(*[*row, bool(late), ledger, bool(told)]) for *row, late, ledger, told in rows]

    def customer(self, recall: str, organisation: str) -> Customer:
        """UnknownRecallError where it was told of no such recall."""
        found = next((one for one in self.customers(recall) if one.organisation == organisation), None)
        if found is None:
            raise UnknownRecallError(f"{organisation[:80]} was not told of the recall {recall[:80]}")
        return found

    def told(self, customer: Customer) -> None:
        """Its notice is in the outbox."""
        with self._changing() as tx:
            query = "UPDATE customer SET told = 1 WHERE recall = ? AND organisation = ?"
            tx.execute(query, (customer.recall, customer.organisation))

    def put_answer(self, customer: Customer, number: int, body: bytes, now_us: int, *, late: bool) -> None:
        with self._changing() as tx:
            tx.execute(
                "UPDATE customer SET answer = ?, number = ?, answered_us = ?, late = ?,"
                " first_us = CASE first_us WHEN 0 THEN ? ELSE first_us END WHERE recall = ? AND organisation = ?",
                (body, number, now_us, late, now_us, customer.recall, customer.organisation),
            )

    # -- what we said

    def said(self, recall: str, organisation: str) -> Said | None:
        """The newest answer of ours to a supplier."""
        query = "SELECT * FROM said WHERE recall = ? AND organisation = ? ORDER BY number DESC LIMIT 1"
        rows = self._rows(query, recall, organisation)
        return Said(*rows[0]) if rows else None

    def said_number(self, recall: str, organisation: str, number: int) -> Said | None:
        query = "SELECT * FROM said WHERE recall = ? AND organisation = ? AND number = ?"
        rows = self._rows(query, recall, organisation, number)
        return Said(*rows[0]) if rows else None

    def put_said(self, said: Said) -> None:
        with self._changing() as tx:
            values = (
                said.recall, said.organisation, said.number, said.body, said.salt, said.leaf, said.tx_id, said.opening,
            )  # fmt: skip
            tx.execute("INSERT OR REPLACE INTO said VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
            query = "DELETE FROM said WHERE recall = ? AND organisation = ? AND number <= ?"
            tx.execute(query, (said.recall, said.organisation, said.number - MAX_SAID))

    def close(self) -> None:
        with self._lock:
            self._db.close()


def _recall(row: Any) -> Recall:
    name, drill, maker, *terms, closed = row
    return Recall(*[name, bool(drill), bool(maker), *terms, bool(closed)])
