"""Recalls: by the maker alone, everywhere at once, back only; answers in time without saying whose."""

import pytest

from chaincode.errors import Code
from chaincode.lots.recall_records import RecallAnswer, RecallRecord
from chaincode.lots.records import LotRecord
from crypto import cbor
from tests.chaincode.lots.memory_world import Trade
from tests.contract_suite.companies import Lot, Unit


@pytest.fixture
def lot(trade: Trade) -> Lot:
    """Eight packs; the maker, the wholesaler and the pharmacy have a case of two each, the pharmacy's is opened."""
    made = Lot(8)
    trade.maker.commission(made)
    for unit in cases(made):
        trade.maker.pack(unit)
    trade.maker.send(trade.wholesaler, *cases(made)[1:])
    trade.wholesaler.send(trade.pharmacy, cases(made)[2])
    trade.pharmacy.unpack(cases(made)[2])
    return made


def cases(lot: Lot) -> list[Unit]:
    return [Unit(lot.packs[i : i + 2], [lot.of(2).encode()], bytes(31) + bytes([i])) for i in (0, 2, 4)]


def recalled(trade: Trade, lot: Lot, grade: bytes = b"2") -> RecallRecord:
    said = [lot.lot_id, grade, b"1800000000000000", b"glass in vials", trade.maker.evidence()]
    return RecallRecord.decode(trade.maker.submit("lots.recall", *said))


def test_a_recalled_lot_goes_back_only(trade: Trade, lot: Lot) -> None:
    maker, wholesaler, pharmacy = trade.all
    record = recalled(trade, lot)
    found = LotRecord.decode(maker.world.evaluate("lots.get", lot.lot_id)).recalled
    assert found is not None
    assert (found.recall_id, found.grade) == (record.recall_id, 2)
    at_maker, at_wholesaler, _ = cases(lot)
    trade.refused(Code.RECALLED, maker, "lots.ship", at_maker.unit_id, wholesaler.named, maker.evidence())
    said = trade.refused(
        Code.RECALLED, wholesaler, "lots.ship", at_wholesaler.unit_id, pharmacy.named, wholesaler.evidence()
    )
    assert said.endswith(f"it goes back only, to {maker.organisation}")
    trade.refused(Code.RECALLED, maker, "lots.commission", *Lot(1).commission(maker.evidence(), lot.of(1)))
    other = Lot(2)
    maker.commission(other)
    mixed = Unit([], sorted([lot.of(1).encode(), other.of(1).encode()]))
    trade.refused(Code.RECALLED, maker, "lots.pack", *mixed.pack(maker.evidence()))
    back = Unit([], [lot.of(2).encode()])
    pharmacy.pack(back)  # by itself, to send it back
    trade.refused(Code.RECALLED, wholesaler, "lots.ship", at_wholesaler.unit_id, pharmacy.named, wholesaler.evidence())
    pharmacy.send(wholesaler, back)  # from whom it came
    trade.refused(Code.RECALLED, wholesaler, "lots.ship", back.unit_id, pharmacy.named, wholesaler.evidence())
    wholesaler.send(maker, back, at_wholesaler)
    assert trade.unit(back).custodian == maker.organisation


def test_a_unit_on_its_way_arrives_and_goes_no_further(trade: Trade, lot: Lot) -> None:
    maker, wholesaler, pharmacy = trade.all
    unit = cases(lot)[1]
    wholesaler.ship(pharmacy, unit)
    recalled(trade, lot)
    pharmacy.receive(unit)
    pharmacy.ship(wholesaler, unit)
    wholesaler.receive(unit)
    wholesaler.ship(maker, unit)


def test_only_the_maker_recalls_and_lifts(trade: Trade, lot: Lot) -> None:
    maker, wholesaler = trade.maker, trade.wholesaler
    said = [lot.lot_id, b"2", b"9", b"glass", wholesaler.evidence()]
    trade.refused(Code.NOT_MAKER, wholesaler, "lots.recall", *said)
    named = recalled(trade, lot).recall_id.encode()
    trade.refused(Code.NOT_MAKER, wholesaler, "lots.lift", named, b"false", wholesaler.evidence())
    end = [named, b"another lot was meant", maker.evidence()]
    assert maker.submit("lots.lift", *end) == maker.submit("lots.lift", *end)
    trade.refused(Code.NOT_RECALLED, maker, "lots.lift", named, b"again", maker.evidence())
    maker.ship(wholesaler, cases(lot)[0])
    lifted = RecallRecord.decode(maker.world.evaluate("recalls.get", named)).lifted
    assert lifted is not None
    assert lifted.reason == "another lot was meant"


def test_a_recall_becomes_graver_and_never_milder(trade: Trade, lot: Lot) -> None:
    maker = trade.maker
    said = [lot.lot_id, b"2", b"9", b"glass", maker.evidence()]
    first = RecallRecord.decode(maker.submit("lots.recall", *said))
    assert RecallRecord.decode(maker.submit("lots.recall", *said)) == first
    for grade in (b"2", b"3"):
        trade.refused(Code.RECALLED, maker, "lots.recall", lot.lot_id, grade, b"9", b"glass", maker.evidence())
    for grade in (b"0", b"4", b"x"):
        trade.refused(Code.MALFORMED, maker, "lots.recall", lot.lot_id, grade, b"9", b"glass", maker.evidence())
    graver = recalled(trade, lot, b"1")
    assert graver.before == first.recall_id
    trade.refused(Code.NOT_RECALLED, maker, "lots.lift", first.recall_id.encode(), b"false", maker.evidence())
    maker.submit("lots.lift", graver.recall_id.encode(), b"false", maker.evidence())
    recalled(trade, lot, b"3")


def test_answers_are_commitments_that_name_nobody(trade: Trade, lot: Lot) -> None:
    named, commitment = recalled(trade, lot).recall_id.encode(), bytes(31) + b"c"
    assert trade.maker.world.evaluate("recalls.answered", named, commitment) == cbor.encode(None)
    said = [named, commitment, trade.pharmacy.evidence()]
    before = trade.ledger.state.keys() | {}
    first = trade.pharmacy.submit("recalls.answer", *said)
    written = trade.ledger.state.keys() - before
    for key in written:
        assert trade.pharmacy.named not in trade.ledger.state[key]
        assert trade.pharmacy.log.origin.encode() not in trade.ledger.state[key]
    assert trade.pharmacy.submit("recalls.answer", *said) == first
    assert trade.wholesaler.submit("recalls.answer", named, commitment, trade.wholesaler.evidence()) == first
    found = RecallAnswer.decode(trade.maker.world.evaluate("recalls.answered", named, commitment))
    assert (found.commitment, found.recall_id.encode()) == (commitment, named)
    trade.refused(Code.UNKNOWN_RECALL, trade.pharmacy, "recalls.answer", b"ab", commitment, trade.pharmacy.evidence())
