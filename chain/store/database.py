"""SQLite with one writer, durable commits, and many readers.

What `transaction()` has committed survives power loss: WAL with synchronous=FULL syncs before it returns.
The file is trusted to be ours; whether its content is still true is for fsck to say.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from chain.errors import DiskFullError, StoreError

UNREADABLE = (sqlite3.Error, UnicodeDecodeError)  # the latter: SQLite's message repeats bytes of a damaged schema
_PAGE_CACHE_KIB = 16 * 1024
_WAL_PAGES_BEFORE_CHECKPOINT = 1000  # its commit waits for the copy: some 10 ms, with 4000 pages 30 ms


class Database:
    """One connection to one SQLite file. Use it from one thread at a time; open another one for readers."""

    def __init__(
        self, path: Path, schema: Iterable[str] = (), *, readonly: bool = False, private: bool = False
    ) -> None:
        """Open or create the file and apply `schema` (idempotent CREATE statements). What is created `private` nobody
        but this user can read. Raises StoreError."""
        self.path = path
        if private:
            _make_private(path)
        mode = "ro" if readonly else "rwc"
        try:
            self.connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False
            )
            self._prepare(schema, readonly)
        except UNREADABLE as e:
            raise StoreError(f"cannot open {path.name} in {path.parent}: {e}") from e

    def _prepare(self, schema: Iterable[str], readonly: bool) -> None:
        run = self.connection.execute
        run("PRAGMA busy_timeout = 10000")
        run(f"PRAGMA cache_size = -{_PAGE_CACHE_KIB}")
        if readonly:
            run("PRAGMA query_only = ON")
            return
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        run(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES_BEFORE_CHECKPOINT}")
        for statement in schema:
            run(statement)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, durable when the block has ended without an exception."""
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            yield self.connection
            self.connection.execute("COMMIT")
        except BaseException as e:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            if isinstance(e, sqlite3.Error):
                raise _store_error(self.path, e) from e
            raise

    def touch(self, tx: sqlite3.Connection) -> None:
        """Make a transaction write that has nothing to write: only a write shows that the disk takes one."""
        tx.execute("CREATE TABLE touched (n)")
        tx.execute("DROP TABLE touched")

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Several reads of one state, whatever the writer does meanwhile."""
        self.connection.execute("BEGIN")
        try:
            yield self.connection
        finally:
            self.connection.execute("COMMIT")

    def empty_journal(self) -> None:
        """Move everything out of the write-ahead log and cut it to nothing, so that no copy of a row stays there.
        StoreError where somebody reads for so long that it cannot be done now."""
        try:
            busy, _, _ = self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as e:
            raise _store_error(self.path, e) from e
        if busy:
            raise StoreError(f"{self.path.name} is being read for long; its journal cannot be emptied now")

    def require_intact(self) -> None:
        """StoreError where SQLite finds pages, rows or indexes of the file that do not fit together, or where somebody
        added what would act by itself."""
        try:
            found = self.connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            added = self.connection.execute(
                "SELECT name FROM sqlite_master WHERE type IN ('trigger', 'view')"
            ).fetchone()
        except UNREADABLE as e:
            raise StoreError(f"{self.path.name} is damaged: {e}; restore a backup") from e
        if found != "ok":
            raise StoreError(f"{self.path.name} is damaged: {found.strip()}; restore a backup")
        if added:
            raise StoreError(f"{self.path.name} holds a trigger or view, {added[0]}, that this program did not make")

    def close(self) -> None:
        self.connection.close()


def _make_private(path: Path) -> None:
    """SQLite gives its journals the mode of the file."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as e:
        mend = "see whose the data directory is, and whether its disk can be written"
        raise StoreError(f"cannot open {path.name} in {path.parent}: {e.strerror}; {mend}") from e


def _store_error(path: Path, error: sqlite3.Error) -> StoreError:
    if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
        return DiskFullError(f"no room to write {path.name}: {error}; free disk space, nothing acknowledged is lost")
    if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
        mend = "see whether the disk is mounted read-only, over a quota or failing; nothing acknowledged is lost"
        return StoreError(f"cannot write {path.name}: {error}; {mend}")
    return StoreError(f"cannot write {path.name}: {error}")
