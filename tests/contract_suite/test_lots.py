"""Lots from the making to the recipient: what is made, packed and handed over, and who may not."""

import pytest

from chaincode.lots.records import LotRecord
from chaincode.lots.unit_records import UnitRecord, UnitState
from crypto import cbor
from tests.contract_suite.companies import Company, Lot, Unit, case, companies
from tests.contract_suite.world import World

Three = list[Company]


@pytest.fixture
def three(world: World) -> Three:
    """Maker, wholesaler and pharmacy."""
    return companies(world)


def unit_of(world: World, unit: Unit) -> UnitRecord:
    return UnitRecord.decode(world.evaluate("lots.unit", unit.unit_id))


def test_from_material_to_pharmacy(three: Three) -> None:
    """Made of a material, packed into cases on a pallet, handed over twice, opened, and nothing got lost."""
    maker, wholesaler, pharmacy = three
    world, material, lot = maker.world, Lot(5_000, serialised=False), Lot(20, expiry=b"30000")
    maker.commission(material)
    made = LotRecord.decode(maker.commission(lot, material.of(4_000)))
    assert (made.maker, made.count, made.inputs, made.expiry_day) == (
        maker.organisation,
        20,
        (material.of(4_000),),
        30000,
    )
    assert world.evaluate("lots.get", lot.lot_id) == made.encode()
    assert (maker.balance(material.lot_id).count, maker.balance(material.lot_id).consumed) == (1_000, 4_000)
    cases = [case(lot, 0, 10), case(lot, 10, 20)]
    pallet = cases[0].pallet(cases[1])
    for unit in (*cases, pallet):
        maker.pack(unit)
    assert maker.balance(lot.lot_id).count == 0
    assert unit_of(world, pallet).contents == (lot.of(20),)
    sent = maker.ship(wholesaler, pallet)[0]
    assert (sent.state, sent.custodian, sent.recipient) == (UnitState.IN_TRANSIT, maker.organisation, "CarrierMSP")
    got = wholesaler.receive(pallet)[0]
    assert (got.state, got.custodian, got.recipient, got.supplier) == ("held", "CarrierMSP", None, maker.organisation)
    assert cbor.decode(world.evaluate("lots.where", cases[0].unit_id), 999) == [
        "CarrierMSP", None, "held", pallet.unit_id,
    ]  # fmt: skip
    wholesaler.unpack(pallet)
    wholesaler.send(pharmacy, cases[1])
    assert unit_of(world, cases[0]).custodian == wholesaler.organisation
    pharmacy.unpack(cases[1])
    assert pharmacy.balance(lot.lot_id).count == 10
    assert pharmacy.balance(lot.lot_id).supplier == wholesaler.organisation
    changes = cbor.decode(world.evaluate("lots.history", cases[1].unit_id), 9_999)
    assert len(changes) == 5  # packed, put on the pallet, shipped, received, opened
    events = [event for event in world.events(19, after=0) if event.name.startswith("lots.")]
    assert [event.name.removeprefix("lots.") for event in events] == [
        "commissioned", "commissioned", "packed", "packed", "packed", "shipped", "received", "unpacked", "shipped",
        "received", "unpacked",
    ]  # fmt: skip
    assert cbor.decode(events[5].payload, 999) == [[pallet.unit_id], maker.organisation, wholesaler.organisation]
