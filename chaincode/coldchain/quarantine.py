"""Quarantine: a unit whose cold chain was broken goes nowhere before somebody else than its reporter released it.

The contract `lots` asks `require_free` before a unit is shipped, unpacked or dispensed. Records are written by the
contract `coldchain` alone; that of a released quarantine stays, so that everybody sees what was let pass and by whom.
"""

from dataclasses import dataclass
from typing import Self

from chaincode.errors import Code, ContractError
from chaincode.state import digest, encoded, fields, number, read
from chaincode.transaction import Transaction
from crypto import cbor
from crypto.errors import FormatError

_QUARANTINE = frozenset(range(1, 8))


def quarantine_key(unit_id: bytes) -> str:
    return f"quarantine/{unit_id.hex()}"


@dataclass(frozen=True, slots=True)
class Quarantine:
    """That a unit is held because of this shipment's excursion, since when and by which transaction. `released_by` is
    the organisation that let it go, None while it is held; the time and the reason are then 0 and empty."""

    shipment_id: bytes
    since_us: int
    tx_id: str
    released_by: str | None = None
    released_us: int = 0
    reason: str = ""

    @property
    def held(self) -> bool:
        return self.released_by is None

    def encode(self) -> bytes:
        return encoded(self.shipment_id, self.since_us, self.tx_id, self.released_by, self.released_us, self.reason)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        item = fields(data, _QUARANTINE, "quarantine record")
        released_by = None if item[5] is None else cbor.field(item, 5, str, "releasing organisation")
        found = cls(
            digest(item, 2, "shipment id"), number(item, 3, "time"), cbor.field(item, 4, str, "transaction id"),
            released_by, number(item, 6, "time of release"), cbor.field(item, 7, str, "reason"),
        )  # fmt: skip
        if found.held and (found.released_us or found.reason):
            raise FormatError("a unit that is held has no time and no reason of its release")
        return found


async def require_free(tx: Transaction, unit_id: bytes) -> None:
    """ContractError (`quarantined`) while the unit is held. Reads one key: `quarantine/<unit id>`."""
    found = await read(tx, quarantine_key(unit_id), Quarantine)
    if found is not None and found.held:
        raise ContractError(
            Code.QUARANTINED,
            f"unit {unit_id.hex()[:16]}… is held since an excursion of shipment {found.shipment_id.hex()[:16]}…; "
            "another organisation than its reporter releases it",
        )
