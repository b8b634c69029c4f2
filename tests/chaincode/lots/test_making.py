"""Making and packing: a lot for an id, nothing out of nothing, and a unit's tree is of what is in it."""

import pytest

from chaincode.errors import Code
from chaincode.lots.items import MAX_QUANTITY_BYTES
from chaincode.lots.pack_records import WriteOff
from chaincode.lots.packing import MAX_CHILDREN
from chaincode.lots.records import LotRecord
from chaincode.lots.unit_records import UnitRecord
from crypto import cbor
from crypto.merkle import EMPTY_ROOT
from tests.chaincode.lots.memory_world import Trade
from tests.contract_suite.actors import number
from tests.contract_suite.companies import Lot, Unit, case, ids, tree


def test_the_same_again_takes_nothing_twice(trade: Trade) -> None:
    """An answer that got lost on the way is asked for again."""
    maker, material, lot = trade.maker, Lot(100, serialised=False), Lot(4)
    maker.commission(material)
    said = lot.commission(maker.evidence(), material.of(40))
    first = maker.submit("lots.commission", *said)
    assert maker.submit("lots.commission", *said) == first
    assert maker.balance(material.lot_id).count == 60
    assert maker.balance(lot.lot_id).count == 4
    said = case(lot, 0, 2).pack(maker.evidence())
    assert maker.submit("lots.pack", *said) == maker.submit("lots.pack", *said)
    assert maker.balance(lot.lot_id).count == 2
    said = [material.lot_id, b"10", b"spilt", maker.evidence()]
    assert maker.submit("lots.write-off", *said) == maker.submit("lots.write-off", *said)
    gone = WriteOff.decode(maker.submit("lots.write-off", material.lot_id, b"5", b"spilt", maker.evidence()))
    assert (gone.count, maker.balance(material.lot_id).count, maker.balance(material.lot_id).decommissioned) == (
        5,
        45,
        15,
    )


def test_an_id_is_one_lots_for_ever(trade: Trade) -> None:
    lot = Lot(4)
    trade.maker.commission(lot)
    trade.refused(Code.LOT_EXISTS, trade.wholesaler, "lots.commission", *lot.commission(trade.wholesaler.evidence()))
    other = lot.commission(trade.maker.evidence())
    trade.refused(Code.LOT_EXISTS, trade.maker, "lots.commission", *other)  # other evidence is another making
    case_of_two = case(lot, 0, 2)
    trade.maker.pack(case_of_two)
    trade.refused(Code.UNIT_EXISTS, trade.maker, "lots.pack", *case_of_two.pack(trade.maker.evidence()))


def test_nobody_makes_or_packs_what_he_has_not(trade: Trade) -> None:
    maker, wholesaler, material, lot = trade.maker, trade.wholesaler, Lot(100, serialised=False), Lot(4)
    maker.commission(material)
    for company, inputs, code in (
        (maker, (material.of(101),), Code.NOT_HELD),
        (wholesaler, (material.of(1),), Code.NOT_HELD),
        (maker, (Lot(9).of(1),), Code.UNKNOWN_LOT),
    ):
        trade.refused(code, company, "lots.commission", *lot.commission(company.evidence(), *inputs))
    maker.commission(lot)
    trade.refused(Code.NOT_HELD, wholesaler, "lots.pack", *case(lot, 0, 1).pack(wholesaler.evidence()))
    too_many = Unit([], [lot.of(5).encode()])
    trade.refused(Code.NOT_HELD, maker, "lots.pack", *too_many.pack(maker.evidence()))
    trade.refused(Code.NOT_HELD, maker, "lots.write-off", material.lot_id, b"101", b"spilt", maker.evidence())


def test_lots_that_are_none(trade: Trade) -> None:
    maker, lot = trade.maker, Lot(2)
    good = lot.commission(maker.evidence())
    spoilt = {
        0: bytes(31), 1: bytes(33), 2: b"0", 3: b"1000001",
    }  # fmt: skip
    for place, value in spoilt.items():
        trade.refused(Code.MALFORMED, maker, "lots.commission", *good[:place], value, *good[place + 1 :])
    for inputs in (
        [lot.of(1).encode()],  # of itself
        [cbor.encode([bytes(32), 0])],
        [cbor.encode([bytes(32), 2**63])],
        [Lot(1).of(1).encode() * 2],
        sorted((Lot(1).of(1).encode(), Lot(1).of(1).encode()), reverse=True),
        [bytes(MAX_QUANTITY_BYTES + 1)],
    ):
        trade.refused(Code.MALFORMED, maker, "lots.commission", *good, *inputs)
    assert LotRecord.decode(maker.submit("lots.commission", *good)).count == 2


