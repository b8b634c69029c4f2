"""recall.db: recalls that were begun or heard of here, who was told, what they answered, and what was said upwards.

Evidence of others is kept as it came, with their signatures. Durable when a call returns. Private (mode 0600): it names
this company's own customers and suppliers.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection
from threading import RLock
from typing import Any

from chain.store.database import Database
from gateway.recall.errors import RecallError, UnknownRecallError
from gateway.recall.records import Customer, Recall, Said, Starting, Supplier

FILE = "recall.db"
MAX_RECALLS = 100_000  # real ones, and drills of our own
MAX_DRILLS = 1_000  # that others began; then the oldest that are closed go
MAX_OPEN_DRILLS = 20  # of one organisation
MAX_LISTED = 1_000
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

    def require_room(self) -> None:
        """RecallError unless one more recall of our own can be kept."""
        if self._count("maker OR NOT drill") >= MAX_RECALLS:
            raise RecallError(f"{MAX_RECALLS:,} recalls are kept in {FILE}, which is the bound")

    def put(self, recall: Recall, started: int | None = None) -> None:
        """Known from now on; one that is known already stays as it is. `started`: the record that began it here.
        RecallError where another one told us of so many that there is no room."""
        with self._changing() as tx:
            if not recall.maker and not self.has(recall.id):
                self._make_room(tx) if recall.drill else self.require_room()
            values = (
                recall.id, recall.drill, recall.maker, recall.lot, recall.grade, recall.reason, recall.deadline_us,
                recall.begun_us, recall.tier, recall.closed,
            )  # fmt: skip
            tx.execute("INSERT OR IGNORE INTO recall VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
            if started is not None:
                tx.execute("DELETE FROM starting WHERE leaf = ?", (started,))

    def _make_room(self, tx: Connection) -> None:
        """For one more drill that another company began."""
        over = self._count("drill AND NOT maker") - MAX_DRILLS + 1
        query = "SELECT id FROM recall WHERE drill AND NOT maker AND closed ORDER BY begun_us LIMIT ?"
        old = tx.execute(query, (max(over, 0),)).fetchall()
        if len(old) < over:
            raise RecallError(f"{MAX_DRILLS:,} drills of other companies are open in {FILE}, which is the bound")
        for table, column in (("said", "recall"), ("customer", "recall"), ("supplier", "recall"), ("recall", "id")):
            tx.executemany(f"DELETE FROM {table} WHERE {column} = ?", old)

    def _count(self, where: str) -> int:
        return int(self._rows(f"SELECT COUNT(*) FROM recall WHERE {where}")[0][0])

    def get(self, recall: str) -> Recall:
        rows = self._rows("SELECT * FROM recall WHERE id = ?", recall)
        if not rows:
            raise UnknownRecallError(f"no recall {recall[:80]!r} is known here")
        return _recall(rows[0])

    def all(self) -> list[Recall]:
        """The newest thousand, newest first."""
        return [
            _recall(row) for row in self._rows(f"SELECT * FROM recall ORDER BY begun_us DESC, id LIMIT {MAX_LISTED}")
        ]

    def has(self, recall: str) -> bool:
        return bool(self._rows("SELECT 1 FROM recall WHERE id = ?", recall))

    def any(self) -> bool:
        return bool(self._rows("SELECT 1 FROM recall LIMIT 1"))

    def open_count(self) -> int:
        """How many recalls, drills aside, are not closed."""
        return self._count("NOT closed AND NOT drill")

    def open(self) -> list[Recall]:
        return [_recall(row) for row in self._rows("SELECT * FROM recall WHERE NOT closed ORDER BY begun_us DESC, id")]

    def open_drills(self, organisation: str) -> int:
        """How many drills this organisation told us of that are not closed."""
        query = (
            "SELECT COUNT(*) FROM supplier JOIN recall ON recall.id = supplier.recall"
            " WHERE supplier.organisation = ? AND recall.drill AND NOT recall.closed"
        )
        return int(self._rows(query, organisation)[0][0])

    def end(self, recall: str) -> None:
        with self._changing() as tx:
            tx.execute("UPDATE recall SET closed = 1 WHERE id = ?", (recall,))

    def end_drills(self, before_us: int) -> None:
        """Those whose deadline was before this time."""
        with self._changing() as tx:
            tx.execute("UPDATE recall SET closed = 1 WHERE drill AND NOT closed AND deadline_us < ?", (before_us,))

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
        """Its newest answer. The first one says when it answered, and whether that was late."""
        with self._changing() as tx:
            tx.execute(
                "UPDATE customer SET answer = ?, number = ?, answered_us = ?,"
                " late = CASE first_us WHEN 0 THEN ? ELSE late END,"
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
