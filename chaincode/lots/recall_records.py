"""Records of recalls: what the maker said of a lot, and commitments to answers that stay off the ledger."""

from dataclasses import dataclass
from typing import Any, Self

from chaincode.evidence import EvidenceRef
from chaincode.lots.items import optional, organisation, when
from chaincode.state import digest, encoded, fields, number
from crypto import cbor
from crypto.errors import FormatError

GRAVEST, MILDEST = 1, 3
_RECALL = frozenset(range(1, 12))
_ANSWER = frozenset(range(1, 7))


@dataclass(frozen=True, slots=True)
class Lifted:
    """Why a recall ended, on which evidence, when, and by which transaction."""

    reason: str
    evidence: EvidenceRef
    lifted_us: int
    tx_id: str

    def items(self) -> list[cbor.CborValue]:
        return [self.reason, self.evidence.items(), self.lifted_us, self.tx_id]

    @classmethod
    def of(cls, items: Any) -> Self:
        reason, evidence, lifted_us, tx_id = when(items, "the end of a recall", str, list)
        return cls(reason, EvidenceRef.of(evidence), lifted_us, tx_id)


@dataclass(frozen=True, slots=True)
class RecallRecord:
    """A recall of one lot. `recall_id` is the id of the transaction that began it; `grade` is its class, 1 the gravest;
    answers are wanted until `deadline_us`. `before` is the recall that this one made graver."""

    recall_id: str
    lot_id: bytes
    maker: str
    grade: int
    deadline_us: int
    reason: str
    evidence: EvidenceRef
    begun_us: int
    before: str | None = None
    lifted: Lifted | None = None

    def encode(self) -> bytes:
        return encoded(
            self.recall_id, self.lot_id, self.maker, self.grade, self.deadline_us, self.reason, self.evidence.items(),
            self.begun_us, self.before, self.lifted.items() if self.lifted else None,
        )  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> Self:
        item = fields(data, _RECALL, "recall record")
        grade = number(item, 5, "class")
        if not GRAVEST <= grade <= MILDEST:
            raise FormatError(f"a recall's class is from {GRAVEST} to {MILDEST}, got {grade}")
        return cls(
            cbor.field(item, 2, str, "recall id"), digest(item, 3, "lot id"), organisation(item[4]), grade,
            number(item, 6, "deadline"), cbor.field(item, 7, str, "reason"), EvidenceRef.of(item[8]),
            number(item, 9, "time"), optional(item[10], lambda _: cbor.field(item, 10, str, "recall before")),
            optional(item[11], Lifted.of),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class RecallAnswer:
    """That a commitment to an answer was on the ledger by then. It names neither who answered nor what."""

    recall_id: str
    commitment: bytes
    leaf_hash: bytes
    answered_us: int
    tx_id: str

    def encode(self) -> bytes:
        return encoded(self.recall_id, self.commitment, self.leaf_hash, self.answered_us, self.tx_id)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        item = fields(data, _ANSWER, "answer to a recall")
        return cls(
            cbor.field(item, 2, str, "recall id"), digest(item, 3, "commitment"), digest(item, 4, "leaf hash"),
            number(item, 5, "time"), cbor.field(item, 6, str, "transaction id"),
        )  # fmt: skip
