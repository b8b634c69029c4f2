"""Builds inclusion and consistency proofs from tiles (RFC 9162 sections 2.1.3.1 and 2.1.4.1).

O(log size) tile reads for any index and any sizes up to the log's own. What is built is as true as the tiles:
whoever receives a proof verifies it with crypto.merkle.
"""

from collections.abc import Sequence
from typing import Protocol

from chain.errors import LogError
from chain.log.tiles import TILE_BITS, TILE_WIDTH, nodes_at
from crypto import bulk
from crypto.merkle import EMPTY_ROOT, HASH_BYTES, node_hash

_CACHED_TILES = 64


class TileSource(Protocol):
    """Where tiles come from: a LogReader, or anything else that serves tlog-tiles."""

    def tile(self, level: int, n: int, width: int | None = None) -> bytes: ...

    def size(self) -> int: ...


def root_at(reader: TileSource, size: int) -> bytes:
    """Root of the log's first `size` entries."""
    return ProofBuilder(reader, size).root()


def inclusion_proof(reader: TileSource, index: int, size: int) -> list[bytes]:
    """Path of entry `index` in the tree of `size` entries, leaf to root."""
    return ProofBuilder(reader, size).inclusion(index)


def consistency_proof(reader: TileSource, old: int, new: int) -> list[bytes]:
    """Proof that the tree of `new` entries extends the one of `old`; empty for old = 0 and old = new."""
    return ProofBuilder(reader, new).consistency(old)


class ProofBuilder:
    """Proofs for one tree size. Keep it for several proofs of that size: tiles it has read are kept (64)."""

    def __init__(self, reader: TileSource, size: int) -> None:
        current = reader.size()
        if not 0 <= size <= current:
            raise LogError(f"the log has {current} entries, so it has no tree of size {size}")
        self._reader = reader
        self._size = size
        self._tiles: dict[tuple[int, int], bytes] = {}

    def root(self) -> bytes:
        """The Merkle tree hash of this size."""
        return self._range(0, self._size) if self._size else EMPTY_ROOT

    def inclusion(self, index: int) -> list[bytes]:
        """PATH(index, D[size])."""
        if not 0 <= index < self._size:
            raise LogError(f"index {index} is not in the tree of size {self._size}")
        low, high, path = 0, self._size, []
        while high - low > 1:
            middle = low + _split(high - low)
            if index < middle:
                path.append(self._range(middle, high))
                high = middle
            else:
                path.append(self._range(low, middle))
                low = middle
        return path[::-1]

    def consistency(self, old: int) -> list[bytes]:
        """PROOF(old, D[size])."""
        if not 0 <= old <= self._size:
            raise LogError(f"old size {old} is not from 0 to the new size {self._size}")
        low, high, path = 0, self._size if old else 0, []
        while high != old:
            middle = low + _split(high - low)
            if old <= middle:
                path.append(self._range(middle, high))
                high = middle
            else:
                path.append(self._range(low, middle))
                low = middle
        if low:  # where the old tree ends in a whole subtree of the new one, the verifier has its root already
            path.append(self._range(low, high))
        return path[::-1]

    def _range(self, low: int, high: int) -> bytes:
        """MTH(D[low:high]) of a subtree of RFC 9162's recursion: its left parts are perfect and aligned."""
        width = high - low
        if width & (width - 1) == 0:
            return self._perfect(low, width.bit_length() - 1)
        middle = low + _split(width)
        return node_hash(self._range(low, middle), self._range(middle, high))

    def _perfect(self, low: int, height: int) -> bytes:
        """Root of the perfect subtree of 2^height leaves that starts at leaf `low`; it lies in one tile."""
        level, depth = divmod(height, TILE_BITS)
        n, position = divmod(low >> TILE_BITS * level, TILE_WIDTH)
        first, end = position * HASH_BYTES, (position + (1 << depth)) * HASH_BYTES
        hashes = self._tile(level, n)[first:end]
        return bulk.root(hashes) if depth else hashes

    def _tile(self, level: int, n: int) -> bytes:
        """The hashes of a tile, as many as this size has."""
        hashes = self._tiles.get((level, n))
        if hashes is None:
            width = min(TILE_WIDTH, nodes_at(level, self._size) - n * TILE_WIDTH)
            hashes = self._reader.tile(level, n, width)
            if len(self._tiles) >= _CACHED_TILES:
                self._tiles.clear()
            self._tiles[level, n] = hashes
        return hashes


def inclusion_path(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """Path of leaf hash `index` in the small tree over `hashes`, in memory: seals, commitments."""
    if not 0 <= index < len(hashes):
        raise LogError(f"index {index} is not among {len(hashes)} leaves")
    level, path = list(hashes), []
    while len(level) > 1:
        if (index ^ 1) < len(level):
            path.append(level[index ^ 1])
        paired = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level, index = paired + level[len(paired) * 2 :], index >> 1
    return path


def _split(width: int) -> int:
    """The largest power of two below `width`, which is at least 2."""
    return 1 << (width - 1).bit_length() - 1
