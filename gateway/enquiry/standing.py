"""queries.db: named queries and the subscriptions to them, with how far each has reported.

A table of the gateway's own. Holds the secrets with which webhooks are signed, in clear (mode 0600). Bounded in rows.
Safe to call from several threads; calls block.
"""

import json
import secrets
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

from chain.store.database import Database
from gateway.access import now_us
from gateway.enquiry.errors import DuplicateNameError, EnquiryError, NoSuchNameError

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS query (number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,"
    " definition TEXT NOT NULL, created_us INTEGER NOT NULL, by TEXT NOT NULL)",
    # from_leaf: reported up to there. planned: a report up to there is on its way into the outbox.
    "CREATE TABLE IF NOT EXISTS subscription (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
    " query TEXT NOT NULL, dest TEXT NOT NULL, secret BLOB NOT NULL, schedule TEXT NOT NULL, report_if_empty INTEGER"
    " NOT NULL, initial_us INTEGER, created_us INTEGER NOT NULL, from_leaf INTEGER NOT NULL, planned INTEGER,"
    " executed_us INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS subscription_query ON subscription (query, number)",
)
MAX_QUERIES = 1000
MAX_SUBSCRIPTIONS = 500
_COLUMNS = (
    "number, id, query, dest, secret, schedule, report_if_empty, initial_us, created_us, from_leaf, planned,"
    " executed_us"
)


@dataclass(frozen=True, slots=True)
class NamedQuery:
    """`definition` is the JSON of the query, as it was given."""

    number: int
    name: str
    definition: Mapping[str, Any]
    created_us: int
    by: str


@dataclass(frozen=True, slots=True)
class Subscription:
    """schedule: by field; empty where it reports whenever something matches. initial_us: only events recorded since
    then. from_leaf: the record from which on nothing was reported. executed_us: when it was carried out last."""

    query: str
    dest: str
    secret: bytes = field(repr=False)
    schedule: Mapping[str, str]
    report_if_empty: bool
    initial_us: int | None
    from_leaf: int
    number: int = 0
    id: str = ""
    created_us: int = 0
    planned: int | None = None
    executed_us: int = 0


