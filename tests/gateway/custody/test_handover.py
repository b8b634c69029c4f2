"""Goods go from one company to the next, with secrets, history and proofs; and back come answers."""

from contextlib import closing

import pytest

from chain.site import SiteReader
from chaincode.lots.unit_records import UnitState
from crypto import cbor
from gateway.custody import sealing
from gateway.custody.follower import source_of
from gateway.custody.schema import HandoverState
from gateway.epcis.event import read_event
from tests.gateway.custody.goods import Company, Goods, amount, between, kept, states

Trade = list[Company]


def test_from_maker_to_patient(trade: Trade, goods: Goods) -> None:
    maker, wholesaler, pharmacy = trade
    maker.commissioned(goods.packs(0, 20), goods.lot)
    cases, pallet = [goods.sscc(1), goods.sscc(2)], goods.sscc(3)
    maker.packed(cases[0], goods.packs(0, 10))
    maker.packed(cases[1], goods.packs(10, 20))
    maker.packed(pallet, cases)
    maker.shipped(wholesaler, [pallet])
    maker.settle()
    assert maker.unit(pallet).state is UnitState.IN_TRANSIT
    kept(wholesaler, pallet)
    wholesaler.received(maker, [pallet])
    wholesaler.settle()
    assert wholesaler.unit(pallet).custodian == "WholesalerMSP"
    wholesaler.shipped(pharmacy, [cases[1]])
    wholesaler.settle()
    kept(pharmacy, cases[1])
    pharmacy.received(wholesaler, [cases[1]])
    leaf = pharmacy.ended([goods.pack(12)])
    pharmacy.settle()
    assert states(pharmacy, leaf) == [("unpack", "done", ""), ("dispense", "done", "")]
    assert (pharmacy.balance(goods.lot_uri).count, pharmacy.balance(goods.lot_uri).dispensed) == (9, 1)
    # The maker hears that the pallet arrived, and the pharmacy has the maker's own events.
    outgoing = next(one for one in maker.custody.book.page(2**63 - 1, 10) if one.units == (pallet,))
    maker.wait(lambda: maker.custody.book.get(outgoing.id).state is HandoverState.ARRIVED)
    steps = [event.biz_step for event in events(pharmacy, source_of("WholesalerMSP")) if about(event, goods)]
    assert steps == ["commissioning", "packing", "packing", "shipping", "receiving", "shipping"]
    assert [event.biz_step for event in events(maker, source_of("WholesalerMSP")) if about(event, goods)] == [
        "receiving"
    ]


def test_what_is_shipped_without_a_logistic_unit_is_a_consignment(trade: Trade, goods: Goods) -> None:
    """Loose packs and an amount of a material in kilograms, said in grams by the recipient."""
    maker, wholesaler, _ = trade
    material = f"{goods.lot_uri}-API"
    maker.amount_made(material, 12.5, "KGM")
    maker.commissioned(goods.packs(0, 3), goods.lot)
    maker.capture("ObjectEvent", "shipping", "OBSERVE", epcList=goods.packs(0, 2),
                  quantityList=[amount(material, 2.5, "KGM")], **between(maker, wholesaler))  # fmt: skip
    maker.settle()
    consignment = maker.custody.book.page(2**63 - 1, 1)[0].units[0]
    assert consignment.startswith("ni:///sha-256;")
    kept(wholesaler, consignment)
    wholesaler.capture("ObjectEvent", "receiving", "OBSERVE", epcList=goods.packs(0, 2),
                       quantityList=[amount(material, 2500, "GRM")], **between(maker, wholesaler))  # fmt: skip
    wholesaler.settle()
    assert wholesaler.balance(goods.lot_uri).count == 2
    assert wholesaler.balance(material).count == 2_500_000
    assert maker.balance(material).count == 10_000_000


def test_goods_come_before_their_data(trade: Trade, goods: Goods) -> None:
    """The receipt waits for the hand-over, and is told when that is here; accepting after receiving asks nothing."""
    maker, wholesaler, _ = trade
    maker.commissioned(goods.packs(0, 2), goods.lot)
    maker.packed(goods.sscc(1), goods.packs(0, 2))
    leaf = wholesaler.received(maker, [goods.sscc(1)])
    wholesaler.settle()
    assert states(wholesaler, leaf)[0][:2] in (("receive", "waiting"), ("receive", "refused"))
    maker.shipped(wholesaler, [goods.sscc(1)])
    maker.settle()
    kept(wholesaler, goods.sscc(1))
    wholesaler.wait(lambda: states(wholesaler, leaf)[:1] == [("receive", "done", "")])
    leaf = wholesaler.received(maker, [goods.sscc(1)], "accepting")
    wholesaler.settle()
    assert states(wholesaler, leaf) == [("receive", "done", "")]


