"""What is known of lots, looked up. Nothing here changes anything; arguments are untrusted."""

from collections.abc import Sequence

from chaincode import arguments
from chaincode.lots.exceptions import known_exception
from chaincode.lots.guards import holds
from chaincode.lots.holdings import balance_of, known_lot
from chaincode.lots.keys import exception_listing_key, lot_key, pack_key, unit_key
from chaincode.lots.pack_records import PackRecord
from chaincode.lots.unit_records import UnitState
from chaincode.lots.units import standing
from chaincode.state import PRESENT, read
from chaincode.transaction import Transaction
from crypto import cbor

MAX_HISTORY = 1000
MAX_PAGE = 64
MAX_SCANNED = 1000


async def get(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """get(lot id): the LotRecord."""
    return (await known_lot(tx, arguments.digest(args[0], "lot id"))).encode()


async def unit(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """unit(unit id): the UnitRecord, as it stands now."""
    return (await standing(tx, arguments.digest(args[0], "unit id"))).encode()


async def where(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """where(unit id): CBOR list of custodian, recipient or null, state, and the id of the outermost unit around it, or
    its own. What is inside of a unit is where that one is."""
    found = await standing(tx, arguments.digest(args[0], "unit id"))
    while found.parent is not None and found.state is UnitState.HELD:
        found = await standing(tx, found.parent)
    return cbor.encode([found.custodian, found.recipient, str(found.state), found.unit_id])


async def balance(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """balance(lot id, organisation): the Balance, of nothing where it never had any."""
    lot = await known_lot(tx, arguments.digest(args[0], "lot id"))
    return (await balance_of(tx, lot.lot_id, arguments.name(args[1], "organisation"))).encode()


async def pack_state(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """pack-state(lot id, pack id): the PackRecord of its end; CBOR null while it is in the trade, or was never
    there."""
    lot = await known_lot(tx, arguments.digest(args[0], "lot id"))
    found = await read(tx, pack_key(lot.lot_id, arguments.digest(args[1], "pack id")), PackRecord)
    return found.encode() if found else cbor.encode(None)


async def history(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """history(id of a lot or unit): CBOR list of [transaction id, time, SHA-256 of the record], one for each change,
    newest first, at most 1,000."""
    named = arguments.digest(args[0], "id")
    found: list[cbor.CborValue] = []
    for key in (lot_key(named), unit_key(named)):
        async for version in tx.history(key):
            found.append([version.tx_id, version.timestamp_us, version.value_hash])
            if len(found) == MAX_HISTORY:
                break
    return cbor.encode(found)


async def exception(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """exception(exception id): the ExceptionRecord."""
    return (await known_exception(tx, args[0])).encode()


async def held_by(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """held-by(unit id): CBOR list of the ids of open exceptions that keep this unit where it is."""
    unit_id = arguments.digest(args[0], "unit id")
    if await tx.get(unit_key(unit_id)) is None:
        return cbor.encode([])
    found = await standing(tx, unit_id)
    return cbor.encode([one for one, _ in (await holds(tx, unit_id)).of(found.custodian, found.recipient)])


async def exceptions(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """exceptions(organisation, [after]): CBOR list of at most 64 ExceptionRecords, each as bytes, that concern it and
    are not resolved, by their ids, and the id to go on after, null at the end. One call looks at 1,000 at most."""
    prefix = exception_listing_key(arguments.name(args[0], "organisation"), b"")
    start = prefix + arguments.digest(args[1], "after").hex() + "\x00" if len(args) > 1 else prefix
    found: list[cbor.CborValue] = []
    seen, last = 0, b""
    async for key, value in tx.range(start, prefix + "\x7f"):
        seen, last = seen + 1, bytes.fromhex(key[len(prefix) :])
        if value == PRESENT:
            found.append((await known_exception(tx, last)).encode())
        if len(found) == MAX_PAGE or seen == MAX_SCANNED:
            return cbor.encode([found, last])
    return cbor.encode([found, None])
