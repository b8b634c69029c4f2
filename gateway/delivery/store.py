"""outbox.db: what waits for each target. Bodies lie there in clear (mode 0600) until they are taken, then are gone.

Several changes (gateway.delivery.changes) are one commit. A table of the gateway's own, which proves nothing. Used by
one thread at a time.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chain.store.database import Database
from gateway.delivery.errors import DeliveryError
from gateway.delivery.target import Bounds, Delivery, Target

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS target (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, url TEXT NOT NULL,"
    " secret BLOB NOT NULL, headers TEXT NOT NULL, configured INTEGER NOT NULL, tls_ca TEXT NOT NULL,"
    " bounds TEXT NOT NULL, waiting INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0,"
    " delivered INTEGER NOT NULL DEFAULT 0, put_out INTEGER NOT NULL DEFAULT 0)",
    "CREATE TABLE IF NOT EXISTS delivery (id INTEGER PRIMARY KEY AUTOINCREMENT, target INTEGER NOT NULL,"
    " message TEXT NOT NULL, added_us INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0, headers TEXT NOT NULL,"
    " body BLOB NOT NULL, UNIQUE (target, message))",
    "CREATE INDEX IF NOT EXISTS delivery_by_target ON delivery (target, id)",
    "CREATE TABLE IF NOT EXISTS put_out (id INTEGER PRIMARY KEY AUTOINCREMENT, at_us INTEGER NOT NULL,"
    " target TEXT NOT NULL, message TEXT NOT NULL, added_us INTEGER NOT NULL, tries INTEGER NOT NULL,"
    " size INTEGER NOT NULL, digest BLOB NOT NULL, reason TEXT NOT NULL)",
)
Change = Callable[[sqlite3.Connection], Any]


@dataclass(frozen=True, slots=True)
class Queue:
    """What the file knows of one target. `oldest_us` is 0 where nothing waits; `tries` are of the oldest."""

    id: int
    target: Target
    waiting: int
    nbytes: int
    delivered: int
    put_out: int
    oldest_us: int
    tries: int


@dataclass(frozen=True, slots=True)
class PutOut:
    """A delivery that its target never took: what it was, and why it waits no more."""

    id: int
    at_us: int
    target: str
    message: str
    added_us: int
    tries: int
    size: int
    digest: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Added:
    """The delivery's number and its target's. `dropped`: how many older deliveries had to go, by their target."""

    id: int
    target: int
    dropped: Mapping[str, int]


class OutboxStore:
    """StoreError where the disk does not take it."""

    def __init__(self, path: Path) -> None:
        self._db = Database(path, SCHEMA, private=True)
        self._db.connection.execute("PRAGMA secure_delete = ON")

    def apply(self, changes: Sequence[Change]) -> list[Any]:
        """All of them in one commit, durable when it returns. What one raises as DeliveryError is its answer."""
        with self._db.transaction() as tx:
            return [_answer(change, tx) for change in changes]

    def queues(self) -> list[Queue]:
        return list(_queues(self._db.connection))

    def next(self, target: int) -> Delivery | None:
        """The oldest that waits."""
        query = "SELECT id, message, added_us, tries, headers, body FROM delivery WHERE target = ? ORDER BY id LIMIT 1"
        row = self._db.connection.execute(query, (target,)).fetchone()
        if row is None:
            return None
        number, message, added_us, tries, headers, body = row
        return Delivery(number, message, added_us, tries, json.loads(headers), body)

    def put_out(self, limit: int) -> list[PutOut]:
        """Newest first."""
        rows = self._db.connection.execute("SELECT * FROM put_out ORDER BY id DESC LIMIT ?", (limit,))
        return [PutOut(*row) for row in rows]

    def close(self) -> None:
        self._db.close()


def _answer(change: Change, tx: sqlite3.Connection) -> Any:
    try:
        return change(tx)
    except DeliveryError as e:  # what it wrote until then may stay: a target's settings, room that was made
        return e


def _queues(tx: sqlite3.Connection) -> Iterator[Queue]:
    oldest = "(SELECT MIN(id) FROM delivery WHERE target = t.id)"
    rows = tx.execute(
        "SELECT t.id, waiting, bytes, delivered, put_out, COALESCE(added_us, 0), COALESCE(tries, 0),"
        " name, url, secret, t.headers, configured, tls_ca, bounds"
        f" FROM target t LEFT JOIN delivery d ON d.id = {oldest} ORDER BY name"
    )
    for number, waiting, nbytes, delivered, put_out, oldest_us, tries, *of_target in rows.fetchall():
        name, url, secret, headers, configured, tls_ca, bounds = of_target
        allowed = Bounds(**json.loads(bounds))
        target = Target(name, url, secret, json.loads(headers), bool(configured), tls_ca, allowed)
        yield Queue(number, target, waiting, nbytes, delivered, put_out, oldest_us, tries)