def test_goods_that_come_back(trade: Trade, goods: Goods) -> None:
    """A case is returned to its maker, who has its secret already."""
    maker, wholesaler, _ = trade
    maker.commissioned(goods.packs(0, 2), goods.lot)
    maker.packed(goods.sscc(1), goods.packs(0, 2))
    maker.shipped(wholesaler, [goods.sscc(1)])
    maker.settle()
    kept(wholesaler, goods.sscc(1))
    wholesaler.received(maker, [goods.sscc(1)])
    wholesaler.shipped(maker, [goods.sscc(1)], disposition="returned")
    wholesaler.settle()
    kept(maker, goods.sscc(1))
    leaf = maker.received(wholesaler, [goods.sscc(1)])
    maker.settle()
    assert states(maker, leaf) == [("receive", "done", "")]
    assert maker.unit(goods.sscc(1)).custodian == "MakerMSP"
    maker.packed(goods.sscc(1), [], "DELETE")
    maker.settle()
    assert maker.balance(goods.lot_uri).count == 2


def test_more_than_one_unit_takes_goes_by_slices(trade: Trade, goods: Goods, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pallet of nine boxes and a loose pack, where a unit takes four."""
    monkeypatch.setattr(sealing, "MAX_CHILDREN", 4)
    maker, wholesaler, _ = trade
    maker.commissioned(goods.packs(0, 10), goods.lot)
    boxes = [goods.sscc(n) for n in range(1, 10)]
    for n, box in enumerate(boxes):
        maker.packed(box, [goods.pack(n)])
    maker.packed(goods.sscc(0), [*boxes, goods.pack(9)])
    maker.shipped(wholesaler, [goods.sscc(0)])
    maker.settle()
    record = maker.unit(goods.sscc(0))
    assert (record.count, [quantity.count for quantity in record.contents]) == (3, [10])
    kept(wholesaler, goods.sscc(0))
    wholesaler.received(maker, [goods.sscc(0)])
    leaf = wholesaler.ended([goods.pack(9), goods.pack(3)], "decommissioning", "damaged")
    wholesaler.settle()
    assert states(wholesaler, leaf).count(("decommission", "done", "")) == 2


def test_a_case_that_comes_back_out_of_another(trade: Trade, goods: Goods) -> None:
    """Packs of a case that was shipped inside of a pallet return in a case of the customer's: no serial is there
    twice."""
    maker, wholesaler, _ = trade
    maker.commissioned(goods.packs(0, 2), goods.lot)
    maker.packed(goods.sscc(1), goods.packs(0, 2))
    maker.packed(goods.sscc(2), [goods.sscc(1)])
    maker.shipped(wholesaler, [goods.sscc(2)])
    maker.settle()
    kept(wholesaler, goods.sscc(2))
    wholesaler.received(maker, [goods.sscc(2)])
    wholesaler.packed(goods.sscc(1), [], "DELETE")
    wholesaler.packed(goods.sscc(3), goods.packs(0, 2))
    wholesaler.shipped(maker, [goods.sscc(3)])
    wholesaler.settle()
    kept(maker, goods.sscc(3))
    assert maker.custody.containers.parent_of(goods.pack(1)).uri == goods.sscc(3)
    assert not [one for one in maker.custody.exceptions.page(None, 0, 500) if goods.pack(1) in one.things]


def events(company: Company, source: str) -> list:
    """The EPCIS events of one source in a company's log, in order."""
    with closing(SiteReader.open(company.gateway.folder)) as reader:
        found = []
        for segment in reader.payloads.segments(0, 100_000):
            for stored in segment.events:
                item = cbor.unpack(stored.event)
                if item[2] == source:
                    found.append(read_event(item[9]))
    return found


def about(event: object, goods: Goods) -> bool:
    """Whether it names something of this test."""
    names = {*goods.packs(0, 200), goods.lot_uri, *(goods.sscc(n) for n in range(131))}
    return any(thing.uri in names for thing in event.things)
