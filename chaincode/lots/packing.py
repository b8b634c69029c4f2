"""Packing: loose packs or smaller units become one unit, a unit is opened again, or destroyed with what is in it.

Nobody packs what he does not hold. A unit's tree is of what is directly in it; where that is units, the contract makes
the tree itself, and where it is packs, their number must be the contents'.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from chaincode import arguments
from chaincode.coldchain.state import known_shipment, under_way, under_way_key
from chaincode.errors import Code, ContractError
from chaincode.lots.acting import Acting, acting
from chaincode.lots.guards import MAX_PAST, past, require_free_to_go
from chaincode.lots.holdings import add, lots_of, taken, write_balance
from chaincode.lots.items import Quantity, ascending, given, quantities
from chaincode.lots.keys import unit_key
from chaincode.lots.records import LotRecord
from chaincode.lots.unit_records import MAX_LEVEL, MAX_LOTS, UnitRecord, UnitState
from chaincode.lots.units import require_held, short, standing, write_unit
from chaincode.state import read
from chaincode.transaction import Transaction
from crypto import cbor
from crypto.errors import FormatError
from crypto.merkle import EMPTY_ROOT, HASH_BYTES, leaf_hash, root_of

MAX_CHILDREN = 128
_T = TypeVar("_T")


async def pack(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """pack(unit id, root, count, content…, evidence): a unit of the caller's loose balances, each content an encoded
    Quantity; or of up to 128 units that the caller has, each content a unit id, in ascending order. Returns the
    UnitRecord; the same again changes nothing."""
    # 1. The caller, its evidence, and what it says of the unit.
    here = await acting(tx, args[-1])
    unit_id, content = arguments.digest(args[0], "unit id"), args[3:-1]
    root, count = arguments.digest(args[1], "root"), arguments.index(args[2], "count")
    # 2. One unit for an id, for ever.
    known = await read(tx, unit_key(unit_id), UnitRecord)
    if known is not None:
        said = here.evidence, here.organisation, root, count
        if (known.evidence, known.custodian, known.root, known.count) != said or not _holds(known, content):
            raise ContractError(Code.UNIT_EXISTS, f"another unit has the id {unit_id.hex()[:16]}… already")
        return known.encode()
    await _require_own_shipment(tx, unit_id, here)
    # 3. What goes into it is the caller's, and is taken from where it was.
    unit = UnitRecord(unit_id, (), root, count, 0, here.organisation, UnitState.HELD, here.evidence, 0, tx.id)
    if all(len(one) == HASH_BYTES for one in content):
        unit = await _of_units(tx, unit, content, here)
    else:
        unit = await _of_packs(tx, unit, given(content, MAX_LOTS, "contents"), here)
    tx.set_event("lots.packed", cbor.encode([unit_id, here.organisation]))
    return (await write_unit(tx, unit, here)).encode()


def _holds(known: UnitRecord, content: Sequence[bytes]) -> bool:
    """Whether that is its content; of units its root says so."""
    return known.level > 0 or known.contents == given(content, MAX_LOTS, "contents")


async def _require_own_shipment(tx: Transaction, unit_id: bytes, here: Acting) -> None:
    """Nobody has a unit held by a shipment of its id that was opened before there was a unit."""
    before = await tx.get(under_way_key(unit_id))
    if before is not None and (await known_shipment(tx, before))[0].opener != here.organisation:
        raise ContractError(
            Code.UNIT_EXISTS, f"somebody else opened a shipment of {short(unit_id)} before; take another id"
        )


async def _of_packs(tx: Transaction, unit: UnitRecord, contents: tuple[Quantity, ...], here: Acting) -> UnitRecord:
    lots = await lots_of(tx, contents)
    _require_apart(lots)
    # The tree lists all packs of lots that have packs, or nothing where they are not listed.
    packs = sum(quantity.count for quantity, lot in zip(contents, lots, strict=True) if lot.serialised)
    if unit.count not in (0, packs) or (unit.count == 0) is not (unit.root == EMPTY_ROOT):
        raise FormatError(f"a unit of {packs} packs has a tree of as many, or the empty tree; got {unit.count}")
    suppliers: list[str | None] = []
    for quantity in contents:
        rest = await taken(tx, quantity, here.organisation)
        await write_balance(tx, rest)
        suppliers.append(rest.supplier)
    return replace(unit, contents=contents, supplier=_common(suppliers))


async def _of_units(tx: Transaction, unit: UnitRecord, ids: Sequence[bytes], here: Acting) -> UnitRecord:
    if not 1 <= len(ids) <= MAX_CHILDREN or not ascending(ids):
        raise FormatError(f"a unit is of 1 to {MAX_CHILDREN} units, each once, in ascending order of their ids")
    if (unit.root, unit.count) != (root_of([leaf_hash(one) for one in ids]), len(ids)):
        raise FormatError(f"root and count are not those of the tree of these {len(ids)} units")
    children = [await standing(tx, one) for one in ids]
    for child in children:
        require_held(child, here)
        await require_free_to_go(tx, child)
    contents = _together(children)
    _require_apart(await lots_of(tx, contents))
    level = 1 + max(child.level for child in children)
    if level > MAX_LEVEL:
        raise FormatError(f"units are inside of each other {MAX_LEVEL} levels deep at most")
    out_of = await _past_of(tx, children)
    for child in children:
        await write_unit(tx, replace(child, parent=unit.unit_id), here)
    supplier = _common([child.supplier for child in children])
    return replace(unit, contents=contents, level=level, out_of=out_of, supplier=supplier)


async def _past_of(tx: Transaction, children: Sequence[UnitRecord]) -> bytes | None:
    """What the new unit counts as out of, so that nobody gets rid of a quarantine by packing before it comes: nothing
    where none can come any more, else the one opened unit that all of them came out of."""
    pasts = [await past(tx, child) for child in children]
    coming = [one for one in {}.fromkeys(one for ids in pasts for one in ids) if await under_way(tx, one)]
    if not coming:
        return None
    common = _common([child.out_of for child in children])
    if common is None or any(len(ids) >= MAX_PAST - MAX_LEVEL or ids[0] in coming for ids in pasts):
        raise ContractError(
            Code.UNIT_UNDER_WAY,
            f"{short(coming[0])} is in a shipment that is not closed and reported to its end; what is or was in it is "
            "packed together with other units thereafter",
        )
    return common


def _together(children: Sequence[UnitRecord]) -> tuple[Quantity, ...]:
    """What is in all of them."""
    counts: dict[bytes, int] = {}
    for child in children:
        for quantity in child.contents:
            counts[quantity.lot_id] = counts.get(quantity.lot_id, 0) + quantity.count
    return quantities([Quantity(*pair) for pair in sorted(counts.items())], MAX_LOTS, "contents")


def _require_apart(lots: Sequence[LotRecord]) -> None:
    """A recalled lot is packed by itself only, for its way back; a ship elsewhere is refused."""
    recalled = [lot for lot in lots if lot.recalled]
    if recalled and len(recalled) != len(lots):
        raise ContractError(
            Code.RECALLED, f"the lot {recalled[0].lot_id.hex()[:16]}… is recalled; pack it apart, for its way back"
        )


def _common(found: Sequence[_T | None]) -> _T | None:
    """What all of them have; None where they differ."""
    return found[0] if all(one == found[0] for one in found) else None


async def unpack(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """unpack(unit id, evidence): the custodian opens a unit. Packs go to its balances, units that were inside are free
    and its own. Returns the UnitRecord; the same again changes nothing."""
    here = await acting(tx, args[1])
    unit = await standing(tx, arguments.digest(args[0], "unit id"))
    if _done(unit, UnitState.OPENED, here):
        return unit.encode()
    # 1. The caller has it. 2. No quarantine and no exception holds it.
    require_held(unit, here)
    await require_free_to_go(tx, unit)
    # 3. What is in it is loose.
    for quantity in unit.contents if unit.level == 0 else ():
        await add(tx, quantity, here.organisation, unit.supplier)
    tx.set_event("lots.unpacked", cbor.encode([unit.unit_id, here.organisation]))
    return (await write_unit(tx, replace(unit, state=UnitState.OPENED), here)).encode()


async def destroy(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """destroy(unit id, reason, evidence): the custodian destroys a unit with all that is in it, held back or not.
    Returns the UnitRecord; the same again changes nothing."""
    here = await acting(tx, args[2])
    unit, reason = await standing(tx, arguments.digest(args[0], "unit id")), arguments.reason(args[1])
    if _done(unit, UnitState.DESTROYED, here):
        return unit.encode()
    require_held(unit, here)
    tx.set_event("lots.destroyed", cbor.encode([unit.unit_id, here.organisation, reason]))
    return (await write_unit(tx, replace(unit, state=UnitState.DESTROYED), here)).encode()


def _done(unit: UnitRecord, state: UnitState, here: Acting) -> bool:
    """Whether this very call was committed before: an answer that got lost is asked for again."""
    return (unit.state, unit.custodian, unit.evidence) == (state, here.organisation, here.evidence)
