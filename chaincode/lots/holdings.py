"""Lots and balances, looked up and changed. A balance never falls below nothing: that is the law of conservation.

Each function writes the balance of one organisation, the caller's. A call takes from a lot, or adds to it, once.
"""

from collections.abc import Sequence
from dataclasses import replace

from chaincode.errors import Code, ContractError
from chaincode.lots.items import Quantity
from chaincode.lots.keys import balance_key, lot_key
from chaincode.lots.records import Balance, LotRecord
from chaincode.state import read
from chaincode.transaction import Transaction


async def known_lot(tx: Transaction, lot_id: bytes) -> LotRecord:
    found = await read(tx, lot_key(lot_id), LotRecord)
    if found is None:
        raise ContractError(Code.UNKNOWN_LOT, f"no lot {lot_id.hex()[:16]}… was commissioned")
    return found


async def lots_of(tx: Transaction, contents: Sequence[Quantity]) -> list[LotRecord]:
    """The records of these lots, in their order."""
    return [await known_lot(tx, quantity.lot_id) for quantity in contents]


async def balance_of(tx: Transaction, lot_id: bytes, organisation: str) -> Balance:
    """What it holds; nothing where it never had any."""
    return await read(tx, balance_key(lot_id, organisation), Balance) or Balance(lot_id, organisation)


async def write_balance(tx: Transaction, balance: Balance) -> None:
    await tx.put(balance_key(balance.lot_id, balance.organisation), balance.encode())


async def taken(tx: Transaction, quantity: Quantity, organisation: str) -> Balance:
    """Its balance less this quantity, which it must hold. Not written yet."""
    balance = await balance_of(tx, quantity.lot_id, organisation)
    if balance.count < quantity.count:
        raise ContractError(
            Code.NOT_HELD,
            f"{organisation} holds {balance.count} of the lot {quantity.lot_id.hex()[:16]}… loose, not "
            f"{quantity.count}; what is in a unit is loose once that was unpacked",
        )
    return replace(balance, count=balance.count - quantity.count)


async def add(tx: Transaction, quantity: Quantity, organisation: str, supplier: str | None) -> None:
    """More of a lot, out of an opened unit that `supplier` sent, or of its own making."""
    balance = await balance_of(tx, quantity.lot_id, organisation)
    await write_balance(
        tx, replace(balance, count=balance.count + quantity.count, supplier=supplier or balance.supplier)
    )
