"""alarms.db: the alarms, and how far each target was told. Mode 0600; safe to call from several threads.

Bounded: beyond its bound the table drops rows and counts them: first those that somebody has acknowledged, then alerts
of this site, then those from the ledger, of each the oldest. Of one source and kind this site's alerts make one alarm a
minute, which counts them, so that a logger that goes in and out of its range buries nothing.
"""

import json
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

from chain.store.database import Database
from gateway.alarms.alarm import Acknowledgement, Alarm, What
from gateway.alarms.errors import AlarmError

NAME = "alarms.db"
_GOING = "by IS NULL, what <> 'site', id"  # who goes first
_KIND = "json_extract(numbers, '$.kind')"
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS alarm (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE,"
    " at_us INTEGER NOT NULL, what TEXT NOT NULL, subject TEXT NOT NULL, text TEXT NOT NULL, numbers TEXT NOT NULL,"
    " links TEXT NOT NULL, by TEXT, reason TEXT, acknowledged_us INTEGER)",
    "CREATE INDEX IF NOT EXISTS alarm_pending ON alarm (id) WHERE by IS NULL",
    f"CREATE INDEX IF NOT EXISTS alarm_going ON alarm ({_GOING})",
    f"CREATE INDEX IF NOT EXISTS alarm_alike ON alarm (subject, {_KIND}, id) WHERE what = 'site'",
    "CREATE TABLE IF NOT EXISTS target (name TEXT PRIMARY KEY, next INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS mark (name TEXT PRIMARY KEY, value INTEGER NOT NULL)",
)
MAX_ALARMS = 50_000
MAX_TEXT = 2000
MINUTE_US = 60_000_000
LEDGER, ALERTS, DROPPED = "ledger", "alerts", "dropped"  # marks: what was heeded last, and how many rows fell out
_COLUMNS = "id, key, at_us, what, subject, text, numbers, links, by, reason, acknowledged_us"


