"""Follows the log, off the hot path: rows and position go into index.db in one transaction.

After a crash it goes on where it was. An index of another log, of another history (a restored or forked
site), of another version, or a file that SQLite cannot read is thrown away and built again. So is one that was begun
before payloads were erased: nothing of it stays in the file or in its journal.
"""

import os
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

from chain.erasing import scrub
from chain.errors import LogError, StoreError
from chain.log.proofs import root_at
from chain.record import parts
from chain.site import Folder, SiteReader
from chain.store.database import Database
from chain.store.segment import Fields
from crypto.errors import DecryptionError
from crypto.merkle import EMPTY_ROOT
from gateway.access import SourceSettings
from gateway.index.rows import RowWriter
from gateway.index.schema import SCHEMA, TABLES, VERSION

BATCH = 4096

Settings = Callable[[], Mapping[str, SourceSettings]]


class Index:
    """The one writer of a site's record index. Use it from one thread at a time."""

    def __init__(self, folder: Folder, settings: Settings = dict, path: Path | None = None) -> None:
        """`settings` gives the sources' present limits: they tell which series of a flagged pack was outside.
        `path` is another place than the folder's index.db."""
        self._origin = folder.origin
        self._db = _open(path or folder.index)
        self._settings = settings
        self._checked = False
        self._erasures = 0

    @property
    def position(self) -> int:
        """How many leaves of the log are in the index."""
        row = self._db.connection.execute("SELECT next_leaf FROM position").fetchone()
        return int(row[0]) if row else 0

    @property
    def erasures(self) -> int:
        """How many erasures it has forgotten the values of."""
        return self._erasures

    def follow(self, reader: SiteReader, limit: int = BATCH) -> int:
        """Index up to `limit` more leaves; returns how many, 0 when the index is up to date."""
        erasures = reader.erasures.destroyed()  # before any payload is read
        size = reader.entries.size()
        start = self._start(reader, size, erasures)
        stop = min(size, start + limit)
        if start == stop:
            return 0
        records = [parts(entry) for entry in reader.entries.entries(start, stop)]
        fields = _stored_fields(reader, start, stop)
        root = root_at(reader.entries, stop)
        with self._db.transaction() as tx:
            rows = RowWriter(tx, self._settings)
            for leaf, (source, numbers) in enumerate(records, start):
                rows.add(leaf, source, numbers, fields.get(leaf))
            rows.finish()
            tx.execute("INSERT OR REPLACE INTO position VALUES (0, ?, ?, ?, ?)", (self._origin, stop, root, erasures))
        return stop - start

    def rebuild(self) -> None:
        """Forget everything, also in free pages and the journal; the next `follow` starts at leaf 0. Readers see the
        old rows until then, or none."""
        with self._db.transaction() as tx:
            for table in TABLES:
                tx.execute(f"DELETE FROM {table}")
        scrub(self._db)

    def close(self) -> None:
        self._db.close()

    def _start(self, reader: SiteReader, size: int, erasures: int) -> int:
        """The next leaf to index, after making sure that the rows belong to this log and its history, and hold nothing
        that was erased since."""
        row = self._db.connection.execute("SELECT origin, next_leaf, root, erasures FROM position").fetchone()
        if row is None and erasures == self._erasures:
            return 0
        origin, position, root, known = row or ("", 0, b"", -1)
        same = (origin, known) == (self._origin, erasures) and position <= size
        if not same or not self._same_history(reader, position, root):
            self.rebuild()
            self._erasures = erasures
            return 0
        self._erasures = erasures
        self._checked = True  # the log is append-only while this process holds it
        return int(position)

    def _same_history(self, reader: SiteReader, position: int, root: bytes) -> bool:
        if self._checked:
            return True
        try:
            return root == (root_at(reader.entries, position) if position else EMPTY_ROOT)
        except LogError:
            return False


def forget_index(folder: Folder) -> None:
    """Empty the record index of a site that nobody follows now, where there is one; it is built again later."""
    if folder.index.exists():
        index = Index(folder)
        try:
            index.rebuild()
        finally:
            index.close()


def _stored_fields(reader: SiteReader, start: int, stop: int) -> dict[int, Fields]:
    """Fields of the leaves that have a payload which still opens."""
    found: dict[int, Fields] = {}
    leaf = start
    while leaf < stop:
        try:
            segment = reader.payloads.segment_of(leaf)
        except DecryptionError:  # sealed to others, or damaged: the record stays findable by what it says itself
            run = reader.payloads.run_of(leaf)
            leaf = run[0] + run[1] if run else leaf + 1
            continue
        if segment is None:
            leaf += 1
            continue
        end = segment.first_leaf + len(segment.events)
        for at in range(leaf, min(end, stop)):
            found[at] = segment.events[at - segment.first_leaf].fields
        leaf = end
    return found


def _open(path: Path) -> Database:
    """Open or make the file, private to this user; what cannot be read as this version is deleted first."""
    try:
        if path.exists() and _version(path) != VERSION:
            _delete(path)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as e:
        raise StoreError(f"cannot open the record index {path.name}: {e.strerror}") from e
    db = Database(path, SCHEMA)
    run = db.connection.execute
    run(f"PRAGMA user_version = {VERSION}")
    run("PRAGMA synchronous = NORMAL")  # what a power cut takes is read from the log again
    run("PRAGMA secure_delete = ON")  # rows of erased subjects shall not stay in free pages
    return db


def _version(path: Path) -> int | None:
    try:
        connection = sqlite3.connect(path)
        try:
            return int(connection.execute("PRAGMA user_version").fetchone()[0])
        finally:
            connection.close()
    except sqlite3.DatabaseError:
        return None


def _delete(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
