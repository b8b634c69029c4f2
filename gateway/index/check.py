"""Compares an index with one that is built anew from the log: altered, removed, added and swapped rows.

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
from gateway.index.follower import Index, Settings
from gateway.index.following import BATCH, LogIndex

Progress = Callable[[str, int, int], None]


class IndexMismatchError(SealtrailError):
    """An index does not say what the log says; delete its file, and it is built again."""


def check_index(folder: Folder, settings: Settings, progress: Progress = lambda what, done, total: None) -> int:
    """How many leaves the record index holds, all as the log has them; IndexMismatchError names the first false
    row."""
    if not folder.index.exists():
        raise StoreError(f"{folder.root} has no index.db; `sealtrail records` or a gateway builds it")
    return check_any(folder, folder.index, lambda path: Index(folder, settings, path), progress)


def check_any(folder: Folder, path: Path, built_at: Callable[[Path], LogIndex], progress: Progress) -> int:
    """The same of any index, in the file `path`; `built_at` makes an empty one elsewhere."""
    try:
        with (
            TemporaryDirectory(prefix="sealtrail-index-") as scratch,
            closing(SiteReader.open(folder)) as reader,
            closing(built_at(Path(scratch) / path.name)) as built,
            closing(Database(path, readonly=True)) as stored,
        ):
            return _compare(reader, built, stored, Path(scratch) / path.name, progress)
    except sqlite3.Error as e:
        raise IndexMismatchError(f"{path.name} cannot be read: {e}; delete it, and it is built again") from e


def _compare(reader: SiteReader, built: LogIndex, stored: Database, scratch: Path, progress: Progress) -> int:
    connection = stored.connection
    _require_readable(stored, built.version)
    connection.execute("ATTACH ? AS built", (f"{scratch.as_uri()}?mode=ro",))
    with stored.snapshot():
        size = _position(stored, reader.entries.size())
        while built.position < size and built.follow(reader, min(BATCH, size - built.position)):
            progress("index", built.position, size)
        for table in built.tables:
            _require_same(stored, table)
    return size


def _require_readable(stored: Database, wanted: int) -> None:
    stored.require_intact()
    version = stored.connection.execute("PRAGMA user_version").fetchone()[0]
    if version != wanted:
        raise IndexMismatchError(
            f"{stored.path.name} is of version {version}, not {wanted}; it is built again at the next start"
        )


def _position(stored: Database, size: int) -> int:
    row = stored.connection.execute("SELECT next_leaf FROM position").fetchone()
    position = row[0] if row else 0
    if type(position) is not int or not 0 <= position <= size:
        said = f"it says {position} leaves, the log has {size}"
        raise IndexMismatchError(f"{stored.path.name}, table position: {said}; delete it")
    return position


def _require_same(stored: Database, table: str) -> None:
    for here, there, said in (("main", "built", "the log gives no"), ("built", "main", "it lacks the")):
        row = stored.connection.execute(
            f"SELECT * FROM {here}.{table} EXCEPT SELECT * FROM {there}.{table} LIMIT 1"
        ).fetchone()
        if row is not None:
            shown = ", ".join(f"{value!r:.60}" for value in row)
            file = stored.path.name
            raise IndexMismatchError(f"{file}, table {table}: {said} row ({shown}); delete it, and it is built again")
