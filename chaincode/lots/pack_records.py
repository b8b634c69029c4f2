"""Records of single packs: how each ended, and what the call that ended it answered. Written once, never changed."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from chaincode.evidence import EvidenceRef
from chaincode.lots.items import choice, optional, organisation
from chaincode.state import digest, encoded, fields, number
from crypto import cbor

_PACK = frozenset(range(1, 10))
_WRITE_OFF = frozenset(range(1, 9))
_ANSWER = frozenset(range(1, 4))


class Fate(StrEnum):
    """How a pack ended. The first is a patient's; the others take it out of the trade."""

    DISPENSED = "dispensed"
    DESTROYED = "destroyed"
    DAMAGED = "damaged"
    EXPIRED = "expired"
    EXPORTED = "exported"
    LOST = "lost"
    RECALLED = "recalled"
    SAMPLED = "sampled"
    STOLEN = "stolen"

    @property
    def leaves(self) -> bool:
        """Whether somebody gets it: what is recalled or quarantined may not end so."""
        return self in (Fate.DISPENSED, Fate.EXPORTED)


@dataclass(frozen=True, slots=True)
class PackRecord:
    """The end of one pack, written once: how, by whom, from which unit if one was named."""

    lot_id: bytes
    pack_id: bytes
    fate: Fate
    organisation: str
    unit_id: bytes | None
    evidence: EvidenceRef
    ended_us: int
    tx_id: str

    def encode(self) -> bytes:
        return encoded(
            self.lot_id, self.pack_id, str(self.fate), self.organisation, self.unit_id, self.evidence.items(),
            self.ended_us, self.tx_id,
        )  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> Self:
        item = fields(data, _PACK, "pack record")
        return cls(
            digest(item, 2, "lot id"), digest(item, 3, "pack id"), choice(Fate, item[4], "fate"),
            organisation(item[5]), optional(item[6], lambda _: digest(item, 6, "unit id")), EvidenceRef.of(item[7]),
            number(item, 8, "time"), cbor.field(item, 9, str, "transaction id"),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class WriteOff:
    """An amount of a lot without packs that is gone: spilt, used up in a test, destroyed."""

    lot_id: bytes
    organisation: str
    count: int
    reason: str
    evidence: EvidenceRef
    ended_us: int
    tx_id: str

    def encode(self) -> bytes:
        return encoded(
            self.lot_id, self.organisation, self.count, self.reason, self.evidence.items(), self.ended_us, self.tx_id
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        item = fields(data, _WRITE_OFF, "write-off")
        return cls(
            digest(item, 2, "lot id"), organisation(item[3]), number(item, 4, "count"),
            cbor.field(item, 5, str, "reason"), EvidenceRef.of(item[6]), number(item, 7, "time"),
            cbor.field(item, 8, str, "transaction id"),
        )  # fmt: skip


class EndStatus(StrEnum):
    """What `dispense` and `decommission` did. The last three are refusals that commit, for the evidence's sake."""

    DISPENSED = "dispensed"
    DECOMMISSIONED = "decommissioned"
    UNCHANGED = "unchanged"
    DUPLICATE = "duplicate"
    RECALLED = "recalled"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class EndAnswer:
    """Result of `dispense` and `decommission`: the status, and the id of the exception where one was kept."""

    status: EndStatus
    exception_id: bytes | None = None

    def encode(self) -> bytes:
        return encoded(str(self.status), self.exception_id)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        item = fields(data, _ANSWER, "answer")
        exception_id = optional(item[3], lambda _: digest(item, 3, "exception id"))
        return cls(choice(EndStatus, item[2], "status"), exception_id)
