"""Records of logistic units: cases, pallets, drums. What is in one, who has it, and where it is inside or came out of.

A unit's id reveals nothing; its contents show lots' ids and counts, since only so can the contract hold that nobody
passes on more than there is.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from chaincode.evidence import EvidenceRef
from chaincode.lots.items import Quantity, choice, listed, optional, organisation
from chaincode.state import digest, encoded, fields, number
from crypto import cbor
from crypto.errors import FormatError

MAX_LOTS = 32
MAX_LEVEL = 4
_UNIT = frozenset(range(1, 17))


class UnitState(StrEnum):
    """Where a unit is in its life. The last two are ends."""

    HELD = "held"
    IN_TRANSIT = "in-transit"
    OPENED = "opened"
    DESTROYED = "destroyed"


@dataclass(frozen=True, slots=True)
class UnitRecord:
    """A logistic unit with its `custodian`. `root` and `count` are those of the tree of what is directly in it: packs'
    ids at level 0, units' above. `recipient` is set in transit only. `parent` is the unit that it was packed into;
    it counts until that one was opened (chaincode.lots.units.standing). `out_of` is the opened unit that it came out
    of, `supplier` who sent it, or what was packed into it. `evidence`, time and transaction are those of the last
    change."""

    unit_id: bytes
    contents: tuple[Quantity, ...]
    root: bytes
    count: int
    level: int
    custodian: str
    state: UnitState
    evidence: EvidenceRef
    changed_us: int
    tx_id: str
    recipient: str | None = None
    parent: bytes | None = None
    out_of: bytes | None = None
    supplier: str | None = None
    returning: bool = False

    def encode(self) -> bytes:
        return encoded(
            self.unit_id, [one.items() for one in self.contents], self.root, self.count, self.level, self.custodian,
            str(self.state), self.evidence.items(), self.changed_us, self.tx_id, self.recipient, self.parent,
            self.out_of, self.supplier, self.returning,
        )  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> Self:
        item = fields(data, _UNIT, "unit record")
        found = cls(
            digest(item, 2, "unit id"), listed(item[3], MAX_LOTS, "contents"), digest(item, 4, "root"),
            number(item, 5, "count"), number(item, 6, "level"), organisation(item[7]),
            choice(UnitState, item[8], "state"), EvidenceRef.of(item[9]), number(item, 10, "time"),
            cbor.field(item, 11, str, "transaction id"), optional(item[12], organisation),
            optional(item[13], lambda _: digest(item, 13, "parent")),
            optional(item[14], lambda _: digest(item, 14, "unit that it came out of")),
            optional(item[15], organisation), cbor.field(item, 16, bool, "returning"),
        )  # fmt: skip
        if found.level > MAX_LEVEL or (found.recipient is not None) is not (found.state is UnitState.IN_TRANSIT):
            raise FormatError(f"a unit is of level 0 to {MAX_LEVEL}, and has a recipient in transit only")
        return found
