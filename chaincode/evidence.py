"""Evidence: the record of the caller's own log that a change on the ledger rests on, proved against an anchor.

The argument is untrusted. What is believed of it afterwards: the record stands at this index of a log that its owner
can no longer rewrite unnoticed. What the record says is not looked at; who is shown it and its payload sees that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from chaincode.errors import Code, ContractError
from chaincode.identity_records import Identity
from chaincode.log_records import AnchoredCheckpoint
from chaincode.logs import own_log
from chaincode.state import MAX_NUMBER, checkpoint_key, read
from chaincode.transaction import Transaction
from crypto import cbor
from crypto.errors import FormatError
from crypto.merkle import HASH_BYTES, MAX_PROOF_HASHES, leaf_hash, verify_inclusion

MAX_RECORD_LEAF = 1024  # bytes of a log's record
MAX_EVIDENCE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class EvidenceRef:
    """What the state keeps of evidence: the log's origin, the record's index in it, and its RFC 6962 leaf hash."""

    origin: str
    index: int
    leaf_hash: bytes

    def items(self) -> list[cbor.CborValue]:
        return [self.origin, self.index, self.leaf_hash]

    @classmethod
    def of(cls, items: Any) -> Self:
        if type(items) is not list or [type(item) for item in items] != [str, int, bytes]:
            raise FormatError("a reference to evidence is a list of origin, index and leaf hash")
        if not 0 <= items[1] <= MAX_NUMBER or len(items[2]) != HASH_BYTES:
            raise FormatError(f"evidence has an index from 0 to 2^63-1 and a leaf hash of {HASH_BYTES} bytes")
        return cls(*items)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The argument: record `leaf` stands at `index` of the log `origin`, as `proof` (RFC 9162 section 2.1.3, from the
    leaf to the root) shows for the checkpoint of `anchored_size` entries."""

    origin: str
    anchored_size: int
    index: int
    leaf: bytes
    proof: Sequence[bytes]

    def encode(self) -> bytes:
        return cbor.encode([self.origin, self.anchored_size, self.index, self.leaf, list(self.proof)])

    @classmethod
    def decode(cls, data: bytes) -> Self:
        items = cbor.decode(data, MAX_EVIDENCE_BYTES)
        if type(items) is not list or [type(item) for item in items] != [str, int, int, bytes, list]:
            raise FormatError("evidence is a list of origin, anchored size, index, record and inclusion hashes")
        if not 1 <= len(items[3]) <= MAX_RECORD_LEAF:
            raise FormatError(f"a record has 1 to {MAX_RECORD_LEAF} bytes, got {len(items[3])}")
        check_hashes(items[4])
        return cls(*items)

    @property
    def ref(self) -> EvidenceRef:
        return EvidenceRef(self.origin, self.index, leaf_hash(self.leaf))


def check_hashes(proof: list[Any]) -> None:
    """FormatError unless these are the hashes of an inclusion proof."""
    if len(proof) > MAX_PROOF_HASHES or any(type(h) is not bytes or len(h) != HASH_BYTES for h in proof):
        raise FormatError(f"a proof has at most {MAX_PROOF_HASHES} hashes of {HASH_BYTES} bytes")


async def require_evidence(tx: Transaction, argument: bytes, gateway: Identity) -> EvidenceRef:
    """What the encoded `argument` proves; ContractError or ProofError where it proves nothing.

    Reads a log and a checkpoint and no head, so that it conflicts with no anchor on its way."""
    evidence = Evidence.decode(argument)
    # 1. The log is the caller's own.
    await own_log(tx, gateway, evidence.origin)
    # 2. A checkpoint of this size was anchored.
    size = evidence.anchored_size
    anchored = (
        await read(tx, checkpoint_key(evidence.origin, size), AnchoredCheckpoint) if 0 < size <= MAX_NUMBER else None
    )
    if anchored is None:
        raise ContractError(Code.UNKNOWN_CHECKPOINT, f"no checkpoint of size {size} of {evidence.origin} was anchored")
    # 3. The record lies before it, 4. and is in it.
    if not 0 <= evidence.index < size:
        raise ContractError(Code.NOT_ANCHORED, f"record {evidence.index} is not in the checkpoint of {size} entries")
    ref = evidence.ref
    verify_inclusion(ref.leaf_hash, evidence.index, size, evidence.proof, anchored.root)
    return ref