class Standing:
    """The one writer of the file."""

    def __init__(self, path: Path) -> None:
        self._db, self._lock = Database(path, SCHEMA, private=True), Lock()

    def add_query(self, name: str, definition: Mapping[str, Any], by: str) -> NamedQuery:
        """DuplicateNameError where the name is taken."""
        made_us = now_us()
        with self._lock, self._db.transaction() as tx:
            if tx.execute("SELECT 1 FROM query WHERE name = ?", (name,)).fetchone():
                raise DuplicateNameError(f"a query named {name} exists; delete it first, or choose another name")
            _require_room(tx, "query", MAX_QUERIES)
            columns = "INSERT INTO query (name, definition, created_us, by) VALUES (?, ?, ?, ?)"
            row = tx.execute(columns, (name, json.dumps(definition), made_us, by))
        return NamedQuery(int(row.lastrowid or 0), name, definition, made_us, by)

    def query(self, name: str) -> NamedQuery:
        """NoSuchNameError where there is none."""
        found = self.queries(name=name)
        if not found:
            raise NoSuchNameError(f"there is no query named {name!r:.80}")
        return found[0]

    def queries(self, behind: int = 0, limit: int = 1, *, name: str | None = None) -> list[NamedQuery]:
        """Oldest first."""
        rule = "number > ? AND (? IS NULL OR name = ?) ORDER BY number LIMIT ?"
        columns = "number, name, definition, created_us, by"
        rows = self._all(f"SELECT {columns} FROM query WHERE {rule}", behind, name, name, limit)
        return [NamedQuery(number, name, json.loads(text), at, by) for number, name, text, at, by in rows]

    def remove_query(self, name: str) -> list[str]:
        """The query and its subscriptions, whose ids are returned. NoSuchNameError where there is none."""
        with self._lock, self._db.transaction() as tx:
            if not tx.execute("DELETE FROM query WHERE name = ?", (name,)).rowcount:
                raise NoSuchNameError(f"there is no query named {name!r:.80}")
            gone = tx.execute("DELETE FROM subscription WHERE query = ? RETURNING id", (name,)).fetchall()
        return [row[0] for row in gone]

    def subscribe(self, new: Subscription) -> Subscription:
        """NoSuchNameError where its query is gone."""
        made = replace(new, id=secrets.token_hex(16), created_us=now_us(), executed_us=now_us())
        with self._lock, self._db.transaction() as tx:
            if not tx.execute("SELECT 1 FROM query WHERE name = ?", (made.query,)).fetchone():
                raise NoSuchNameError(f"there is no query named {made.query!r:.80}")
            _require_room(tx, "subscription", MAX_SUBSCRIPTIONS)
            schedule = json.dumps(dict(made.schedule))
            values = (made.id, made.query, made.dest, made.secret, schedule, made.report_if_empty, made.initial_us,
                      made.created_us, made.from_leaf, None, made.executed_us)  # fmt: skip
            columns = _COLUMNS.removeprefix("number, ")
            row = tx.execute(f"INSERT INTO subscription ({columns}) VALUES ({', '.join('?' * 11)})", values)
        return replace(made, number=int(row.lastrowid or 0))

    def subscriptions(self, query: str | None = None, behind: int = 0, limit: int = MAX_SUBSCRIPTIONS
                      ) -> list[Subscription]:  # fmt: skip
        """Oldest first."""
        rule = "number > ? AND (? IS NULL OR query = ?) ORDER BY number LIMIT ?"
        rows = self._all(f"SELECT {_COLUMNS} FROM subscription WHERE {rule}", behind, query, query, limit)
        return [_subscription(*row) for row in rows]

    def subscription(self, query: str, subscription: str) -> Subscription:
        """NoSuchNameError where there is none."""
        rows = self._all(f"SELECT {_COLUMNS} FROM subscription WHERE query = ? AND id = ?", query, subscription)
        if not rows:
            raise NoSuchNameError(f"there is no subscription {subscription!r:.80} to {query!r:.80}")
        return _subscription(*rows[0])

    def unsubscribe(self, query: str, subscription: str) -> None:
        """NoSuchNameError where there is none."""
        with self._lock, self._db.transaction() as tx:
            gone = tx.execute("DELETE FROM subscription WHERE query = ? AND id = ?", (query, subscription)).rowcount
        if not gone:
            raise NoSuchNameError(f"there is no subscription {subscription!r:.80} to {query!r:.80}")

    def plan(self, subscription: str, from_leaf: int, upto: int) -> None:
        """A report of the records from `from_leaf` to before `upto` goes into the outbox now."""
        self._set("from_leaf = ?, planned = ?", subscription, from_leaf, upto)

    def advance(self, subscription: str, upto: int) -> None:
        """It is there."""
        self._set("from_leaf = ?, planned = NULL", subscription, upto)

    def reached(self, places: Mapping[str, int]) -> None:
        """Nothing matched before these records."""
        with self._lock, self._db.transaction() as tx:
            tx.executemany("UPDATE subscription SET from_leaf = ? WHERE id = ?", [(n, s) for s, n in places.items()])

    def executed(self, subscription: str, at_us: int) -> None:
        self._set("executed_us = ?", subscription, at_us)

    def close(self) -> None:
        with self._lock:  # a thread whose task was cancelled may still be at it
            self._db.close()

    def _set(self, what: str, subscription: str, *values: int) -> None:
        with self._lock, self._db.transaction() as tx:
            tx.execute(f"UPDATE subscription SET {what} WHERE id = ?", (*values, subscription))

    def _all(self, query: str, *values: object) -> list[Any]:
        with self._lock:
            return self._db.connection.execute(query, values).fetchall()


def _subscription(number: int, id_: str, query: str, dest: str, secret: bytes, schedule: str, empty: int,
                  initial: int | None, created: int, from_leaf: int, planned: int | None, executed: int
                  ) -> Subscription:  # fmt: skip
    return Subscription(query, dest, secret, json.loads(schedule), bool(empty), initial, from_leaf, number, id_,
                        created, planned, executed)  # fmt: skip


def _require_room(tx: sqlite3.Connection, table: str, most: int) -> None:
    if tx.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] >= most:
        raise EnquiryError(f"there are {most} of them, which is the bound; delete what is not needed any more")
