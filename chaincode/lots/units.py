"""Logistic units, looked up: who has one now, and what keeps it where it is.

What was packed into a unit that is opened by now is free without a write of its own: an opened unit never changes
again, so whoever asks for its child reads both and takes the child as the opener's.
"""

from dataclasses import replace

from chaincode.errors import Code, ContractError, StateError
from chaincode.lots.acting import Acting
from chaincode.lots.keys import unit_key
from chaincode.lots.unit_records import UnitRecord, UnitState
from chaincode.state import read
from chaincode.transaction import Transaction

_WHY_NOT = {
    UnitState.IN_TRANSIT: (Code.IN_TRANSIT, "is on its way; its recipient receives or refuses it"),
    UnitState.OPENED: (Code.UNIT_ENDED, "was opened; what was in it is loose"),
    UnitState.DESTROYED: (Code.UNIT_ENDED, "was destroyed"),
}


def short(unit_id: bytes) -> str:
    """A unit in a message."""
    return f"unit {unit_id.hex()[:16]}…"


async def known_unit(tx: Transaction, unit_id: bytes) -> UnitRecord:
    """As it was written last."""
    found = await read(tx, unit_key(unit_id), UnitRecord)
    if found is None:
        raise ContractError(Code.UNKNOWN_UNIT, f"nobody packed a {short(unit_id)}")
    return found


async def standing(tx: Transaction, unit_id: bytes) -> UnitRecord:
    """As it stands now: out of its parent, and the opener's, where that was opened."""
    unit = await known_unit(tx, unit_id)
    if unit.parent is None:
        return unit
    parent = await read(tx, unit_key(unit.parent), UnitRecord)
    if parent is None:
        raise StateError(f"{short(unit_id)} is inside of a unit that is not there; run fsck on this ledger")
    if parent.state is not UnitState.OPENED:
        return unit
    supplier = parent.supplier or unit.supplier
    return replace(unit, custodian=parent.custodian, parent=None, out_of=parent.unit_id, supplier=supplier)


def require_held(unit: UnitRecord, here: Acting) -> None:
    """The caller has this unit, by itself and whole. Who has what is inside of another is not looked at."""
    if unit.state is not UnitState.HELD:
        code, why = _WHY_NOT[unit.state]
        raise ContractError(code, f"{short(unit.unit_id)} {why}")
    if unit.parent is not None:
        raise ContractError(Code.UNIT_INSIDE, f"{short(unit.unit_id)} is inside of {short(unit.parent)}; unpack that")
    if unit.custodian != here.organisation:
        raise ContractError(
            Code.NOT_CUSTODIAN, f"{short(unit.unit_id)} is with {unit.custodian}, not with {here.organisation}"
        )


async def write_unit(tx: Transaction, unit: UnitRecord, here: Acting) -> UnitRecord:
    """The unit with the evidence of this change."""
    written = replace(unit, evidence=here.evidence, changed_us=tx.timestamp_us, tx_id=tx.id)
    await tx.put(unit_key(unit.unit_id), written.encode())
    return written
