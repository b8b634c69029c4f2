"""Lots from the making to the recipient: what is made, packed and handed over, and who may not."""

import asyncio
from collections.abc import Iterator

import pytest

from chaincode.errors import Code
from chaincode.lots.exception_records import ExceptionRecord, Kind
from chaincode.lots.pack_records import EndAnswer, EndStatus, PackRecord
from chaincode.lots.recall_records import RecallAnswer, RecallRecord
from chaincode.lots.records import LotRecord
from chaincode.lots.unit_records import UnitRecord, UnitState
from crypto import cbor
from tests.contract_suite.companies import Company, Lot, Unit, case, companies, position
from tests.contract_suite.world import World

Three = list[Company]


@pytest.fixture
def three(world: World) -> Iterator[Three]:
    """Maker, wholesaler and pharmacy."""
    yield companies(world)
    if world.replayed:
        assert world.replayed() > 11  # what makes three companies, and what the test did


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
    events = [event for event in world.events(20) if event.name.startswith("lots.")]
    assert [event.name.removeprefix("lots.") for event in events] == [
        "commissioned", "commissioned", "packed", "packed", "packed", "shipped", "received", "unpacked", "shipped",
        "received", "unpacked",
    ]  # fmt: skip
    assert cbor.decode(events[5].payload, 999) == [[pallet.unit_id], maker.organisation, wholesaler.organisation]


def given_packs(maker: Company, *others: Company) -> Lot:
    """Each of them has opened a case of two packs of one lot."""
    lot = Lot(2 * len(others), expiry=b"30000")
    maker.commission(lot)
    for i, company in enumerate(others):
        unit = case(lot, 2 * i, 2 * i + 2)
        maker.pack(unit)
        maker.send(company, unit)
        company.unpack(unit)
    return lot


def end_of(lot: Lot, pack: bytes) -> list[bytes]:
    return [lot.lot_id, pack, position(lot.packs, pack), b"", b""]


def test_two_claim_one_serial_at_once(three: Three) -> None:
    """Both calls are sent before either is answered. One pack is dispensed, the other call leaves both evidences."""
    maker, *rivals = three
    lot, world = given_packs(maker, *rivals), maker.world
    said = [[*end_of(lot, lot.packs[0]), one.evidence()] for one in rivals]

    async def claim(one: Company, args: list[bytes]) -> EndAnswer:
        ledger = world.open_as(one.actor.key, one.actor.organisation)
        return EndAnswer.decode((await ledger.submit("lots.dispense", *args)).result)

    async def both() -> list[EndAnswer]:
        return await asyncio.gather(*map(claim, rivals, said))

    answers = world.runner.run(both())
    assert sorted(answer.status for answer in answers) == [EndStatus.DISPENSED, EndStatus.DUPLICATE]
    loser = next(answer for answer in answers if answer.status is EndStatus.DUPLICATE)
    exception = ExceptionRecord.decode(world.evaluate("lots.exception", loser.exception_id or b""))
    assert exception.other is not None
    assert {exception.evidence.origin, exception.other.origin} == {one.log.origin for one in rivals}
    assert sum(one.balance(lot.lot_id).count for one in rivals) == 3
    dispensed = PackRecord.decode(world.evaluate("lots.pack-state", lot.lot_id, lot.packs[0]))
    assert dispensed.evidence == exception.other


def test_who_holds_nothing_moves_nothing(three: Three) -> None:
    maker, wholesaler, pharmacy = three
    world, lot = maker.world, Lot(2)
    maker.commission(lot)
    unit = case(lot)
    maker.pack(unit)
    there = [unit.unit_id, pharmacy.named, wholesaler.evidence()]
    world.refused(Code.NOT_CUSTODIAN, wholesaler.actor, "lots.ship", *there)
    world.refused(Code.NOT_HELD, wholesaler.actor, "lots.pack", *case(lot, 0, 1).pack(wholesaler.evidence()))
    maker.ship(wholesaler, unit)
    world.refused(Code.NOT_RECIPIENT, pharmacy.actor, "lots.receive", unit.unit_id, pharmacy.evidence())
    wholesaler.receive(unit)
    world.refused(Code.NOT_IN_TRANSIT, wholesaler.actor, "lots.receive", unit.unit_id, wholesaler.evidence())
    world.refused(Code.NOT_OWNER, wholesaler.actor, "lots.unpack", unit.unit_id, maker.evidence())


def test_a_recall_reaches_everybody_at_once(three: Three) -> None:
    maker, wholesaler, pharmacy = three
    world, lot = maker.world, given_packs(maker, wholesaler, pharmacy)
    said = [lot.lot_id, b"1", b"1900000000000000", b"glass in vials", maker.evidence()]
    recall_id = RecallRecord.decode(maker.submit("lots.recall", *said)).recall_id.encode()
    tried = pharmacy.submit("lots.dispense", *end_of(lot, lot.packs[2]), pharmacy.evidence())
    answer = EndAnswer.decode(tried)
    assert answer.status is EndStatus.RECALLED
    kept = ExceptionRecord.decode(world.evaluate("lots.exception", answer.exception_id or b""))
    assert (kept.kind, kept.owner) == (Kind.RECALLED_PRODUCT, maker.organisation)
    back = Unit([], [lot.of(2).encode()])
    pharmacy.pack(back)
    maker_only = [back.unit_id, wholesaler.named, pharmacy.evidence()]
    world.refused(Code.RECALLED, pharmacy.actor, "lots.ship", *maker_only)
    pharmacy.send(maker, back)
    commitment = bytes(31) + b"c"
    wholesaler.submit("recalls.answer", recall_id, commitment, wholesaler.evidence())
    found = RecallAnswer.decode(world.evaluate("recalls.answered", recall_id, commitment))
    assert found.commitment == commitment
    world.refused(Code.NOT_MAKER, pharmacy.actor, "lots.lift", recall_id, b"false", pharmacy.evidence())
    maker.submit("lots.lift", recall_id, b"another lot was meant", maker.evidence())
    done = wholesaler.submit("lots.dispense", *end_of(lot, lot.packs[0]), wholesaler.evidence())
    assert EndAnswer.decode(done).status is EndStatus.DISPENSED


def test_an_exception_from_report_to_resolution(three: Three) -> None:
    maker, wholesaler, pharmacy = three
    world, lot = maker.world, Lot(2)
    maker.commission(lot)
    unit = case(lot)
    maker.pack(unit)
    maker.ship(wholesaler, unit)
    said = [b"damaged", unit.unit_id, maker.named, wholesaler.evidence(), bytes(32), b"1900000000000000"]
    opened = ExceptionRecord.decode(wholesaler.submit("lots.report", *said))
    wholesaler.receive(unit)
    there = [unit.unit_id, pharmacy.named, wholesaler.evidence()]
    world.refused(Code.EXCEPTION_OPEN, wholesaler.actor, "lots.ship", *there)
    listed, _ = cbor.decode(world.evaluate("lots.exceptions", maker.named), 2**20)
    assert listed == [opened.encode()]
    maker.submit("lots.answer", opened.exception_id, bytes(32), maker.evidence())
    wholesaler.submit("lots.resolve", opened.exception_id, b"explained", wholesaler.evidence())
    assert cbor.decode(world.evaluate("lots.exceptions", maker.named), 99) == [[], None]
    wholesaler.send(pharmacy, unit)
