"""Custody moves from both sides: the custodian ships, and the unit is the recipient's once that one received it.

Only the units' own keys are written, whatever is in them, so that no two companies' calls conflict but about one unit.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from chaincode import arguments
from chaincode.errors import Code, ContractError
from chaincode.lots.acting import Acting, acting, other_organisation
from chaincode.lots.guards import require_free_to_go
from chaincode.lots.holdings import lots_of
from chaincode.lots.unit_records import UnitRecord, UnitState
from chaincode.lots.units import require_held, short, standing, write_unit
from chaincode.transaction import Transaction
from crypto import cbor
from crypto.errors import FormatError

MAX_MOVED = 32


async def ship(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """ship(unit id × 1–32, recipient's organisation, evidence): the custodian sends units; they stay its own until they
    are received. Returns a CBOR list of UnitRecords, each as bytes; the same again changes nothing."""
    here = await acting(tx, args[-1])
    recipient = await other_organisation(tx, args[-2], here, "recipient")

    async def sent(unit: UnitRecord) -> UnitRecord | None:
        if (unit.state, unit.recipient, unit.evidence) == (UnitState.IN_TRANSIT, recipient, here.evidence):
            return None
        # 1. The caller has it. 2. No quarantine and no exception holds it. 3. No recall does, or this is the way back.
        require_held(unit, here)
        await require_free_to_go(tx, unit)
        returning = await _is_return(tx, unit, recipient)
        return replace(unit, state=UnitState.IN_TRANSIT, recipient=recipient, returning=returning)

    moved, answer = await _each(tx, args[:-2], here, sent)
    if moved:
        tx.set_event("lots.shipped", cbor.encode([moved, here.organisation, recipient]))
    return answer


async def _is_return(tx: Transaction, unit: UnitRecord, recipient: str) -> bool:
    """Whether something in it is recalled; then it goes to that lot's maker or to its supplier only."""
    recalled = [lot for lot in await lots_of(tx, unit.contents) if lot.recalled]
    for lot in recalled:
        if recipient not in (lot.maker, unit.supplier):
            back = " or ".join(dict.fromkeys([lot.maker, unit.supplier or lot.maker]))
            raise ContractError(
                Code.RECALLED, f"the lot {lot.lot_id.hex()[:16]}… is recalled; it goes back only, to {back}"
            )  # fmt: skip
    return bool(recalled)


async def receive(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """receive(unit id × 1–32, evidence): the named recipient takes units, and is their custodian from then on. Held
    back or not: what is in transit must arrive somewhere. Returns as `ship` does."""
    here = await acting(tx, args[-1])

    async def taken(unit: UnitRecord) -> UnitRecord | None:
        if (unit.state, unit.custodian, unit.evidence) == (UnitState.HELD, here.organisation, here.evidence):
            return None
        _require_recipient(unit, here)
        supplier = None if unit.returning else unit.custodian
        return replace(unit, state=UnitState.HELD, custodian=here.organisation, recipient=None, supplier=supplier)

    moved, answer = await _each(tx, args[:-1], here, taken)
    if moved:
        tx.set_event("lots.received", cbor.encode([moved, here.organisation]))
    return answer


async def refuse(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """refuse(unit id × 1–32, reason, evidence): the named recipient does not take units; they are again with who sent
    them. Returns as `ship` does."""
    here, reason = await acting(tx, args[-1]), arguments.reason(args[-2])

    async def left(unit: UnitRecord) -> UnitRecord | None:
        if (unit.state, unit.evidence) == (UnitState.HELD, here.evidence) and unit.custodian != here.organisation:
            return None
        _require_recipient(unit, here)
        return replace(unit, state=UnitState.HELD, recipient=None)

    moved, answer = await _each(tx, args[:-2], here, left)
    if moved:
        tx.set_event("lots.refused", cbor.encode([moved, here.organisation, reason]))
    return answer


def _require_recipient(unit: UnitRecord, here: Acting) -> None:
    if unit.state is not UnitState.IN_TRANSIT:
        raise ContractError(Code.NOT_IN_TRANSIT, f"{short(unit.unit_id)} is {unit.state} with {unit.custodian}")
    if unit.recipient != here.organisation:
        raise ContractError(
            Code.NOT_RECIPIENT, f"{short(unit.unit_id)} is on its way to {unit.recipient}, not to {here.organisation}"
        )


async def _each(
    tx: Transaction, ids: Sequence[bytes], here: Acting, change: Callable[[UnitRecord], Awaitable[UnitRecord | None]]
) -> tuple[list[cbor.CborValue], bytes]:
    """Change these units, all or none: the ids of those that changed, and the answer. None is no change."""
    if len({}.fromkeys(ids)) != len(ids):
        raise FormatError("a unit is named twice in one call")
    moved: list[cbor.CborValue] = []
    answer: list[cbor.CborValue] = []
    for one in ids:
        unit = await standing(tx, arguments.digest(one, "unit id"))
        changed = await change(unit)
        if changed is not None:
            moved.append(unit.unit_id)
            unit = await write_unit(tx, changed, here)
        answer.append(unit.encode())
    return moved, cbor.encode(answer)
