"""outbox.db: what waits for each target. Bodies lie there in clear (mode 0600) until they are taken, then are gone.

Several changes are one commit. A table of the gateway's own, which proves nothing. Used by one thread at a time.
"""

import json
import secrets
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from chain.store.database import Database
from gateway.delivery.errors import DeliveryError, OutboxFullError
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
MAX_TARGETS = 1000
MAX_PUT_OUT = 10_000  # then the oldest goes
ROW_BYTES = 200  # counted for each row beside its body
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


def new_message() -> str:
    """A random id, as Standard Webhooks wants one."""
    return f"msg_{secrets.token_hex(16)}"


def adding(target: Target, message: str, headers: Mapping[str, str], body: bytes, most_bytes: int) -> Change:
    """Put a delivery behind those that wait; Added. The same message again is the one that is there already.
    `most_bytes` bounds what waits for all targets together: who has most loses its oldest."""

    def change(tx: sqlite3.Connection) -> Added:
        size = len(body) + ROW_BYTES
        if size > min(target.bounds.nbytes, most_bytes):
            raise OutboxFullError(f"{len(body):,} bytes are more than may ever wait for {target.name}")
        at = _target(tx, target)
        same = tx.execute("SELECT id FROM delivery WHERE target = ? AND message = ?", (at, message)).fetchone()
        if same:
            return Added(same[0], at, {})
        dropped = Counter({target.name: _make_room(tx, at, target, size)})
        dropped.update(_make_room_for_all(tx, size, most_bytes))
        values = (at, message, time.time_ns() // 1000, json.dumps(dict(headers)), body)
        columns = "target, message, added_us, headers, body"
        row = tx.execute(f"INSERT INTO delivery ({columns}) VALUES (?, ?, ?, ?, ?)", values)
        _count(tx, at, 1, size)
        return Added(int(row.lastrowid or 0), at, +dropped)

    return change


def taken(target: int, delivery: Delivery) -> Change:
    """Its receiver took it."""

    def change(tx: sqlite3.Connection) -> None:
        if _remove(tx, target, delivery.id):
            tx.execute("UPDATE target SET delivered = delivered + 1 WHERE id = ?", (target,))

    return change


def failed(delivery: Delivery) -> Change:
    return lambda tx: tx.execute("UPDATE delivery SET tries = tries + 1 WHERE id = ?", (delivery.id,))


def giving_up(target: int, delivery: Delivery, reason: str) -> Change:
    """It waits no more; what it was is kept."""
    return lambda tx: _put_out(tx, target, delivery.id, reason)


def removing(name: str) -> Change:
    """Forget a target and all that waits for it; how many that were."""

    def change(tx: sqlite3.Connection) -> int:
        row = tx.execute("SELECT id FROM target WHERE name = ?", (name,)).fetchone()
        if row is None:
            return 0
        gone = tx.execute("DELETE FROM delivery WHERE target = ?", row).rowcount
        tx.execute("DELETE FROM target WHERE id = ?", row)
        return gone

    return change


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


def _target(tx: sqlite3.Connection, target: Target) -> int:
    """The row of a target, with what counts for it from now on."""
    bounds = {name: getattr(target.bounds, name) for name in ("rows", "nbytes", "age_s", "refuse")}
    headers = json.dumps(dict(target.headers))
    values = (target.url, target.secret, headers, target.configured, target.tls_ca, json.dumps(bounds))
    known = tx.execute("SELECT id FROM target WHERE name = ?", (target.name,)).fetchone()
    if known:
        query = (
            "UPDATE target SET url = ?, secret = ?, headers = ?, configured = ?, tls_ca = ?, bounds = ? WHERE id = ?"
        )
        tx.execute(query, (*values, known[0]))
        return int(known[0])
    if tx.execute("SELECT COUNT(*) FROM target").fetchone()[0] >= MAX_TARGETS:
        raise OutboxFullError(f"the outbox has {MAX_TARGETS} targets; remove one that is not needed any more")
    columns = "url, secret, headers, configured, tls_ca, bounds, name"
    row = tx.execute(f"INSERT INTO target ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", (*values, target.name))
    return int(row.lastrowid or 0)


def _make_room(tx: sqlite3.Connection, at: int, target: Target, size: int) -> int:
    """Put out the oldest until one more fits; how many that were."""
    dropped, bounds = 0, target.bounds
    while True:
        rows, nbytes = tx.execute("SELECT waiting, bytes FROM target WHERE id = ?", (at,)).fetchone()
        if rows < bounds.rows and nbytes + size <= bounds.nbytes:
            return dropped
        said = f"{target.name} has {rows:,} deliveries waiting with {nbytes:,} bytes, which is the bound"
        if bounds.refuse:
            raise OutboxFullError(f"{said}; see why its receiver does not take them")
        _put_out(tx, at, _oldest(tx, at), said)
        dropped += 1


def _make_room_for_all(tx: sqlite3.Connection, size: int, most_bytes: int) -> Counter[str]:
    dropped = Counter[str]()
    while tx.execute("SELECT SUM(bytes) FROM target").fetchone()[0] + size > most_bytes:
        loses = "waiting AND NOT json_extract(bounds, '$.refuse')"
        row = tx.execute(f"SELECT id, name FROM target WHERE {loses} ORDER BY bytes DESC LIMIT 1").fetchone()
        said = f"all that waits in the outbox has reached its bound of {most_bytes:,} bytes"
        if row is None:
            raise OutboxFullError(f"{said}; see delivery.max_bytes")
        _put_out(tx, row[0], _oldest(tx, row[0]), said)
        dropped[row[1]] += 1
    return dropped


def _oldest(tx: sqlite3.Connection, target: int) -> int:
    return int(tx.execute("SELECT MIN(id) FROM delivery WHERE target = ?", (target,)).fetchone()[0])


def _put_out(tx: sqlite3.Connection, target: int, delivery: int, reason: str) -> None:
    columns = "t.name, message, added_us, tries, body"
    query = f"SELECT {columns} FROM delivery d JOIN target t ON t.id = d.target WHERE d.id = ?"
    row = tx.execute(query, (delivery,)).fetchone()
    if row is None or not _remove(tx, target, delivery):
        return
    tx.execute("UPDATE target SET put_out = put_out + 1 WHERE id = ?", (target,))
    values = (time.time_ns() // 1000, *row[:4], len(row[4]), sha256(row[4]).digest(), reason[:1000])
    columns = "at_us, target, message, added_us, tries, size, digest, reason"
    number = tx.execute(f"INSERT INTO put_out ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values).lastrowid
    tx.execute("DELETE FROM put_out WHERE id <= ?", ((number or 0) - MAX_PUT_OUT,))


def _remove(tx: sqlite3.Connection, target: int, delivery: int) -> bool:
    row = tx.execute("DELETE FROM delivery WHERE id = ? RETURNING length(body)", (delivery,)).fetchone()
    if row is None:
        return False
    _count(tx, target, -1, -(row[0] + ROW_BYTES))
    return True


def _count(tx: sqlite3.Connection, target: int, rows: int, nbytes: int) -> None:
    tx.execute("UPDATE target SET waiting = waiting + ?, bytes = bytes + ? WHERE id = ?", (rows, nbytes, target))
