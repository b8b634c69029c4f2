"""What every index of a site has in common: it follows the log off the hot path, is derived, and can be deleted.

Rows and position go into the index's file in one transaction. After a crash it goes on where it was. An index of
another log, of another history (a restored or forked site), of another version, or a file that SQLite cannot read is
thrown away and built again. So is one that was begun before payloads were erased: nothing of it stays in the file or
in its journal. It holds values in clear, so the file is private (mode 0600).
"""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import ClassVar

from chain.erasing import scrub
from chain.errors import LogError, StoreError
from chain.log.proofs import root_at
from chain.site import Folder, SiteReader
from chain.store.database import Database
from chain.store.segment import StoredEvent
from crypto.errors import DecryptionError
from crypto.merkle import EMPTY_ROOT

BATCH = 4096
# Bytes of payloads in one transaction. An event of 60 KB may name a thousand packs, and each is several rows, some
# hundred times as many as a reading has: a step that counts leaves alone may come to half a gigabyte.
MOST_BYTES = 512 * 1024
# One row: how far the log was followed, the root that the log had there, and how many erasures had destroyed what was
# stored when the index was begun.
POSITION = (
    "CREATE TABLE IF NOT EXISTS position (id INTEGER PRIMARY KEY CHECK (id = 0), origin TEXT NOT NULL,"
    " next_leaf INTEGER NOT NULL, root BLOB NOT NULL, erasures INTEGER NOT NULL)"
)

Write = Callable[[sqlite3.Connection], None]


class LogIndex(ABC):
    """The one writer of one index. Use it from one thread at a time."""

    what: ClassVar[str]  # what messages call it
    schema: ClassVar[tuple[str, ...]]
    tables: ClassVar[tuple[str, ...]]
    version: ClassVar[int]

    def __init__(self, folder: Folder, path: Path) -> None:
        self._origin = folder.origin
        self._db = _open(path, self.what, self.schema, self.version)
        self._checked = False
        self._erasures = 0
        self.cut = False  # the last step ended before the leaf it was asked for: its payloads were large

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
        """Index up to `limit` more leaves, fewer where their payloads are large; returns how many, 0 when the index is
        up to date."""
        erasures = reader.erasures.destroyed()  # before any payload is read
        size = reader.entries.size()
        start = self._start(reader, size, erasures)
        asked = min(size, start + limit)
        self.cut = False
        if start == asked:
            return 0
        stop, write = self.read(reader, start, asked)
        self.cut = stop < asked
        root = root_at(reader.entries, stop)
        with self._db.transaction() as tx:
            write(tx)
            tx.execute("INSERT OR REPLACE INTO position VALUES (0, ?, ?, ?, ?)", (self._origin, stop, root, erasures))
        return stop - start

    @abstractmethod
    def read(self, reader: SiteReader, start: int, stop: int) -> tuple[int, Write]:
        """Read the leaves start … stop-1, or as many of them as `first_events` gives; return the leaf behind the last
        one and what writes their rows."""

    def rebuild(self) -> None:
        """Forget everything, also in free pages and the journal; the next `follow` starts at leaf 0. Readers see the
        old rows until then, or none."""
        with self._db.transaction() as tx:
            for table in self.tables:
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


def stored_events(reader: SiteReader, leaves: Iterable[int]) -> Iterator[tuple[int, StoredEvent]]:
    """The stored events of these leaves, which ascend. A leaf whose payload does not open has none here: it is sealed
    to others, erased or damaged, and stays findable by what its record says itself."""
    closed, segment = -1, None
    for leaf in leaves:
        if leaf < closed:
            continue
        if segment is None or leaf >= segment.first_leaf + len(segment.events):
            try:
                segment = reader.payloads.segment_of(leaf)
            except DecryptionError:
                run = reader.payloads.run_of(leaf)
                closed, segment = run[0] + run[1] if run else leaf + 1, None
        if segment is not None:
            yield leaf, segment.events[leaf - segment.first_leaf]


def first_events(
    reader: SiteReader, leaves: Iterable[int], stop: int
) -> tuple[list[tuple[int, StoredEvent]], int]:  # fmt: skip
    """As many stored events of these leaves as go into one step, one at least where there is any, and the leaf before
    which they end: `stop` where that is all of them."""
    taken: list[tuple[int, StoredEvent]] = []
    room = MOST_BYTES
    for leaf, stored in stored_events(reader, leaves):
        room -= len(stored.event)
        if room < 0 and taken:
            return taken, leaf
        taken.append((leaf, stored))
    return taken, stop


def _open(path: Path, what: str, schema: tuple[str, ...], version: int) -> Database:
    """Open or make the file, private to this user; what cannot be read as this version is deleted first."""
    try:
        if path.exists() and _version(path) != version:
            _delete(path)
    except OSError as e:
        raise StoreError(f"cannot open the {what} {path.name}: {e.strerror}") from e
    db = Database(path, schema, private=True)
    run = db.connection.execute
    run(f"PRAGMA user_version = {version}")
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
