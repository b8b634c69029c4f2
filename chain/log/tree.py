"""The append-only Merkle log in SQLite: entries in bundles, hashes in tiles, all inside the caller's transaction.

One `Log` appends to one database. It trusts the file to be the one it wrote (fsck and the anchors check that)
and its caller to commit or roll back. What it keeps in memory is only the right edge of the tree, tied to the
stored state by a random stamp: after a rollback, or an append through another connection, the stamp differs and
the edge is read again, so memory can never run ahead of the disk.
"""

import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from chain.errors import LogError
from chain.log.bundle import check_entries, pack
from chain.log.tiles import FULL_TILE_BYTES, TILE_BITS, TILE_WIDTH, nodes_at, tile_id
from chain.store.database import Database
from crypto import bulk
from crypto.merkle import EMPTY_ROOT, HASH_BYTES, MAX_TREE_SIZE

SCHEMA: tuple[str, ...] = (
    # One row: how many entries, and which append made them so.
    "CREATE TABLE IF NOT EXISTS log_meta (id INTEGER PRIMARY KEY CHECK (id = 0), size INTEGER NOT NULL, "
    "stamp BLOB NOT NULL)",
    "INSERT OR IGNORE INTO log_meta (id, size, stamp) VALUES (0, 0, x'')",
    # id is level << 56 | n; up to 256 hashes, 32 bytes each. Tiles of level 0 only when they are full.
    "CREATE TABLE IF NOT EXISTS log_tile (id INTEGER PRIMARY KEY, hashes BLOB NOT NULL)",
    # Full bundles, 256 entries each.
    "CREATE TABLE IF NOT EXISTS log_bundle (n INTEGER PRIMARY KEY, entries BLOB NOT NULL)",
    # The bundle that is not full yet and its leaf hashes, one row an append, so that a small append rewrites nothing.
    "CREATE TABLE IF NOT EXISTS log_tail (first INTEGER PRIMARY KEY, entries BLOB NOT NULL, hashes BLOB NOT NULL)",
)


def _full_or_tail(full: str, key: str, column: str) -> str:
    """A column of the nth 256 leaves. One statement for both places, so that they cannot move between two reads."""
    return f"""SELECT 0 AS place, {column} FROM {full} WHERE {key} = ?1
UNION ALL SELECT first + 1, {column} FROM log_tail WHERE first BETWEEN ?1 << 8 AND ?1 << 8 | 255 ORDER BY place"""


_LEAVES, _BUNDLE = _full_or_tail("log_tile", "id", "hashes"), _full_or_tail("log_bundle", "n", "entries")


@dataclass(frozen=True, slots=True)
class _Edge:
    """The right edge: for each level the concatenated hashes of its tile that is not full (may be empty)."""

    size: int
    stamp: bytes
    tiles: tuple[bytes, ...]


class Log:
    """The writer of one log. Same thread as its database."""

    def __init__(self, db: Database) -> None:
        """Load the right edge, O(log size) reads. `db` was opened with this module's SCHEMA."""
        self._db = db
        self._edge = _load_edge(db.connection, *_stored(db.connection))

    @property
    def size(self) -> int:
        """Entries in the log, as this connection sees it (inside a transaction: with what it appended)."""
        return self._current().size

    def root(self) -> bytes:
        """The Merkle tree hash at the current size, 32 bytes (RFC 9162 section 2.1.1)."""
        edge, right = self._current(), b""
        if not edge.size:
            return EMPTY_ROOT
        for hashes in edge.tiles:
            # The incomplete subtree of the levels below stands right of this level's full ones.
            right = bulk.root(hashes + right) if hashes or right else b""
        return right

    def append(self, tx: sqlite3.Connection, entries: Sequence[bytes]) -> int:
        """Append inside the caller's open transaction. Returns the index of the first of `entries`.

        Raises:
            LogError: an entry over 65,535 bytes (then nothing was written), or not in a transaction.
        """
        if tx is not self._db.connection or not tx.in_transaction:
            raise LogError("append needs the open transaction of the log's own database")
        check_entries(entries)
        edge = self._current()
        size = edge.size + len(entries)
        if size > MAX_TREE_SIZE:
            raise LogError(f"a log has at most {MAX_TREE_SIZE} entries")
        if entries:
            hashes = bulk.leaf_hashes(entries)
            _write_entries(tx, edge.size, entries, hashes)
            tiles = _write_tiles(tx, edge, hashes)
            stamp = os.urandom(8)
            tx.execute("UPDATE log_meta SET size = ?, stamp = ?", (size, stamp))
            self._edge = _Edge(size, stamp, tiles)
        return edge.size

    def _current(self) -> _Edge:
        size, stamp = _stored(self._db.connection)
        if stamp != self._edge.stamp:
            self._edge = _load_edge(self._db.connection, size, stamp)
        return self._edge


