"""Hashing of many leaves and nodes at once, hashes concatenated; by the native core where it was built.

The same functions as in crypto.merkle, for those who hash whole batches. Nothing here is believed: both forms are
held against each other by a test.
"""

from collections.abc import Sequence

from crypto.merkle import HASH_BYTES, leaf_hash, root_of


def _leaf_hashes(entries: Sequence[bytes]) -> bytes:
    """RFC 9162 leaf hashes of all entries, in order."""
    return b"".join(map(leaf_hash, entries))


def _root(hashes: bytes) -> bytes:
    """RFC 9162 root over at least one concatenated leaf hash."""
    if not hashes or len(hashes) % HASH_BYTES:
        raise ValueError("expected at least one hash, each of 32 bytes")
    return root_of(split(hashes))


def split(hashes: bytes) -> list[bytes]:
    """Concatenated hashes as a list of 32-byte ones."""
    return [hashes[i : i + HASH_BYTES] for i in range(0, len(hashes), HASH_BYTES)]


try:
    from sealtrail_native import leaf_hashes as leaf_hashes
    from sealtrail_native import root as root
except ImportError:  # no Rust compiler was there: slower, not different
    leaf_hashes, root = _leaf_hashes, _root
