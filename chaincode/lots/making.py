"""Lots are made: commissioned from nothing (raw materials, goods that enter the ledger) or from other lots."""

from collections.abc import Sequence
from dataclasses import replace

from chaincode import arguments
from chaincode.errors import Code, ContractError
from chaincode.lots.acting import Acting, acting
from chaincode.lots.holdings import add, known_lot, taken, write_balance
from chaincode.lots.items import Quantity, given
from chaincode.lots.keys import lot_key
from chaincode.lots.records import MAX_DAY, MAX_INPUTS, LotRecord
from chaincode.state import read
from chaincode.transaction import Transaction
from crypto import cbor
from crypto.errors import FormatError


async def commission(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """commission(lot id, root, count, expiry, evidence, input…): a lot comes to be, made of the caller's own balances.
    Each input is an encoded Quantity; `expiry` is a day since 1970, or empty. Returns the LotRecord; the same again
    changes nothing."""
    # 1. The caller, its evidence, and what it says of the lot.
    here = await acting(tx, args[4])
    wanted = _described(tx, args, here)
    # 2. One lot for an id, for ever.
    known = await read(tx, lot_key(wanted.lot_id), LotRecord)
    if known is not None:
        if _facts(known) != _facts(wanted):
            raise ContractError(Code.LOT_EXISTS, f"another lot has the id {wanted.lot_id.hex()[:16]}… already")
        return known.encode()
    # 3. What it is made of is the caller's, and none of it recalled.
    for quantity in wanted.inputs:
        await _consume(tx, quantity, here.organisation)
    # 4. All of it is the maker's.
    await add(tx, Quantity(wanted.lot_id, wanted.count), here.organisation, None)
    await tx.put(lot_key(wanted.lot_id), wanted.encode())
    tx.set_event("lots.commissioned", cbor.encode([wanted.lot_id, here.organisation, wanted.count]))
    return wanted.encode()


def _described(tx: Transaction, args: Sequence[bytes], here: Acting) -> LotRecord:
    lot = LotRecord(
        arguments.digest(args[0], "lot id"), here.organisation, arguments.digest(args[1], "root"),
        arguments.index(args[2], "count"), given(args[5:], MAX_INPUTS, "inputs"), _day(args[3]), here.evidence,
        tx.timestamp_us, tx.id,
    )  # fmt: skip
    if lot.count == 0:
        raise FormatError("a lot is of one pack at least, or of an amount above zero")
    if any(quantity.lot_id == lot.lot_id for quantity in lot.inputs):
        raise FormatError("a lot is not made of itself")
    return lot


def _day(argument: bytes) -> int | None:
    if not argument:
        return None
    day = arguments.index(argument, "expiry day")
    if day > MAX_DAY:
        raise FormatError(f"an expiry day counts days since 1970, at most {MAX_DAY}, got {day}")
    return day


async def _consume(tx: Transaction, quantity: Quantity, organisation: str) -> None:
    if (await known_lot(tx, quantity.lot_id)).recalled:
        raise ContractError(Code.RECALLED, f"the lot {quantity.lot_id.hex()[:16]}… is recalled and goes into no other")
    rest = await taken(tx, quantity, organisation)
    await write_balance(tx, replace(rest, consumed=rest.consumed + quantity.count))


def _facts(lot: LotRecord) -> LotRecord:
    """Without what only the first call says."""
    return replace(lot, made_us=0, tx_id="", recalled=None)
