"""Opens custody.db: private to this user, of this version, one lock for all who write."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock

from chain.errors import StoreError
from chain.store.database import Database
from gateway.custody.schema import SCHEMA, VERSION

NAME = "custody.db"


class Store:
    """The tables of custody. Safe to call from several threads; calls block for moments."""

    def __init__(self, folder: Path) -> None:
        """Open or make `folder`/custody.db.

        Raises:
            StoreError: it cannot be opened, or a later version of the program made it.
        """
        self.path = folder / NAME
        self._db = Database(self.path, private=True)
        found = int(self._db.connection.execute("PRAGMA user_version").fetchone()[0])
        if found > VERSION:
            self._db.close()
            raise StoreError(f"{NAME} is of version {found}, this program knows {VERSION}; run the newer program")
        for statement in SCHEMA:
            self._db.connection.execute(statement)
        self._db.connection.execute(f"PRAGMA user_version = {VERSION}")
        self._lock = RLock()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, durable when the block has ended; a block within a block is part of the outer one."""
        with self._lock:
            if self._db.connection.in_transaction:
                yield self._db.connection
                return
            with self._db.transaction() as tx:
                yield tx

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part of a transaction that is undone alone where the block ends with an exception."""
        with self.transaction() as tx:
            tx.execute("SAVEPOINT part")
            try:
                yield
            except BaseException:
                tx.execute("ROLLBACK TO part")
                raise
            finally:
                tx.execute("RELEASE part")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for short questions: take all rows inside the block."""
        with self._lock:
            yield self._db.connection

    @contextmanager
    def apart(self) -> Iterator[Database]:
        """A connection of its own, for what reads for long."""
        own = Database(self.path, readonly=True)
        try:
            yield own
        finally:
            own.close()

    def close(self) -> None:
        with self._lock:
            self._db.close()
