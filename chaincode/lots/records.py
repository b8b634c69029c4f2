"""Records of lots: what a lot is, and how much of it each organisation holds loose.

They name lots and packs by ids that only holders of the lot's secret can tell. A lot of a million packs is one record:
its packs are leaves of a tree, and a pack has a key of its own only once it was handled alone.
"""

from dataclasses import dataclass
from typing import Any, Self

from chaincode.evidence import EvidenceRef
from chaincode.lots.items import Quantity, listed, optional, organisation, when
from chaincode.state import digest, encoded, fields, number
from crypto import cbor
from crypto.errors import FormatError
from crypto.merkle import EMPTY_ROOT

MAX_INPUTS = 64
MAX_DAY = 10**6
_LOT = frozenset(range(1, 12))
_BALANCE = frozenset(range(1, 9))


@dataclass(frozen=True, slots=True)
class Recalled:
    """The recall that a lot is under: its id, its class from 1 (gravest) to 3, and when the ledger took it."""

    recall_id: str
    grade: int
    recalled_us: int

    def items(self) -> list[cbor.CborValue]:
        return [self.grade, self.recalled_us, self.recall_id]

    @classmethod
    def of(cls, items: Any) -> Self:
        grade, recalled_us, recall_id = when(items, "a recall", int)
        if not 1 <= grade <= 3:
            raise FormatError(f"a recall's class is 1, 2 or 3, got {grade}")
        return cls(recall_id, grade, recalled_us)


@dataclass(frozen=True, slots=True)
class LotRecord:
    """A lot, made by `maker` from `inputs`. `root` and `count` are those of the tree of its packs' ids; the root of the
    empty tree says that it has no packs and `count` is an amount. `expiry_day` counts days since 1970: the last good
    one."""

    lot_id: bytes
    maker: str
    root: bytes
    count: int
    inputs: tuple[Quantity, ...]
    expiry_day: int | None
    evidence: EvidenceRef
    made_us: int
    tx_id: str
    recalled: Recalled | None = None

    @property
    def serialised(self) -> bool:
        return self.root != EMPTY_ROOT

    def encode(self) -> bytes:
        return encoded(
            self.lot_id, self.maker, self.root, self.count, [one.items() for one in self.inputs], self.expiry_day,
            self.evidence.items(), self.made_us, self.tx_id, self.recalled.items() if self.recalled else None,
        )  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> Self:
        item = fields(data, _LOT, "lot record")
        return cls(
            digest(item, 2, "lot id"), organisation(item[3]), digest(item, 4, "root"), number(item, 5, "count"),
            listed(item[6], MAX_INPUTS, "inputs"), optional(item[7], lambda _: number(item, 7, "expiry day")),
            EvidenceRef.of(item[8]), number(item, 9, "time"), cbor.field(item, 10, str, "transaction id"),
            optional(item[11], Recalled.of),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Balance:
    """What one organisation has of one lot outside of units (`count`), and what ended with it: packs dispensed, packs
    and amounts decommissioned, and what went into other lots. `supplier` is who sent the unit that was opened last."""

    lot_id: bytes
    organisation: str
    count: int = 0
    dispensed: int = 0
    decommissioned: int = 0
    consumed: int = 0
    supplier: str | None = None

    def encode(self) -> bytes:
        return encoded(
            self.lot_id, self.organisation, self.count, self.dispensed, self.decommissioned, self.consumed,
            self.supplier,
        )  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> Self:
        item = fields(data, _BALANCE, "balance")
        return cls(
            digest(item, 2, "lot id"), organisation(item[3]), number(item, 4, "count"), number(item, 5, "dispensed"),
            number(item, 6, "decommissioned"), number(item, 7, "consumed"), optional(item[8], organisation),
        )  # fmt: skip