def test_a_units_tree_is_of_what_is_in_it(trade: Trade) -> None:
    maker, lot, material = trade.maker, Lot(8), Lot(100, serialised=False)
    for one in (lot, material):
        maker.commission(one)
    packs, content = lot.packs[:2], [lot.of(2).encode()]
    for members, count in ((packs, 1), (packs, 0), ([], 2), (packs, 3)):
        said = [bytes(32), tree(members), number(count), *content, maker.evidence()]
        trade.refused(Code.MALFORMED, maker, "lots.pack", *said)
    drum = Unit([], [material.of(7).encode()])
    unlisted = Unit([], content)  # the packs are not listed, which is no lie
    mixed = Unit(lot.packs[2:4], sorted([material.of(3).encode(), lot.of(2).encode()]))
    for unit in (drum, unlisted, mixed):
        maker.pack(unit)
    assert (trade.unit(drum).root, trade.unit(drum).count) == (EMPTY_ROOT, 0)
    pallet = drum.pallet(unlisted)
    inside = pallet.members
    for root, count, content in (
        (tree(inside[:1]), 2, inside), (tree(inside), 1, inside), (tree(inside), 2, inside[::-1]),
        (tree(inside), 2, [inside[0], inside[0]]), (tree(inside), 2, [inside[0], lot.of(1).encode()]),
    ):  # fmt: skip
        trade.refused(Code.MALFORMED, maker, "lots.pack", bytes(32), root, number(count), *content, maker.evidence())
    record = UnitRecord.decode(maker.pack(pallet))
    assert record.level == 1
    assert {one.lot_id: one.count for one in record.contents} == {material.lot_id: 7, lot.lot_id: 2}


def test_what_is_inside_stays_there(trade: Trade) -> None:
    maker, lot = trade.maker, Lot(6)
    maker.commission(lot)
    cases = [case(lot, 0, 2), case(lot, 2, 4), case(lot, 4, 6)]
    for one in cases:
        maker.pack(one)
    pallet = cases[0].pallet(cases[1])
    maker.pack(pallet)
    for function, *rest in (["lots.unpack"], ["lots.ship", trade.wholesaler.named], ["lots.destroy", b"wet"]):
        trade.refused(Code.UNIT_INSIDE, maker, function, cases[0].unit_id, *rest, maker.evidence())
    twice = cases[0].pallet(cases[2])
    trade.refused(Code.UNIT_INSIDE, maker, "lots.pack", *twice.pack(maker.evidence()))
    maker.unpack(pallet)
    assert trade.unit(cases[0]).out_of == pallet.unit_id
    assert maker.balance(lot.lot_id).count == 0  # cases came out, not packs
    trade.refused(Code.UNIT_ENDED, maker, "lots.ship", pallet.unit_id, trade.wholesaler.named, maker.evidence())
    maker.pack(twice)
    maker.submit("lots.destroy", twice.unit_id, b"fire", maker.evidence())
    trade.refused(Code.UNIT_ENDED, maker, "lots.unpack", twice.unit_id, maker.evidence())
    trade.refused(Code.UNIT_INSIDE, maker, "lots.unpack", cases[0].unit_id, maker.evidence())


def test_bounds_of_units(trade: Trade) -> None:
    """As many units in one as a pallet holds, and not deeper than five levels."""
    maker, lot = trade.maker, Lot(MAX_CHILDREN)
    maker.commission(lot)
    cases = [case(lot, i, i + 1) for i in range(MAX_CHILDREN)]
    evidence = maker.evidence()
    for one in cases:
        maker.submit("lots.pack", *one.pack(evidence))
    unit = cases[0].pallet(*cases[1:])
    assert len(ids(cases)) == len(unit.members) == MAX_CHILDREN
    for level in range(1, 5):
        assert UnitRecord.decode(maker.pack(unit)).level == level
        unit = unit.pallet()
    trade.refused(Code.MALFORMED, maker, "lots.pack", *unit.pack(maker.evidence()))
    more = [bytes(32)] * (MAX_CHILDREN + 1)
    trade.refused(Code.ARGUMENT_COUNT, maker, "lots.pack", bytes(32), bytes(32), b"129", *more, evidence)


@pytest.mark.parametrize("function", ["lots.get", "lots.unit", "lots.exception", "lots.where"])
def test_what_nobody_knows(trade: Trade, function: str) -> None:
    code = {"get": Code.UNKNOWN_LOT, "exception": Code.UNKNOWN_EXCEPTION}.get(function[5:], Code.UNKNOWN_UNIT)
    trade.refused(code, trade.maker, function, bytes(32))
