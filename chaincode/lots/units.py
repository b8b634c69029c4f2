"""Logistic units, looked up: who has one now, and what keeps it where it is.

What was packed into a unit that is opened by now is free without a write of its own: an opened unit never changes
again, so whoever asks for its child reads both and takes the child as the opener's.
"""

from dataclasses import replace

from chaincode.coldchain.quarantine import Quarantine, quarantine_key, require_free
from chaincode.errors import Code, ContractError, StateError
from chaincode.lots.acting import Acting
from chaincode.lots.keys import unit_key
from chaincode.lots.unit_records import MAX_LEVEL, UnitRecord, UnitState
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


async def past(tx: Transaction, unit: UnitRecord) -> list[bytes]:
    """Its id and those of the opened units that it came out of, innermost first."""
    ids = [unit.unit_id]
    while unit.out_of is not None and len(ids) <= MAX_LEVEL:
        unit = await known_unit(tx, unit.out_of)
        ids.append(unit.unit_id)
    return ids


async def quarantine_of(tx: Transaction, unit: UnitRecord) -> Quarantine | None:
    """The quarantine that holds the unit, or one that it came out of; None while it is free."""
    for unit_id in await past(tx, unit):
        found = await read(tx, quarantine_key(unit_id), Quarantine)
        if found is not None and found.held:
            return found
    return None


async def require_unquarantined(tx: Transaction, unit: UnitRecord) -> None:
    """ContractError (`quarantined`) while the unit, or one that it came out of, is held."""
    for unit_id in await past(tx, unit):
        await require_free(tx, unit_id)


async def write_unit(tx: Transaction, unit: UnitRecord, here: Acting) -> UnitRecord:
    """The unit with the evidence of this change."""
    written = replace(unit, evidence=here.evidence, changed_us=tx.timestamp_us, tx_id=tx.id)
    await tx.put(unit_key(unit.unit_id), written.encode())
    return written
