"""A partner hands over units under names that are others': they are rejected, and nothing of ours changes."""

from gateway.custody.coming import Coming
from gateway.custody.schema import UnitKind, UnitState
from gateway.preprocess.gs1 import check_digit
from tests.gateway.custody.goods import Company, Goods, kept, pack, states

Trade = list[Company]
_BODY = "0952000900001"
OTHER = f"{_BODY}{check_digit(_BODY)}"  # a product that the maker does not make


def rejected(company: Company, said: str) -> None:
    """A hand-over was rejected for this reason."""
    book = company.custody.book
    company.wait(lambda: any(said in one.reason for one in book.page(2**63 - 1, 100)))


def own_case(company: Company, goods: Goods, case: str) -> None:
    """Goods of the company's own making, in a case of this name."""
    packs = [pack(10_000 * goods.number + n, OTHER) for n in range(2)]
    company.commissioned(packs, f"{goods.lot}-OWN")
    company.packed(case, packs)


def test_the_name_of_a_unit_that_is_here(trade: Trade, goods: Goods) -> None:
    """The pharmacy makes a case under the name of the maker's, and ships it to the maker: the maker still ships its
    own."""
    maker, wholesaler, pharmacy = trade
    case = goods.sscc(1)
    maker.commissioned(goods.packs(0, 2), goods.lot)
    maker.packed(case, goods.packs(0, 2))
    maker.settle()
    own_case(pharmacy, goods, case)
    pharmacy.shipped(maker, [case])
    rejected(maker, f"another {case} than the one that was made here")
    leaf = maker.shipped(wholesaler, [case])
    maker.settle()
    assert states(maker, leaf)[-1] == ("ship", "done", "")
    kept(wholesaler, case)
    assert wholesaler.custody.units.of(case).origin == maker.organisation


def test_the_name_of_a_unit_on_its_way_from_another(trade: Trade, goods: Goods) -> None:
    maker, wholesaler, pharmacy = trade
    case = goods.sscc(1)
    maker.commissioned(goods.packs(0, 2), goods.lot)
    maker.packed(case, goods.packs(0, 2))
    maker.shipped(wholesaler, [case])
    kept(wholesaler, case)
    own_case(pharmacy, goods, case)
    pharmacy.shipped(wholesaler, [case])
    rejected(wholesaler, f"another {case} than the one on its way from MakerMSP")
    leaf = wholesaler.received(maker, [case])
    wholesaler.settle()
    assert states(wholesaler, leaf) == [("receive", "done", "")]


def test_a_case_that_comes_back_packed_anew(trade: Trade, goods: Goods) -> None:
    """It went away on a pallet: its name is free, as that of what is with others."""
    maker, wholesaler, _ = trade
    case, pallet = goods.sscc(1), goods.sscc(2)
    maker.commissioned(goods.packs(0, 4), goods.lot)
    maker.packed(case, goods.packs(0, 4))
    maker.packed(pallet, [case])
    maker.shipped(wholesaler, [pallet])
    kept(wholesaler, pallet)
    wholesaler.received(maker, [pallet])
    wholesaler.packed(case, [goods.pack(0)], "DELETE")  # the rest of it is another unit of this name
    wholesaler.settle()
    leaf = wholesaler.shipped(maker, [case])
    wholesaler.settle()
    assert states(wholesaler, leaf)[-1] == ("ship", "done", "")
    kept(maker, case)
    assert maker.custody.units.of(case).origin == wholesaler.organisation


def test_a_receipt_is_of_what_the_sender_it_names_handed_over(trade: Trade, goods: Goods) -> None:
    """Two partners have one lot's amount on its way to us."""
    custody = trade[1].custody
    lot = custody.units.take(f"{goods.lot_uri}-GEL", UnitKind.LOT, bytes([goods.number]) * 32, "MakerMSP")
    coming = Coming(custody.store, custody.units, custody.containers, custody.tasks, custody.book)
    for place, sender in enumerate(("MakerMSP", "PharmacyMSP")):
        unit = custody.units.take(goods.sscc(place), UnitKind.LOGISTIC, bytes([place + 1]) * 32, sender)
        assert unit.state == UnitState.COMING
        with custody.store.transaction() as tx:
            tx.execute("INSERT INTO amount VALUES (?, ?, 5)", (unit.number, lot.number))
    for sender in ("MakerMSP", "PharmacyMSP"):
        found = coming.around(lot.uri, 5, sender)
        assert found is not None
        assert found.origin == sender
