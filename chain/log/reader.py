"""Reads of a log at any size up to its current one: entries, bundles, tiles.

A tile or bundle of an older size is a prefix of what is stored now, because the log only grows; so a reader on
its own connection needs no snapshot while the writer goes on. Callers' indexes are untrusted and are checked
against the size; the stored bytes are checked for their form only (proofs and fsck check their truth).
"""

import sqlite3
from collections.abc import Callable, Iterator
from typing import TypeVar

from chain.errors import LogError
from chain.log.bundle import first, prefix
from chain.log.tiles import MAX_LEVEL, TILE_BITS, TILE_WIDTH, nodes_at
from chain.log.tree import stored_bundle, stored_tile
from chain.store.database import Database
from crypto.merkle import HASH_BYTES

_T = TypeVar("_T")


class LogReader:
    """Reads one log through one database connection, which may be read-only."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._seen = 0  # a size that the log has had: it only grows, so this much needs no other look

    def size(self) -> int:
        """Entries in the log now."""
        row = self._read(lambda connection: connection.execute("SELECT size FROM log_meta").fetchone())
        if row is None:
            raise LogError(f"{self._db.path.name} holds no log")
        size: int = row[0]
        return size

    def entry(self, index: int) -> bytes:
        """The entry at `index`, from 0."""
        n, position = divmod(index, TILE_WIDTH)
        return first(self._stored(n, position + 1), position + 1)[position]

    def entries(self, start: int, stop: int) -> Iterator[bytes]:
        """The entries from `start` up to, not including, `stop`; one bundle is in memory at a time."""
        if not 0 <= start <= stop <= self.size():
            raise LogError(f"entries {start} to {stop} are not all in a log of {self.size()}")
        while start < stop:
            n, position = divmod(start, TILE_WIDTH)
            width = min(TILE_WIDTH, stop - n * TILE_WIDTH)
            yield from first(self._stored(n, width), width)[position:]
            start = n * TILE_WIDTH + width

    def bundle(self, n: int, width: int | None = None) -> bytes:
        """Bytes of entry bundle `n`: all 256 entries, or the first `width` of them."""
        count = TILE_WIDTH if width is None else width
        return prefix(self._stored(n, count), count)

    def _stored(self, n: int, count: int) -> bytes:
        """Bundle `n` as far as it is stored, at least its first `count` entries."""
        self._checked(0, n, count)
        return self._read(lambda connection: stored_bundle(connection, n))

    def tile(self, level: int, n: int, width: int | None = None) -> bytes:
        """Hashes of tile `n` of `level`: all 256, or the first `width` of them; 32 bytes each."""
        count = self._checked(level, n, width)
        hashes = self._read(lambda connection: stored_tile(connection, level, n))[: count * HASH_BYTES]
        if len(hashes) != count * HASH_BYTES:
            raise LogError(f"tile {n} of level {level} is shorter than the log's size demands; run fsck")
        return hashes

    def _checked(self, level: int, n: int, width: int | None) -> int:
        """The width as a number, after a check that all of it is in the log."""
        count = TILE_WIDTH if width is None else width
        if not 0 <= level <= MAX_LEVEL or n < 0 or not 1 <= count <= TILE_WIDTH:
            raise LogError(f"no tile has level {level}, number {n}, width {count}")
        end = (n << TILE_BITS) + count
        if end > nodes_at(level, self._seen):
            self._seen = self.size()
        if end > nodes_at(level, self._seen):
            raise LogError(f"tile {n} of level {level}, width {count}, is not in a log of {self._seen} entries")
        return count

    def _read(self, read: Callable[[sqlite3.Connection], _T]) -> _T:
        try:
            return read(self._db.connection)
        except sqlite3.Error as e:
            raise LogError(f"the log in {self._db.path.name} cannot be read: {e}") from e
