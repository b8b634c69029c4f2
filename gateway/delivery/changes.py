"""What changes in the outbox's file: deliveries come, are taken, fail, are put out. Here are its bounds.

Each function makes a change, which runs in a transaction of gateway.delivery.store.
"""

import json
import secrets
import sqlite3
import time
from collections import Counter
from collections.abc import Mapping
from hashlib import sha256

from gateway.delivery.errors import OutboxFullError
from gateway.delivery.store import Added, Change
from gateway.delivery.target import Delivery, Target

MAX_TARGETS = 1000
MAX_PUT_OUT = 10_000  # then the oldest goes
ROW_BYTES = 200  # counted for each row beside its body


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
