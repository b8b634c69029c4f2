"""captures.db: the capture jobs, who brought them, and which records they stored.

A table of the gateway's own, which proves nothing: the records in the log do. Holds no event; of a refused one the
reason, which may quote some of it. Bounded in rows: the oldest go. Safe to call from several threads; calls block.
"""

import json
import secrets
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

from chain.store.database import Database
from gateway.access import now_us
from gateway.capture.errors import UnknownJobError

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS bringer (id INTEGER PRIMARY KEY, label TEXT NOT NULL UNIQUE)",
    # Until it has finished: pending, the 32-byte hashes of what is being stored; since, the log's size before; and
    # duplicates, how many of its events were known then.
    "CREATE TABLE IF NOT EXISTS job (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
    " bringer INTEGER NOT NULL, created_us INTEGER NOT NULL, finished_us INTEGER, proceed INTEGER NOT NULL,"
    " events INTEGER NOT NULL, stored INTEGER NOT NULL, duplicates INTEGER NOT NULL, errors TEXT NOT NULL,"
    " pending BLOB, since INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS job_running ON job (number) WHERE finished_us IS NULL",
    "CREATE TABLE IF NOT EXISTS brought (first INTEGER PRIMARY KEY, count INTEGER NOT NULL, job INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS brought_job ON brought (job)",
)
MAX_JOBS = 100_000
MAX_ERRORS = 100  # of one job that are kept
HASH_BYTES = 32
_ID_BYTES = 16
_COLUMNS = "number, job.id, label, created_us, finished_us, proceed, events, stored, duplicates, errors, pending, since"


@dataclass(frozen=True, slots=True)
class Refused:
    """An event that was not taken: its number in the document, from 0, where in the document, and why."""

    event: int
    place: str
    reason: str


@dataclass(frozen=True, slots=True)
class Job:
    """One capture. Times are microseconds since the Unix epoch; `finished_us` is None while it runs. `stored` events
    are new in the log, `duplicates` were there. `spans`: (first record, count) of what was stored."""

    number: int
    id: str
    by: str
    created_us: int
    finished_us: int | None
    proceed: bool
    events: int
    stored: int = 0
    duplicates: int = 0
    refused: tuple[Refused, ...] = ()
    spans: tuple[tuple[int, int], ...] = ()
    pending: bytes = b""
    since: int = 0

    @property
    def success(self) -> bool:
        return not self.refused


class Jobs:
    """The one writer of the file."""

    def __init__(self, path: Path) -> None:
        self._db, self._lock = Database(path, SCHEMA, private=True), Lock()
        self._late: dict[int, Job] = {}  # finished, and not in the file yet

    def begin(self, new: Sequence[Job]) -> list[Job]:
        """Note that these are being stored; they come back with their numbers, in one durable commit with those that
        have finished before."""
        with self._lock:
            with self._db.transaction() as tx:
                self._write_late(tx)
                begun = [replace(job, number=_insert(tx, job)) for job in new]
            self._late.clear()
            return begun

    def finish_later(self, jobs: Iterable[Job]) -> None:
        """What came of them, told from now on and written with the next commit. A gateway that is killed before finds
        them running and comes to the same by their hashes."""
        with self._lock:
            self._late.update((job.number, job) for job in jobs)

    def finish(self, jobs: Iterable[Job] = ()) -> None:
        """What came of them, and of those that had later time, in one durable commit."""
        self.finish_later(jobs)
        with self._lock:
            if self._late:
                with self._db.transaction() as tx:
                    self._write_late(tx)
                self._late.clear()

    def _write_late(self, tx: sqlite3.Connection) -> None:
        for job in self._late.values():
            _finish(tx, job)
        if self._late:
            _trim(tx)

    def running(self) -> list[Job]:
        """What was being stored when the gateway ended."""
        return self._jobs("finished_us IS NULL ORDER BY number")

    def job(self, job_id: str, by: str | None) -> Job:
        """With `by` only one of that label. UnknownJobError where there is none."""
        found = self._jobs("job.id = ? AND (? IS NULL OR label = ?)", job_id, by, by)
        if not found:
            raise UnknownJobError(f"there is no capture job {job_id!r:.80} of yours; the oldest are forgotten")
        return found[0]

    def page(self, by: str | None, before: int | None, limit: int) -> list[Job]:
        """Newest first, from behind the job of the number `before`."""
        rule = "(? IS NULL OR number < ?) AND (? IS NULL OR label = ?) ORDER BY number DESC LIMIT ?"
        return self._jobs(rule, before, before, by, by, limit)

    def close(self) -> None:
        with self._lock:  # a thread whose task was cancelled may still be at it
            self._db.close()

    def _jobs(self, rule: str, *values: object) -> list[Job]:
        query = f"SELECT {_COLUMNS} FROM job JOIN bringer ON bringer.id = bringer WHERE {rule}"
        with self._lock:
            rows = self._db.connection.execute(query, values).fetchall()
            return [self._job(*row) for row in rows]

    def _job(self, number: int, job_id: str, by: str, created: int, finished: int | None, proceed: int, events: int,
             stored: int, duplicates: int, errors: str, pending: bytes | None, since: int) -> Job:  # fmt: skip
        if number in self._late:
            return self._late[number]
        query = "SELECT first, count FROM brought WHERE job = ? ORDER BY first"
        spans = tuple(self._db.connection.execute(query, (number,)).fetchall())
        refused = tuple(Refused(*one) for one in json.loads(errors))
        return Job(number, job_id, by, created, finished, bool(proceed), events, stored, duplicates, refused, spans,
                   pending or b"", since)  # fmt: skip


def new_job(by: str, events: int, *, proceed: bool, refused: Sequence[Refused] = ()) -> Job:
    """A job that begins now. Its id cannot be guessed."""
    kept = tuple(refused[:MAX_ERRORS])
    return Job(0, secrets.token_hex(_ID_BYTES), by, now_us(), None, proceed, events, refused=kept)


def _insert(tx: sqlite3.Connection, job: Job) -> int:
    tx.execute("INSERT OR IGNORE INTO bringer (label) VALUES (?)", (job.by,))
    columns = "id, bringer, created_us, proceed, events, stored, duplicates, errors, pending, since"
    bringer = "(SELECT id FROM bringer WHERE label = ?)"
    values = (job.id, job.by, job.created_us, job.proceed, job.events, 0, job.duplicates, _errors(job),
              job.pending, job.since)  # fmt: skip
    row = tx.execute(f"INSERT INTO job ({columns}) VALUES (?, {bringer}, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    return int(row.lastrowid or 0)


def _finish(tx: sqlite3.Connection, job: Job) -> None:
    values = (job.finished_us, job.stored, job.duplicates, _errors(job), job.number)
    changed = "finished_us = ?, stored = ?, duplicates = ?, errors = ?, pending = NULL"
    tx.execute(f"UPDATE job SET {changed} WHERE number = ?", values)
    rows = [(first, count, job.number) for first, count in job.spans]
    tx.executemany("INSERT OR REPLACE INTO brought VALUES (?, ?, ?)", rows)


def _trim(tx: sqlite3.Connection) -> None:
    newest = tx.execute("SELECT MAX(number) FROM job").fetchone()[0] or 0
    tx.execute("DELETE FROM job WHERE number <= ?", (newest - MAX_JOBS,))
    tx.execute("DELETE FROM brought WHERE job <= ?", (newest - MAX_JOBS,))


def _errors(job: Job) -> str:
    said: list[Any] = [[one.event, one.place[:300], one.reason[:500]] for one in job.refused[:MAX_ERRORS]]
    return json.dumps(said)
