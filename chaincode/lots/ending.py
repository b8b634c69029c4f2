"""The end of a pack: dispensed to a patient, or taken out of the trade. Each serial ends once.

A pack is proved in its lot's tree. A second end of the same serial, and one of a pack that is recalled or held by a
quarantine, is refused and *commits*: an aborted transaction could keep no evidence. The exception names both sides'.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chaincode import arguments
from chaincode.errors import Code, ContractError
from chaincode.lots.acting import Acting, acting
from chaincode.lots.exception_records import ExceptionRecord, Kind, Party
from chaincode.lots.exceptions import exception_named, open_exception
from chaincode.lots.guards import quarantine_of, require_no_exception
from chaincode.lots.holdings import known_lot, taken, write_balance
from chaincode.lots.items import Position, Quantity
from chaincode.lots.keys import exception_key, pack_key, write_off_key
from chaincode.lots.pack_records import EndAnswer, EndStatus, Fate, PackRecord, WriteOff
from chaincode.lots.records import Balance, LotRecord
from chaincode.lots.unit_records import UnitRecord, UnitState
from chaincode.lots.units import short, standing
from chaincode.state import read
from chaincode.transaction import Transaction
from crypto import cbor
from crypto.errors import FormatError

DAY_US = 86_400 * 1_000_000


@dataclass(frozen=True, slots=True)
class _Pack:
    """A pack that is proved to be of the lot, and of the unit where one is named."""

    lot: LotRecord
    pack_id: bytes
    unit: UnitRecord | None


async def dispense(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """dispense(lot id, pack id, position in the lot, unit id or empty, position in the unit or empty, evidence): the
    pack is given to a patient. Returns an EndAnswer; the same again answers `unchanged`."""
    return await _end(tx, args, Fate.DISPENSED, args[5])


async def decommission(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """decommission(lot id, pack id, position, unit id or empty, position or empty, fate, evidence): the pack is out of
    the trade. Returns an EndAnswer; the same again answers `unchanged`."""
    fate = arguments.choice(Fate, args[5], "fate")
    if fate is Fate.DISPENSED:
        raise FormatError("what a patient gets is dispensed, not decommissioned")
    return await _end(tx, args, fate, args[6])


async def write_off(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """write-off(lot id, amount, reason, evidence): an amount of a lot without packs is gone. Returns the WriteOff; the
    same again, by the same record, changes nothing."""
    here, lot = await acting(tx, args[3]), await known_lot(tx, arguments.digest(args[0], "lot id"))
    if lot.serialised:
        raise FormatError("packs of a serialised lot are decommissioned, each by its id")
    amount, reason = Quantity.of([lot.lot_id, arguments.index(args[1], "amount")]), arguments.reason(args[2])
    key = write_off_key(lot.lot_id, here.evidence.leaf_hash)
    known = await read(tx, key, WriteOff)
    if known is not None:
        return known.encode()
    rest = await taken(tx, amount, here.organisation)
    await write_balance(tx, replace(rest, decommissioned=rest.decommissioned + amount.count))
    gone = WriteOff(lot.lot_id, here.organisation, amount.count, reason, here.evidence, tx.timestamp_us, tx.id)
    await tx.put(key, gone.encode())
    tx.set_event("lots.written-off", cbor.encode([lot.lot_id, here.organisation, amount.count, reason]))
    return gone.encode()


async def _end(tx: Transaction, args: Sequence[bytes], fate: Fate, evidence: bytes) -> bytes:
    # 1. The caller and its evidence.
    here = await acting(tx, evidence)
    # 2. The pack is of this lot, and of the unit that was named, which the caller has opened.
    pack = await _proved(tx, args, here)
    # 3. It did not end before.
    earlier = await read(tx, pack_key(pack.lot.lot_id, pack.pack_id), PackRecord)
    if earlier is not None:
        return (await _again(tx, pack, earlier, fate, here)).encode()
    # 4. Nobody gets what is recalled, held back or expired.
    refused = await _not_to_leave(tx, pack, fate, here) if fate.leaves else None
    if refused is not None:
        return refused.encode()
    # 5. It is one of those that the caller holds.
    rest = await taken(tx, Quantity(pack.lot.lot_id, 1), here.organisation)
    await write_balance(tx, _ended(rest, fate))
    await _write(tx, pack, fate, here)
    done = EndStatus.DISPENSED if fate is Fate.DISPENSED else EndStatus.DECOMMISSIONED
    return EndAnswer(done).encode()


async def _write(tx: Transaction, pack: _Pack, fate: Fate, here: Acting) -> None:
    record = PackRecord(
        pack.lot.lot_id, pack.pack_id, fate, here.organisation, pack.unit.unit_id if pack.unit else None,
        here.evidence, tx.timestamp_us, tx.id,
    )  # fmt: skip
    await tx.put(pack_key(pack.lot.lot_id, pack.pack_id), record.encode())
    tx.set_event("lots.ended", cbor.encode([pack.lot.lot_id, pack.pack_id, here.organisation, str(fate)]))


def _ended(rest: Balance, fate: Fate) -> Balance:
    if fate is Fate.DISPENSED:
        return replace(rest, dispensed=rest.dispensed + 1)
    return replace(rest, decommissioned=rest.decommissioned + 1)


async def _proved(tx: Transaction, args: Sequence[bytes], here: Acting) -> _Pack:
    lot, pack_id = await known_lot(tx, arguments.digest(args[0], "lot id")), arguments.digest(args[1], "pack id")
    if not lot.serialised:
        raise FormatError("the lot has no packs; of an amount a part is written off")
    Position.decode(args[2]).require(pack_id, lot.count, lot.root)
    if bool(args[3]) is not bool(args[4]):
        raise FormatError("a unit is named together with the pack's position in it, or neither")
    if not args[3]:
        return _Pack(lot, pack_id, None)
    unit = await standing(tx, arguments.digest(args[3], "unit id"))
    if (unit.state, unit.custodian) != (UnitState.OPENED, here.organisation):
        raise ContractError(
            Code.NOT_CUSTODIAN,
            f"{short(unit.unit_id)} is {unit.state} with {unit.custodian}; its packs end where it was opened",
        )
    Position.decode(args[4]).require(pack_id, unit.count, unit.root)
    return _Pack(lot, pack_id, unit)


async def _again(tx: Transaction, pack: _Pack, earlier: PackRecord, fate: Fate, here: Acting) -> EndAnswer:
    """The pack ended before: an answer that got lost is given again, all else is a serial that is there twice."""
    if (earlier.organisation, earlier.evidence, earlier.fate) == (here.organisation, here.evidence, fate):
        return EndAnswer(EndStatus.UNCHANGED)
    parties = (here.organisation, earlier.organisation)
    kept = await _keep(tx, Kind.DUPLICATE_SERIAL, b"", pack, here, parties, earlier)
    return EndAnswer(EndStatus.DUPLICATE, kept)


async def _not_to_leave(tx: Transaction, pack: _Pack, fate: Fate, here: Acting) -> EndAnswer | None:
    """The refusal that is kept, where the lot is recalled or the unit quarantined; others are errors as everywhere."""
    cause: bytes | None = None
    kind, status = Kind.RECALLED_PRODUCT, EndStatus.RECALLED
    if pack.lot.recalled is not None:
        cause = pack.lot.recalled.recall_id.encode()
    elif pack.unit is not None and (held := await quarantine_of(tx, pack.unit)) is not None:
        # Never as long as the leaf hash that is the cause of a report: who opens a shipment chooses its id.
        kind, status, cause = Kind.QUARANTINED_PRODUCT, EndStatus.QUARANTINED, b"shipment/" + held.shipment_id
    if cause is not None:
        return EndAnswer(status, await _keep(tx, kind, cause, pack, here, (here.organisation,)))
    if pack.unit is not None:
        await require_no_exception(tx, pack.unit)
    day = pack.lot.expiry_day
    if fate is Fate.DISPENSED and day is not None and tx.timestamp_us // DAY_US > day:
        raise ContractError(Code.EXPIRED, f"the lot expired with day {day} since 1970")
    return None


async def _keep(
    tx: Transaction, kind: Kind, cause: bytes, pack: _Pack, here: Acting, parties: Sequence[str],
    earlier: PackRecord | None = None,
) -> bytes:  # fmt: skip
    """Keep an exception, whose owner is the lot's maker; its id. The first of a cause is proof enough."""
    about = [pack.lot.lot_id, pack.pack_id, *([pack.unit.unit_id] if pack.unit else [])]
    exception_id = exception_named(kind, here.organisation, cause, b"".join(about[:2]))
    if await tx.get(exception_key(exception_id)) is None:
        record = ExceptionRecord(
            exception_id, kind, tuple(about), pack.lot.maker, tuple(map(Party, {}.fromkeys(parties))), here.evidence,
            earlier.evidence if earlier else None, None, 0, tx.timestamp_us, tx.id,
        )  # fmt: skip
        await open_exception(tx, record)
    return exception_id
