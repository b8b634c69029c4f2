"""Serial trees: RFC 6962 Merkle trees over unit ids in ascending order, built and proved in flat memory.

The ledger keeps a tree's root and size; a proof shows that a pack is of a lot and names no other pack. Tiles lie in
custody.db as those of a log do, but level 0 keeps the ids themselves, so that an id is found by its order.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

from chain.log.proofs import ProofBuilder
from chain.log.tiles import FULL_TILE_BYTES, TILE_WIDTH, tile_id
from chaincode.lots.items import Position
from crypto import bulk
from crypto.merkle import EMPTY_ROOT, HASH_BYTES
from gateway.custody.database import Store
from gateway.custody.errors import CustodyError, UnknownUnitError

SMALL = 4096  # ids of a tree that is made in one transaction
TILES_AT_ONCE = 64  # written in one transaction: half a MiB


@dataclass(frozen=True, slots=True)
class Tree:
    """A finished tree: what the ledger knows of it, and by which number it lies here."""

    number: int
    size: int
    root: bytes


class Trees:
    """The serial trees of a site, one a unit: of a lot's packs, or of what is directly in a logistic unit."""

    def __init__(self, store: Store) -> None:
        self._store = store
        with store.transaction() as tx:  # of trees whose building was cut short
            tx.execute("DELETE FROM tile WHERE tree NOT IN (SELECT id FROM tree)")

    def build(self, unit: int, ids: Iterable[bytes]) -> Tree:
        """Make a tree of these ids, or give the one that is there. Blocks, for a second or two a million.

        Raises:
            CustodyError: the ids are not ascending, or one comes twice; nothing is kept then.
        """
        known = self.get(unit)
        if known is not None:
            return known
        rest = iter(ids)
        first = list(islice(rest, SMALL))
        if len(first) == SMALL:
            return self._build(unit, chain(first, rest))
        with self._store.transaction():  # by far the most: one wait for the disk, not four
            return self._build(unit, first)

    def _build(self, unit: int, ids: Iterable[bytes]) -> Tree:
        writer = _Writer(self._store, self._free_number())
        try:
            for one in ids:
                writer.add(one)
            size, root = writer.finish()
            with self._store.transaction() as tx:
                tx.execute("INSERT INTO tree VALUES (?, ?, ?, ?)", (writer.tree, unit, size, root))
                # Not before: a tree of nothing has no other tile that holds its number.
                tx.execute("DELETE FROM tile WHERE tree = ? AND id = -1", (writer.tree,))
        except BaseException:
            with self._store.transaction() as tx:
                tx.execute("DELETE FROM tile WHERE tree = ?", (writer.tree,))
            raise
        return Tree(writer.tree, size, root)

    def get(self, unit: int) -> Tree | None:
        with self._store.reading() as db:
            row = db.execute("SELECT id, size, root FROM tree WHERE unit = ?", (unit,)).fetchone()
        return None if row is None else Tree(*row)

    # -- trees that come from elsewhere, in pieces

    def put_ids(self, unit: int, first: int, ids: bytes) -> None:
        """Keep ids of a unit's tree from index `first` on, for `build_from_ids`."""
        with self._store.transaction() as tx:
            tx.execute("INSERT OR REPLACE INTO tile VALUES (?, ?, ?)", (-unit, first, ids))

    def build_from_ids(self, unit: int) -> Tree:
        """The tree of the ids that were kept. CustodyError where they do not ascend; nothing is kept then."""
        try:
            return self.build(unit, self._pieces(unit))
        finally:
            with self._store.transaction() as tx:
                tx.execute("DELETE FROM tile WHERE tree = ?", (-unit,))

    def drop(self, unit: int) -> None:
        """Forget a unit's tree."""
        with self._store.transaction() as tx:
            tx.execute("DELETE FROM tile WHERE tree = (SELECT id FROM tree WHERE unit = ?)", (unit,))
            tx.execute("DELETE FROM tree WHERE unit = ?", (unit,))

    def _pieces(self, unit: int) -> Iterator[bytes]:
        after = -1
        query = "SELECT id, hashes FROM tile WHERE tree = ? AND id > ? ORDER BY id LIMIT 1"
        while True:
            with self._store.reading() as db:
                row = db.execute(query, (-unit, after)).fetchone()
            if row is None:
                return
            after = row[0]
            yield from bulk.split(bytes(row[1]))

    def prove(self, tree: Tree, one: bytes) -> Position:
        """Where an id stands, with its proof: O(log size) reads. UnknownUnitError where it is not in the tree."""
        tiles = _Tiles(self._store, tree)
        index = tiles.find(one)
        if index is None:
            raise UnknownUnitError(f"the unit {one.hex()[:16]}… is not in this tree of {tree.size:,} units")
        return Position(index, tuple(ProofBuilder(tiles, tree.size).inclusion(index)))

    def contains(self, tree: Tree, one: bytes) -> bool:
        return _Tiles(self._store, tree).find(one) is not None

    def ids(self, tree: Tree, first: int = 0) -> Iterator[bytes]:
        """The ids from index `first` on, ascending, a tile at a time."""
        tiles = _Tiles(self._store, tree)
        for n in range(first // TILE_WIDTH, -(-tree.size // TILE_WIDTH)):
            yield from bulk.split(tiles.ids(n))[max(first - n * TILE_WIDTH, 0) :]

    def _free_number(self) -> int:
        """A number that no tree has, which is nobody else's from now on."""
        with self._store.transaction() as tx:
            query = "SELECT MAX(COALESCE((SELECT MAX(id) FROM tree), 0), COALESCE((SELECT MAX(tree) FROM tile), 0))"
            number = int(tx.execute(query).fetchone()[0]) + 1
            tx.execute("INSERT INTO tile VALUES (?, -1, x'')", (number,))
        return number


class _Writer:
    """Tiles of one tree, written as they fill up. What is in memory is the right edge."""

    def __init__(self, store: Store, tree: int) -> None:
        self._store, self.tree = store, tree
        self._ids = bytearray()
        self._last = b""
        self._size = 0
        self._levels: list[bytearray] = []  # of each level above the ids: the hashes of its open tile
        self._done: list[int] = []  # full tiles of each of these levels, and of level 0
        self._rows: list[tuple[int, int, bytes]] = []

    def add(self, one: bytes) -> None:
        if len(one) != HASH_BYTES or one <= self._last:
            said = "twice" if one == self._last else "out of order"
            raise CustodyError(f"the unit id {one.hex()[:16]}… comes {said}; ids of a serial tree ascend")
        self._last = one
        self._ids += one
        self._size += 1
        if len(self._ids) == FULL_TILE_BYTES:
            self._tile(0, bytes(self._ids))
            self._carry(1, bulk.root(bulk.leaf_hashes(bulk.split(bytes(self._ids)))))
            self._ids.clear()

    def finish(self) -> tuple[int, bytes]:
        """Size and root."""
        right = b""
        if self._ids:
            self._tile(0, bytes(self._ids))
            right = bulk.root(bulk.leaf_hashes(bulk.split(bytes(self._ids))))
        for level, hashes in enumerate(self._levels, 1):
            if hashes:
                self._tile(level, bytes(hashes))
            # The incomplete subtree of the levels below stands right of this level's full ones.
            right = bulk.root(bytes(hashes) + right) if hashes or right else b""
        self._flush()
        return self._size, right or EMPTY_ROOT

    def _carry(self, level: int, one: bytes) -> None:
        if level > len(self._levels):
            self._levels.append(bytearray())
        hashes = self._levels[level - 1]
        hashes += one
        if len(hashes) == FULL_TILE_BYTES:
            self._tile(level, bytes(hashes))
            self._carry(level + 1, bulk.root(bytes(hashes)))
            hashes.clear()

    def _tile(self, level: int, content: bytes) -> None:
        while len(self._done) <= level:
            self._done.append(0)
        self._rows.append((self.tree, tile_id(level, self._done[level]), content))
        self._done[level] += 1
        if len(self._rows) >= TILES_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        with self._store.transaction() as tx:
            tx.executemany("INSERT INTO tile VALUES (?, ?, ?)", self._rows)
        self._rows.clear()


class _Tiles:
    """One tree's tiles, as chain.log.proofs reads those of a log."""

    def __init__(self, store: Store, tree: Tree) -> None:
        self._store, self._tree = store, tree

    def size(self) -> int:
        return self._tree.size

    def tile(self, level: int, n: int, width: int | None = None) -> bytes:
        content = self._read(tile_id(level, n)) if level else bulk.leaf_hashes(bulk.split(self.ids(n)))
        return content if width is None else content[: width * HASH_BYTES]

    def ids(self, n: int) -> bytes:
        return self._read(tile_id(0, n))

    def find(self, one: bytes) -> int | None:
        """The index of an id, by halving; None where it is not there."""
        low, high = 0, -(-self._tree.size // TILE_WIDTH)  # the tile is one of low … high-1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._first(middle) <= one else (low, middle)
        if high == 0:
            return None
        ids = bulk.split(self.ids(low))
        return low * TILE_WIDTH + ids.index(one) if one in ids else None

    def _first(self, n: int) -> bytes:
        return self._read(tile_id(0, n), "substr(hashes, 1, 32)")

    def _read(self, number: int, what: str = "hashes") -> bytes:
        with self._store.reading() as db:
            row = db.execute(
                f"SELECT {what} FROM tile WHERE tree = ? AND id = ?", (self._tree.number, number)
            ).fetchone()
        if row is None:
            raise CustodyError(f"a tile of the serial tree {self._tree.number} is gone from custody.db; restore it")
        return bytes(row[0])
