"""Geometry and hashing of Merkle tree tiles (c2sp.org/tlog-tiles).

Pure arithmetic: a tile is 256 consecutive hashes of one level, and each hash of level L + 1 is the root of one
full tile of level L. Whether given hashes are true is not decided here.
"""

from crypto.merkle import HASH_BYTES

TILE_WIDTH = 256
TILE_BITS = 8  # log2 of TILE_WIDTH: the levels of the binary tree that one tile spans
FULL_TILE_BYTES = TILE_WIDTH * HASH_BYTES
MAX_LEVEL = 63


def tile_id(level: int, n: int) -> int:
    """The primary key of tile `n` of `level`; sizes below 2^63 keep it a positive 64-bit integer."""
    return level << 56 | n


def nodes_at(level: int, size: int) -> int:
    """How many hashes level `level` has in a log of `size` leaves: its full subtrees of 256^level leaves."""
    return size >> TILE_BITS * level
