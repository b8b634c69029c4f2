"""Who has a unit, by the contract `lots`."""

from chaincode.errors import Code, ContractError
from chaincode.lots.keys import unit_key
from chaincode.lots.unit_records import MAX_LEVEL, UnitState
from chaincode.lots.units import standing
from chaincode.transaction import Transaction


async def require_whole(tx: Transaction, unit_id: bytes, organisation: str) -> None:
    """That the organisation has the unit, by itself and not opened, as far as the contract `lots` knows it. What is
    inside of another goes with that one; and what was in an opened one may be somebody else's by now."""
    if await tx.get(unit_key(unit_id)) is None:
        return
    found, name = await standing(tx, unit_id), f"unit {unit_id.hex()[:16]}…"
    if found.custodian != organisation:
        raise ContractError(Code.NOT_OWNER, f"{name} is with {found.custodian}, not with {organisation}")
    if found.parent is not None:
        raise ContractError(Code.UNIT_INSIDE, f"{name} is inside of another; the shipment is of that one")
    if found.state in (UnitState.OPENED, UnitState.DESTROYED):
        raise ContractError(Code.UNIT_ENDED, f"{name} is {found.state}; a shipment is of units that are whole")


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
