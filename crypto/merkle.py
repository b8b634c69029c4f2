"""RFC 6962 / RFC 9162 Merkle hashing and the verification of inclusion and consistency proofs.

Everything passed in is untrusted except the root a caller already believes. Nothing here reads files or the
network. Building proofs is the log's work (chain/log); the contract, devices and auditors need only this.
"""

from collections.abc import Sequence
from hashlib import sha256

from crypto.errors import LimitError, ProofError

HASH_BYTES = 32
MAX_PROOF_HASHES = 63  # C2SP tlog-witness: no tree of 2^63 leaves needs more
MAX_TREE_SIZE = 2**63 - 1
LIFTED_LEVELS = 4
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 ‖ data), 32 bytes (RFC 9162 section 2.1.1)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right), 32 bytes (RFC 9162 section 2.1.1)."""
    return sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Root of the tree over these leaf hashes, in memory; for seals, commitments and other small trees."""
    if not hashes:
        return EMPTY_ROOT
    level = list(hashes)
    while len(level) > 1:
        paired = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            paired.append(level[-1])  # an odd last node rises unhashed, which is RFC 6962's split
        level = paired
    return level[0]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raise ProofError unless `leaf` (a leaf hash) is at `index` of the tree of `size` leaves with `root`.

    RFC 9162 section 2.1.3.2.
    """
    # 1. Limits and forms, before any hashing.
    _check_sizes(index, size)
    _check_hashes([leaf, root], proof)
    if index >= size:
        raise ProofError(f"inclusion proof: index {index} is not below the tree size {size}")
    # 2. Fold the path from the leaf to the root.
    node, last, computed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ProofError(f"inclusion proof: {len(proof)} hashes are too many for index {index} of {size}")
        # `node_hash`, written out: this loop is most of what a receipt costs that shares its signatures.
        if node & 1 or node == last:
            computed = sha256(b"\x01" + sibling + computed).digest()
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            computed = sha256(b"\x01" + computed + sibling).digest()
        node, last = node >> 1, last >> 1
    # 3. The path must be used up exactly at the root.
    if last != 0:
        raise ProofError(f"inclusion proof: {len(proof)} hashes are too few for index {index} of {size}")
    if computed != root:
        raise ProofError(f"inclusion proof leads to root {computed.hex()}, expected {root.hex()}")


def lifted(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> tuple[bytes, int, int, Sequence[bytes]]:
    """The same proof begun four levels higher, where a block of 16 leaves takes the place of the leaf: neighbours have
    the rest in common. `verify_inclusion` accepts the one exactly where it accepts the other. In the last block, and
    without the right number of hashes, a proof stays as it is.
    """
    inner = (index ^ size - 1).bit_length()  # levels below the one where the ways to this and the last leaf part
    hashes = inner + (index >> inner).bit_count()
    if not 0 <= index < size <= MAX_TREE_SIZE or len(proof) != hashes or inner <= LIFTED_LEVELS:
        return leaf, index, size, proof
    low = proof[:LIFTED_LEVELS]
    _check_hashes([leaf], low)
    for level, sibling in enumerate(low):
        leaf = node_hash(sibling, leaf) if index >> level & 1 else node_hash(leaf, sibling)
    return leaf, index >> LIFTED_LEVELS, (size - 1 >> LIFTED_LEVELS) + 1, proof[LIFTED_LEVELS:]


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Raise ProofError unless the tree of `new` leaves extends the tree of `old` leaves.

    RFC 9162 section 2.1.4.2, with the empty tree handled as C2SP tlog-witness does: it is consistent with
    any tree, with an empty proof, when its root is the hash of the empty string.
    """
    # 1. Limits and forms.
    _check_sizes(old, new)
    _check_hashes([old_root, new_root], proof)
    if old > new:
        raise ProofError(f"consistency proof: old size {old} is above the new size {new}")
    # 2. The sizes that need no proof.
    if old == 0 or old == new:
        _verify_trivial_consistency(old, new, proof, old_root, new_root)
        return
    # 3. Fold both roots out of one path.
    computed_old, computed_new = _fold_consistency(old, new, proof, old_root)
    if computed_old != old_root:
        raise ProofError(f"consistency proof leads to old root {computed_old.hex()}, expected {old_root.hex()}")
    if computed_new != new_root:
        raise ProofError(f"consistency proof leads to new root {computed_new.hex()}, expected {new_root.hex()}")


def _verify_trivial_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    if proof:
        raise ProofError(f"consistency proof from {old} to {new} must be empty, got {len(proof)} hashes")
    if old == new and old_root != new_root:
        raise ProofError(f"two roots for one size {old}: {old_root.hex()} and {new_root.hex()}")
    if old == 0 and old_root != EMPTY_ROOT:
        raise ProofError(f"root of the empty tree must be {EMPTY_ROOT.hex()}, got {old_root.hex()}")


def _fold_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes) -> tuple[bytes, bytes]:
    if not proof:
        raise ProofError(f"consistency proof from {old} to {new} is empty")
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    from_old = from_new = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofError(f"consistency proof from {old} to {new} has too many hashes ({len(proof)})")
        if node & 1 or node == last:
            from_old, from_new = node_hash(sibling, from_old), node_hash(sibling, from_new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            from_new = node_hash(from_new, sibling)
        node, last = node >> 1, last >> 1
    if last != 0:
        raise ProofError(f"consistency proof from {old} to {new} has too few hashes ({len(proof)})")
    return from_old, from_new


def _check_sizes(*sizes: int) -> None:
    for size in sizes:
        if not 0 <= size <= MAX_TREE_SIZE:
            raise LimitError(f"tree sizes and indexes must be from 0 to 2^63-1, got {size}")


def _check_hashes(ends: Sequence[bytes], proof: Sequence[bytes]) -> None:
    if len(proof) > MAX_PROOF_HASHES:
        raise LimitError(f"a proof has at most {MAX_PROOF_HASHES} hashes, got {len(proof)}")
    lengths = {*map(len, ends), *map(len, proof)}
    if lengths != {HASH_BYTES}:
        raise ProofError(f"hashes are {HASH_BYTES} bytes, got one of {min(lengths - {HASH_BYTES})}")
