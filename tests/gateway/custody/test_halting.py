"""Events that must not halt custody: each is refused with its reason, and the next one is taken."""

from typing import Any

import pytest

from gateway.custody.amounts import whole
from gateway.custody.errors import CustodyError
from tests.gateway.custody.goods import Company, Goods, amount, states

Trade = list[Company]


@pytest.fixture
def maker(trade: Trade) -> Company:
    return trade[0]


def goes_on(company: Company, goods: Goods) -> None:
    """The next event is taken as if nothing had been."""
    leaf = company.amount_made(f"{goods.lot_uri}-NEXT", 1, "KGM")
    company.settle()
    assert states(company, leaf) == [("commission", "done", "")]


def refused(company: Company, leaf: int, said: str) -> None:
    company.settle()
    (task,) = company.tasks(leaf)
    assert (task.state.name, task.code) == ("REFUSED", "not-possible")
    assert said in task.reason


@pytest.mark.parametrize("lot", ["X" * 21, "LOT 1", "Größe-1"])
def test_a_lot_number_that_no_key_can_have(maker: Company, goods: Goods, lot: str) -> None:
    refused(maker, maker.commissioned(goods.packs(0, 2), lot), "lot")
    made = maker.capture("TransformationEvent", "commissioning", None, inputQuantityList=[amount(goods.lot_uri, 1)],
                         outputEPCList=goods.packs(0, 2), ilmd={"cbvmda:lotNumber": lot})  # fmt: skip
    refused(maker, made, "lot")
    goes_on(maker, goods)


def test_a_quantity_beyond_all_bounds() -> None:
    for quantity, uom in (
        (1e300, None),
        (1e308, "KGM"),
        (10**5000, None),
        (10**400, "KGM"),
        (2**63, None),
        (-1, "KGM"),
    ):
        with pytest.raises(CustodyError, match="above zero and below"):
            whole(quantity, uom)


@pytest.mark.parametrize(("quantity", "uom"), [(1e300, None), (1e308, "KGM")])
def test_an_event_with_a_quantity_beyond_all_bounds(maker: Company, goods: Goods, quantity: float,
                                                    uom: str | None) -> None:  # fmt: skip
    refused(maker, maker.amount_made(goods.lot_uri, quantity, uom), "above zero and below 2^63")
    goes_on(maker, goods)


def test_amounts_that_are_too_much_together(maker: Company, goods: Goods) -> None:
    """Each is just below the bound; as inputs of a lot, and in one case."""
    most = float(2**63 - 1024)
    maker.amount_made(goods.lot_uri, most)
    made = maker.capture("TransformationEvent", "commissioning", None,
                         inputQuantityList=[amount(goods.lot_uri, most) for _ in range(3)],
                         outputQuantityList=[amount(f"{goods.lot_uri}-OUT", 1, "KGM")])  # fmt: skip
    refused(maker, made, "together")
    case = goods.sscc(1)
    packed = maker.packed(case, [], childQuantityList=[amount(goods.lot_uri, most)] * 2)
    refused(maker, packed, "together")
    goes_on(maker, goods)


def test_a_lot_of_more_lots_than_the_ledger_takes(maker: Company, goods: Goods) -> None:
    lots = [maker.custody.units.made(f"{goods.lot_uri}-{n}").uri for n in range(65)]
    made = maker.capture("TransformationEvent", "commissioning", None,
                         inputQuantityList=[amount(lot, 1, "KGM") for lot in lots],
                         outputQuantityList=[amount(f"{goods.lot_uri}-OUT", 1, "KGM")])  # fmt: skip
    refused(maker, made, "at most 64 lots")


def test_what_is_packed_into_itself(maker: Company, goods: Goods) -> None:
    one, two, three = goods.sscc(1), goods.sscc(2), goods.sscc(3)
    refused(maker, maker.packed(one, [one]), "itself")
    maker.commissioned(goods.packs(0, 3), goods.lot)
    maker.packed(one, [*goods.packs(0, 3)])
    maker.packed(two, [one])
    maker.packed(three, [two])
    refused(maker, maker.packed(one, [three]), "inside of it")
    refused(maker, maker.packed(one, [two]), "inside of it")
    leaf = maker.ended([goods.pack(0)])  # looks at all that is around the pack
    maker.settle()
    assert states(maker, leaf) == [("dispense", "done", "")]


def test_more_units_around_each_other_than_anything_takes(maker: Company, goods: Goods) -> None:
    maker.commissioned(goods.packs(0, 1), goods.lot)
    maker.packed(goods.sscc(0), goods.packs(0, 1))
    leaves = [maker.packed(goods.sscc(n + 1), [goods.sscc(n)]) for n in range(17)]
    maker.settle()
    assert [len(maker.tasks(leaf)) for leaf in leaves] == [0] * 16 + [1]
    assert "more than 16 units" in maker.tasks(leaves[-1])[0].reason
    refused(maker, maker.packed(goods.sscc(99), [goods.sscc(16)]), "more than 16 units")


def test_a_tote_of_more_lots_than_the_ledger_takes(maker: Company, trade: Trade, goods: Goods) -> None:
    """Nothing is written that could not be read again: the queue goes on."""
    lots = [f"{goods.lot}-{n}" for n in range(33)]
    things = {lot: goods.pack(n) for n, lot in enumerate(lots)}
    maker.capture_all([maker.event("ObjectEvent", "commissioning", "ADD", epcList=[pack],
                                   ilmd={"cbvmda:lotNumber": lot}) for lot, pack in things.items()])  # fmt: skip
    maker.packed(goods.sscc(1), list(things.values()))
    refused(maker, maker.shipped(trade[1], [goods.sscc(1)]), "the ledger takes 32")
    goes_on(maker, goods)


def test_a_task_about_more_than_can_be_read_again(maker: Company, goods: Goods) -> None:
    things: Any = [f"{goods.lot_uri}-{n:05}" for n in range(1500)]
    with pytest.raises(CustodyError, match="too many"):
        maker.custody.tasks.add(0, "unpack", things)
    assert maker.custody.tasks.ready(64) == []