def _stored(connection: sqlite3.Connection) -> tuple[int, bytes]:
    try:
        size, stamp = connection.execute("SELECT size, stamp FROM log_meta").fetchone()
    except (sqlite3.Error, TypeError) as e:
        raise LogError(f"the log's tables cannot be read: {e}; open the database with chain.log.tree.SCHEMA") from e
    return size, stamp


def _load_edge(connection: sqlite3.Connection, size: int, stamp: bytes) -> _Edge:
    tiles, level = [], 0
    while nodes := nodes_at(level, size):
        n, width = divmod(nodes, TILE_WIDTH)
        hashes = stored_tile(connection, level, n)
        if len(hashes) != width * HASH_BYTES:
            found, expected = len(hashes) // HASH_BYTES, f"{width} in a log of {size} entries"
            raise LogError(f"tile {n} of level {level} holds {found} hashes, expected {expected}; run fsck")
        tiles.append(hashes)
        level += 1
    return _Edge(size, stamp, tuple(tiles))


def stored_tile(connection: sqlite3.Connection, level: int, n: int) -> bytes:
    """The hashes of a tile as far as they are stored."""
    if level:
        return _joined(connection.execute("SELECT 0, hashes FROM log_tile WHERE id = ?", (tile_id(level, n),)))
    return _joined(connection.execute(_LEAVES, (n,)))


def stored_bundle(connection: sqlite3.Connection, n: int) -> bytes:
    """The entries of a bundle as far as they are stored."""
    return _joined(connection.execute(_BUNDLE, (n,)))


def _joined(rows: sqlite3.Cursor) -> bytes:
    return b"".join([row[1] for row in rows])


def _write_entries(tx: sqlite3.Connection, first: int, entries: Sequence[bytes], hashes: bytes) -> None:
    """Fill the open bundle, write whole bundles, and put what is left over into the tail."""
    at = 0
    while at < len(entries):
        n, position = divmod(first + at, TILE_WIDTH)
        taken = entries[at : at + TILE_WIDTH - position]
        data = pack(taken)
        if position + len(taken) < TILE_WIDTH:
            tx.execute("INSERT INTO log_tail VALUES (?, ?, ?)", (first + at, data, hashes[at * HASH_BYTES :]))
        else:
            tx.execute("INSERT INTO log_bundle (n, entries) VALUES (?, ?)", (n, _take_tail(tx, position) + data))
        at += len(taken)


def _take_tail(tx: sqlite3.Connection, position: int) -> bytes:
    if not position:
        return b""
    rows = tx.execute("SELECT entries FROM log_tail ORDER BY first").fetchall()
    tx.execute("DELETE FROM log_tail")
    return b"".join([row[0] for row in rows])


def _write_tiles(tx: sqlite3.Connection, edge: _Edge, hashes: bytes) -> tuple[bytes, ...]:
    """Add leaf hashes to level 0 and the root of each tile that becomes full to the level above. Returns the
    new right edge."""
    tiles, level, carried = list(edge.tiles), 0, hashes
    while carried:
        if level == len(tiles):
            tiles.append(b"")
        n = nodes_at(level, edge.size) >> TILE_BITS
        hashes_here, carried = tiles[level] + carried, b""
        for start in range(0, len(hashes_here), FULL_TILE_BYTES):
            tile = hashes_here[start : start + FULL_TILE_BYTES]
            full = len(tile) == FULL_TILE_BYTES
            if full or level:
                tx.execute("INSERT OR REPLACE INTO log_tile (id, hashes) VALUES (?, ?)", (tile_id(level, n), tile))
            carried += bulk.root(tile) if full else b""
            tiles[level], n = b"" if full else tile, n + 1
        level += 1
    return tuple(tiles)
