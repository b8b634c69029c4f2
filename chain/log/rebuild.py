"""Builds a log's tree anew from leaf hashes and compares every stored tile with it. Believes no stored hash."""

import sqlite3

from chain.errors import FsckError, LogError
from chain.log.bundle import unpack
from chain.log.proofs import TileSource
from chain.log.tiles import TILE_BITS, TILE_WIDTH, nodes_at
from crypto import bulk
from crypto.merkle import EMPTY_ROOT, HASH_BYTES, root_of


class RebuiltTree:
    """Give it the leaf hashes in order; memory stays at one tile a level."""

    def __init__(self, stored: TileSource) -> None:
        self._stored = stored
        self._levels: list[list[bytes]] = []
        self._full: list[int] = []  # full tiles seen, a level

    def add(self, node: bytes, level: int = 0) -> None:
        """The next hash of `level`; FsckError where the tile it completes is stored differently."""
        if level == len(self._levels):
            self._levels.append([])
            self._full.append(0)
        tile = self._levels[level]
        tile.append(node)
        if len(tile) == TILE_WIDTH:
            self._compare(level)
            self._full[level] += 1
            self._levels[level] = []
            self.add(root_of(tile), level + 1)

    def root(self) -> bytes:
        """The root of the leaves so far."""
        root = b""
        for tile in self._levels:
            nodes = [*tile, root] if root else tile
            root = root_of(nodes) if nodes else b""
        return root or EMPTY_ROOT

    def finish(self) -> bytes:
        """Compare the tiles that are not full, and return the tree's root."""
        for level, tile in enumerate(self._levels):
            if tile:
                self._compare(level)
        return self.root()

    def _compare(self, level: int) -> None:
        tile, n = self._levels[level], self._full[level]
        stored = bulk.split(self._stored.tile(level, n, len(tile)))
        for position, (have, want) in enumerate(zip(stored, tile, strict=True)):
            if have != want:
                below = f"leaf {n * TILE_WIDTH + position}" if level == 0 else f"hash {position}"
                raise FsckError(f"tile {n} of level {level}: {below} does not have the hash that the log stored")


def require_no_more(connection: sqlite3.Connection, size: int, entry_bytes: int) -> None:
    """FsckError where the log's tables hold anything beside its entries and tiles, which are known to be there:
    a row too many would stand in the way of the next append. `entry_bytes` is the length of all entries together."""
    if connection.execute("SELECT COUNT(*), MAX(id) FROM log_meta").fetchone() != (1, 0):
        raise FsckError("log_meta: it must hold one row, number 0")
    levels, level, tail = [], 0, size % TILE_WIDTH
    while nodes := nodes_at(level, size):
        levels.append(nodes)
        level += 1
    expected = {
        "log_bundle": (size >> TILE_BITS, None),
        "log_tile": (sum(-(-nodes // TILE_WIDTH) for nodes in levels) - bool(tail), (sum(levels) - tail) * HASH_BYTES),
    }
    queries = {
        "log_bundle": "SELECT COUNT(*), NULL FROM log_bundle",
        "log_tile": "SELECT COUNT(*), COALESCE(SUM(length(hashes)), 0) FROM log_tile",
    }
    for table, query in queries.items():
        if connection.execute(query).fetchone() != expected[table]:
            raise FsckError(f"{table}: it holds more or less than a log of {size} entries needs")
    both = "SELECT entries FROM log_bundle UNION ALL SELECT entries FROM log_tail"
    stored = connection.execute(f"SELECT COALESCE(SUM(length(entries)), 0) FROM ({both})").fetchone()[0]
    if stored != entry_bytes + 2 * size:
        raise FsckError(f"log_bundle and log_tail: they hold {stored} bytes, the {size} entries need another number")
    _require_places(connection, size)


def _require_places(connection: sqlite3.Connection, size: int) -> None:
    """FsckError where a row of the open bundle is not under the index of its first entry: the order of the rows alone
    would still read well, and the next append would meet the wrong index."""
    rows = connection.execute("SELECT first, entries, length(hashes) FROM log_tail ORDER BY first").fetchall()
    ends = [*(first for first, *_ in rows), size][1:]
    if rows and rows[0][0] != size >> TILE_BITS << TILE_BITS:
        raise FsckError(f"log_tail: its first row is of entry {rows[0][0]}, the open bundle begins elsewhere")
    for (first, entries, hashed), end in zip(rows, ends, strict=True):
        if hashed != (end - first) * HASH_BYTES:
            raise FsckError(f"log_tail: the row of entry {first} does not hold a hash for each entry to {end}")
        try:
            unpack(entries, end - first)
        except LogError as e:
            raise FsckError(f"log_tail: the row of entry {first} does not end at entry {end}: {e}") from e
