"""Who has a unit, by the contract `lots`."""

from chaincode.lots.keys import unit_key
from chaincode.lots.unit_records import MAX_LEVEL, UnitState
from chaincode.lots.units import standing
from chaincode.transaction import Transaction


async def custodian_of(tx: Transaction, unit_id: bytes) -> str | None:
    """The organisation that has the unit, or the unit around it; None where the contract `lots` does not know it."""
    if await tx.get(unit_key(unit_id)) is None:
        return None
    found = await standing(tx, unit_id)
    for _ in range(MAX_LEVEL):
        if found.parent is None or found.state is not UnitState.HELD:
            break
        found = await standing(tx, found.parent)
    return found.custodian
