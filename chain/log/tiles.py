"""Geometry and hashing of Merkle tree tiles (c2sp.org/tlog-tiles).

Pure arithmetic: a tile is 256 consecutive hashes of one level, and each hash of level L + 1 is the root of one
full tile of level L. Whether given hashes are true is not decided here.
"""

from hashlib import sha256

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


def parents(hashes: bytes) -> bytes:
    """The level above an even number of concatenated 32-byte hashes. Inlined hashing: this is the hot loop."""
    pairs = range(0, len(hashes), 2 * HASH_BYTES)
    return b"".join([sha256(b"\x01" + hashes[i : i + 2 * HASH_BYTES]).digest() for i in pairs])
