"""Compares the record index with one that is built anew from the log: altered, removed, added and swapped rows.

Believes the log and the payloads, which fsck checks. Works beside a running gateway: it looks at one snapshot of the
index. The second index lies in a private temporary folder for that long, as large as the first. Limits of a source
that were changed afterwards may explain a difference in `point.outside`; building the index anew settles that.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from chain.errors import StoreError
from chain.site import Folder, SiteReader
from chain.store.database import Database
from crypto.errors import SealtrailError
from gateway.index.follower import BATCH, Index, Settings
from gateway.index.schema import TABLES, VERSION

Progress = Callable[[str, int, int], None]


class IndexMismatchError(SealtrailError):
    """The record index does not say what the log says; delete index.db, and it is built again."""


def check_index(folder: Folder, settings: Settings, progress: Progress = lambda what, done, total: None) -> int:
    """How many leaves the index holds, all as the log has them; IndexMismatchError names the first false row."""
    if not folder.index.exists():
        raise StoreError(f"{folder.root} has no index.db; `sealtrail records` or a gateway builds it")
    try:
        with TemporaryDirectory(prefix="sealtrail-index-") as scratch, closing(SiteReader.open(folder)) as reader:
            return _compare(folder, reader, Path(scratch) / "index.db", settings, progress)
    except sqlite3.Error as e:
        raise IndexMismatchError(f"index.db cannot be read: {e}; delete it, and it is built again") from e


def _compare(folder: Folder, reader: SiteReader, scratch: Path, settings: Settings, progress: Progress) -> int:
    with (
        closing(Index(folder, settings, scratch)) as built,
        closing(Database(folder.index, readonly=True)) as stored,
    ):
        connection = stored.connection
        _require_readable(stored)
        connection.execute("ATTACH ? AS built", (f"{scratch.as_uri()}?mode=ro",))
        with stored.snapshot():
            size = _position(connection, reader.entries.size())
            while built.position < size and built.follow(reader, min(BATCH, size - built.position)):
                progress("index", built.position, size)
            for table in TABLES:
                _require_same(connection, table)
    return size


def _require_readable(stored: Database) -> None:
    stored.require_intact()
    version = stored.connection.execute("PRAGMA user_version").fetchone()[0]
    if version != VERSION:
        raise IndexMismatchError(
            f"index.db is of version {version}, not {VERSION}; it is built again at the next start"
        )


def _position(connection: sqlite3.Connection, size: int) -> int:
    row = connection.execute("SELECT next_leaf FROM position").fetchone()
    position = row[0] if row else 0
    if type(position) is not int or not 0 <= position <= size:
        raise IndexMismatchError(f"index.db, table position: it says {position} leaves, the log has {size}; delete it")
    return position


def _require_same(connection: sqlite3.Connection, table: str) -> None:
    for here, there, said in (("main", "built", "the log gives no"), ("built", "main", "it lacks the")):
        row = connection.execute(
            f"SELECT * FROM {here}.{table} EXCEPT SELECT * FROM {there}.{table} LIMIT 1"
        ).fetchone()
        if row is not None:
            shown = ", ".join(f"{value!r:.60}" for value in row)
            raise IndexMismatchError(f"index.db, table {table}: {said} row ({shown}); delete it, and it is built again")
