"""What keeps a unit where it is: a quarantine of it or of what it came out of, or an open exception on it.

Both are written elsewhere and believed as the state has them. Who has a unit, and what is recalled, is looked at where
units are changed.
"""

from chaincode.coldchain.quarantine import Quarantine, quarantine_key, require_free
from chaincode.errors import Code, ContractError
from chaincode.lots.exception_records import Hold
from chaincode.lots.keys import hold_key
from chaincode.lots.unit_records import UnitRecord
from chaincode.lots.units import known_unit, short
from chaincode.state import read
from chaincode.transaction import Transaction

MAX_PAST = 16


async def past(tx: Transaction, unit: UnitRecord) -> list[bytes]:
    """Its id and those of the opened units that it came out of, innermost first."""
    ids = [unit.unit_id]
    while unit.out_of is not None and len(ids) < MAX_PAST:
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


async def holds(tx: Transaction, unit_id: bytes) -> Hold:
    """The open exceptions on a unit."""
    return await read(tx, hold_key(unit_id), Hold) or Hold(())


async def require_no_exception(tx: Transaction, unit: UnitRecord) -> None:
    """ContractError (`exception-open`) while an exception of its custodian or recipient is open on the unit. One of
    who had it before does not count, nor one on the opened unit that it came out of: they are strangers by now."""
    held = (await holds(tx, unit.unit_id)).of(unit.custodian, unit.recipient)
    if held:
        raise ContractError(
            Code.EXCEPTION_OPEN, f"exception {held[0][0].hex()[:16]}… on {short(unit.unit_id)} is not resolved"
        )


async def require_free_to_go(tx: Transaction, unit: UnitRecord) -> None:
    """ContractError (`quarantined`, `exception-open`) while anything keeps it where it is."""
    for unit_id in await past(tx, unit):
        await require_free(tx, unit_id)
    await require_no_exception(tx, unit)
