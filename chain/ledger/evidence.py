"""Offline proof that a transaction is on an embedded ledger: its leaf, an inclusion proof, a signed checkpoint.

All of it is untrusted until verified against the ledger's keys, which come from the auditor's policy. The
proof says that whoever holds those keys committed the transaction; it says nothing of wall-clock time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from chain.ledger.transaction_leaf import TransactionLeaf, open_leaf
from chain.log.bundle import MAX_ENTRY_BYTES
from crypto import cbor
from crypto.checkpoint import Checkpoint
from crypto.errors import FormatError, LimitError, SignatureError
from crypto.merkle import HASH_BYTES, MAX_PROOF_HASHES, leaf_hash, verify_inclusion

VERSION = 1
MAX_NOTE_BYTES = 64 * 1024
MAX_EVIDENCE_BYTES = MAX_ENTRY_BYTES + MAX_NOTE_BYTES + MAX_PROOF_HASHES * (HASH_BYTES + 2) + 64
_KEYS = frozenset(range(1, 6))


@dataclass(frozen=True, slots=True)
class EmbeddedEvidence:
    """The leaf's exact bytes, its index, the path from leaf to root, and the ledger's checkpoint note."""

    leaf: bytes
    index: int
    proof: tuple[bytes, ...]
    note: str

    def encode(self) -> bytes:
        return cbor.encode({1: VERSION, 2: self.leaf, 3: self.index, 4: list(self.proof), 5: self.note})

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """FormatError or LimitError where `data` is not the one encoding of such evidence."""
        item = cbor.decode(data, MAX_EVIDENCE_BYTES)
        cbor.exact_keys(item, _KEYS, "ledger evidence")
        if cbor.field(item, 1, int, "evidence version") != VERSION:
            raise FormatError(f"expected embedded ledger evidence of version {VERSION}, got {item[1]}")
        proof, note = cbor.field(item, 4, list, "inclusion proof"), cbor.field(item, 5, str, "checkpoint note")
        if len(proof) > MAX_PROOF_HASHES or len(note) > MAX_NOTE_BYTES:
            raise LimitError(f"evidence has at most {MAX_PROOF_HASHES} hashes and a note of {MAX_NOTE_BYTES} bytes")
        if not all(type(node) is bytes for node in proof):
            raise FormatError("hashes of an inclusion proof (key 4) must be bytes")
        return cls(cbor.field(item, 2, bytes, "leaf"), cbor.field(item, 3, int, "index"), tuple(proof), note)


def verify(
    evidence: EmbeddedEvidence, checkpoint: Checkpoint, opened: Callable[[bytes], TransactionLeaf] = open_leaf
) -> TransactionLeaf:
    """The transaction, once everything about it holds under the checkpoint in the evidence's note, which the caller has
    opened with all of the ledger's pinned keys. `opened` is `open_leaf`, or remembers what it found.

    Raises:
        FormatError, LimitError, KeyMaterialError: a part is malformed.
        ProofError: the leaf is not in the ledger at that index.
        SignatureError: the leaf lacks its caller's signature, or was signed for another ledger.
    """
    # 1. The leaf is at its index under that checkpoint's root.
    size, root = checkpoint.size, checkpoint.root
    verify_inclusion(leaf_hash(evidence.leaf), evidence.index, size, evidence.proof, root)
    # 2. The leaf is a transaction that its caller signed, and signed for this ledger.
    leaf = opened(evidence.leaf)
    if leaf.request.ledger != checkpoint.origin:
        raise SignatureError(f"the caller signed for the ledger {leaf.request.ledger!r}, not for {checkpoint.origin!r}")
    return leaf