class AlarmStore:
    """Calls block for moments."""

    def __init__(self, folder: Path) -> None:
        self._db, self._lock = Database(folder / NAME, SCHEMA, private=True), Lock()

    def raise_all(self, found: Iterable[Alarm], mark: tuple[str, int] | None = None) -> list[Alarm]:
        """Keep those whose key is new, with their ids, and that their origin was heeded up to `mark`: one commit."""
        with self._lock, self._db.transaction() as tx:
            if mark and _mark(tx, mark[0]) >= mark[1]:
                return []
            new = [alarm for one in found if (alarm := _insert(tx, one))]
            if mark:
                tx.execute("INSERT OR REPLACE INTO mark VALUES (?, ?)", mark)
            _trim(tx)
        return new

    def mark(self, name: str, newest: int) -> int:
        """What was heeded last. `newest`, which is then kept, where nothing was, or where the mark lies behind it: the
        origin was put back from a backup, and what it says from now on is new."""
        query = "INSERT INTO mark VALUES (?, ?) ON CONFLICT DO UPDATE SET value = MIN(value, excluded.value)"
        with self._lock, self._db.transaction() as tx:
            tx.execute(query, (name, newest))
            return _mark(tx, name)

    def acknowledge(self, number: int, by: str, reason: str) -> Alarm:
        """Note who has seen to it. AlarmError where it is not there, or another person did so before."""
        said = Acknowledgement(by, reason, time.time_ns() // 1000)
        with self._lock, self._db.transaction() as tx:
            row = tx.execute(f"SELECT {_COLUMNS} FROM alarm WHERE id = ?", (number,)).fetchone()
            if row is None:
                raise AlarmError(f"no alarm {number} is kept here")
            known = _alarm(row)
            if known.acknowledged is not None:
                return known
            query = "UPDATE alarm SET by = ?, reason = ?, acknowledged_us = ? WHERE id = ?"
            tx.execute(query, (by, reason, said.at_us, number))
        return replace(known, acknowledged=said)

    def after(self, number: int, limit: int) -> list[Alarm]:
        """Those with higher ids, oldest first."""
        return self._select("id > ? ORDER BY id LIMIT ?", number, limit)

    def page(self, before: int | None, limit: int, *, pending: bool) -> list[Alarm]:
        """Newest first; `pending`: only those that nobody has acknowledged."""
        condition = "id < ? AND by IS NULL" if pending else "id < ?"
        return self._select(f"{condition} ORDER BY id DESC LIMIT ?", 2**63 - 1 if before is None else before, limit)

    def newest(self) -> int:
        """The highest id that was ever given, 0 before the first."""
        with self._lock:
            row = self._db.connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'alarm'").fetchone()
        return 0 if row is None else int(row[0])

    def counts(self) -> tuple[int, int, int]:
        """Rows kept, those that nobody has acknowledged, and those that fell out."""
        with self._lock:
            run = self._db.connection.execute
            kept, done = run("SELECT COUNT(*), COUNT(by) FROM alarm").fetchone()
            row = run("SELECT value FROM mark WHERE name = ?", (DROPPED,)).fetchone()
        return kept, kept - done, 0 if row is None else row[0]

    def pending(self, most: int) -> tuple[bool, int]:
        """Whether any alarm is kept, and how many nobody has acknowledged, counted up to `most`. Quick however many."""
        with self._lock:
            run = self._db.connection.execute
            some = run("SELECT 1 FROM alarm LIMIT 1").fetchone() is not None
            query = "SELECT COUNT(*) FROM (SELECT 1 FROM alarm WHERE by IS NULL LIMIT ?)"
            return some, int(run(query, (most,)).fetchone()[0])

    def next_for(self, target: str) -> int:
        """The id that a target is told next; a new target begins behind the newest."""
        with self._lock, self._db.transaction() as tx:
            row = tx.execute("SELECT seq FROM sqlite_sequence WHERE name = 'alarm'").fetchone()
            tx.execute("INSERT OR IGNORE INTO target VALUES (?, ?)", (target, 1 + (row[0] if row else 0)))
            return int(tx.execute("SELECT next FROM target WHERE name = ?", (target,)).fetchone()[0])

    def told(self, target: str, upto: int) -> None:
        with self._lock, self._db.transaction() as tx:
            tx.execute("UPDATE target SET next = MAX(next, ?) WHERE name = ?", (upto + 1, target))

    def keep_targets(self, names: Iterable[str]) -> list[str]:
        """Forget all other targets; their names."""
        wanted = set(names)
        with self._lock, self._db.transaction() as tx:
            gone = [row[0] for row in tx.execute("SELECT name FROM target ORDER BY name") if row[0] not in wanted]
            tx.executemany("DELETE FROM target WHERE name = ?", [(name,) for name in gone])
        return gone

    def close(self) -> None:
        with self._lock:  # a thread whose task was cancelled may still be at it
            self._db.close()

    def _select(self, condition: str, *values: int) -> list[Alarm]:
        with self._lock:
            rows = self._db.connection.execute(f"SELECT {_COLUMNS} FROM alarm WHERE {condition}", values).fetchall()
        return [_alarm(row) for row in rows]


def _insert(tx: sqlite3.Connection, one: Alarm) -> Alarm | None:
    """The alarm with its id; None where its key is known, or another one counts it."""
    if one.what is What.SITE and (before := _alike(tx, one)):
        if before.acknowledged is None and abs(one.at_us - before.at_us) < MINUTE_US:
            _count(tx, before.id)
            return None
        if before.numbers["count"] > 1:
            more = before.numbers["count"] - 1
            one = replace(one, text=f"{one.text}; {more:,} more came within a minute of alarm {before.id}")
    values = (
        one.key, one.at_us, str(one.what), one.subject, one.text[:MAX_TEXT], json.dumps(dict(one.numbers)),
        json.dumps(dict(one.links)),
    )  # fmt: skip
    columns = "key, at_us, what, subject, text, numbers, links"
    query = f"INSERT OR IGNORE INTO alarm ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id"
    row = tx.execute(query, values).fetchone()
    return None if row is None else replace(one, id=row[0], text=one.text[:MAX_TEXT])


def _alike(tx: sqlite3.Connection, one: Alarm) -> Alarm | None:
    """The newest alarm of an alert of the same source and kind; None for one that is kept already."""
    known = "NOT EXISTS (SELECT 1 FROM alarm WHERE key = ?)"
    query = f"SELECT {_COLUMNS} FROM alarm WHERE what = 'site' AND subject = ? AND {_KIND} = ? AND {known}"
    row = tx.execute(f"{query} ORDER BY id DESC LIMIT 1", (one.subject, one.numbers.get("kind"), one.key)).fetchone()
    return None if row is None else _alarm(row)


def _count(tx: sqlite3.Connection, number: int) -> None:
    count = "json_extract(numbers, '$.count') + 1"
    tx.execute(f"UPDATE alarm SET numbers = json_set(numbers, '$.count', {count}) WHERE id = ?", (number,))


def _mark(tx: sqlite3.Connection, name: str) -> int:
    row = tx.execute("SELECT value FROM mark WHERE name = ?", (name,)).fetchone()
    return -1 if row is None else int(row[0])


def _trim(tx: sqlite3.Connection) -> None:
    over = tx.execute("SELECT COUNT(*) FROM alarm").fetchone()[0] - MAX_ALARMS
    if over > 0:
        query = f"DELETE FROM alarm WHERE id IN (SELECT id FROM alarm ORDER BY {_GOING} LIMIT ?)"
        gone = tx.execute(query, (over,)).rowcount
        add = "INSERT INTO mark VALUES (?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value"
        tx.execute(add, (DROPPED, gone))


def _alarm(row: tuple[Any, ...]) -> Alarm:
    number, key, at_us, what, subject, text, numbers, links, by, reason, acknowledged_us = row
    done = None if by is None else Acknowledgement(by, reason, acknowledged_us)
    return Alarm(number, key, at_us, What(what), subject, text, json.loads(numbers), json.loads(links), done)
