"""The end of packs: each serial once, by who holds it; and who tries to give away what he must not leaves a trace."""

from dataclasses import replace

import pytest

from chaincode.errors import Code
from chaincode.evidence import Evidence
from chaincode.lots.exception_records import ExceptionState, Kind
from chaincode.lots.items import Position
from chaincode.lots.pack_records import EndStatus, Fate, PackRecord
from crypto import cbor
from tests.chaincode.lots.memory_world import Trade, decommissioned, dispensed, ending
from tests.contract_suite.companies import Lot, Unit, position

DAY_US = 86_400_000_000


@pytest.fixture
def lot(trade: Trade) -> Lot:
    """Eight packs, of which two pairs are in cases: one that the pharmacy opened, one that the wholesaler opened."""
    made = Lot(8, expiry=b"20000")
    trade.maker.commission(made)
    for company, unit in zip((trade.pharmacy, trade.wholesaler), cases(made), strict=True):
        trade.maker.pack(unit)
        trade.maker.send(company, unit)
        company.unpack(unit)
    return made


def cases(lot: Lot) -> list[Unit]:
    return [Unit(lot.packs[i : i + 2], [lot.of(2).encode()], bytes(31) + bytes([i])) for i in (0, 2)]


def leaf(evidence: bytes) -> bytes:
    return Evidence.decode(evidence).ref.leaf_hash


def test_a_pack_ends_once(trade: Trade, lot: Lot) -> None:
    pharmacy, pack, unit = trade.pharmacy, lot.packs[0], cases(lot)[0]
    assert trade.maker.world.evaluate("lots.pack-state", lot.lot_id, pack) == cbor.encode(None)
    said = [*ending(lot, pack, unit), pharmacy.evidence()]
    assert EndStatus.DISPENSED in pharmacy.submit("lots.dispense", *said).decode("latin1")
    assert EndStatus.UNCHANGED in pharmacy.submit("lots.dispense", *said).decode("latin1")
    assert (pharmacy.balance(lot.lot_id).count, pharmacy.balance(lot.lot_id).dispensed) == (1, 1)
    found = PackRecord.decode(trade.maker.world.evaluate("lots.pack-state", lot.lot_id, pack))
    assert (found.fate, found.organisation, found.unit_id) == (Fate.DISPENSED, pharmacy.organisation, unit.unit_id)
    assert decommissioned(pharmacy, lot, lot.packs[1], b"damaged").status is EndStatus.DECOMMISSIONED
    assert (pharmacy.balance(lot.lot_id).count, pharmacy.balance(lot.lot_id).decommissioned) == (0, 1)


def test_the_second_of_one_serial_is_kept_with_both_evidences(trade: Trade, lot: Lot) -> None:
    """A copied pack turns up at the wholesaler, who holds packs of this lot."""
    pack, first, second = lot.packs[0], trade.pharmacy.evidence(), trade.wholesaler.evidence()
    trade.pharmacy.submit("lots.dispense", *ending(lot, pack), first)
    answer = trade.wholesaler.submit("lots.dispense", *ending(lot, pack), second)
    exception = trade.exception(cbor.decode(answer, 999)[3])
    assert cbor.decode(answer, 999)[2] == EndStatus.DUPLICATE
    assert (exception.kind, exception.owner) == (Kind.DUPLICATE_SERIAL, trade.maker.organisation)
    assert exception.about == (lot.lot_id, pack)
    assert [party.organisation for party in exception.parties] == ["CarrierMSP", "PharmacyMSP"]
    assert exception.other is not None
    assert (exception.evidence.leaf_hash, exception.other.leaf_hash) == (
        leaf(second),
        leaf(first),
    )
    assert trade.wholesaler.balance(lot.lot_id).count == 2  # nothing of its own ended
    assert trade.ledger.event is not None
    assert trade.ledger.event[0] == "lots.exception"
    for company in trade.all:
        assert trade.open_exceptions(company) == [exception]
    before = dict(trade.ledger.state)
    for _ in range(3):  # a flood of the same adds nothing
        assert dispensed(trade.wholesaler, lot, pack).exception_id == exception.exception_id
    assert trade.ledger.state == before


def test_a_serial_at_one_who_holds_nothing_of_the_lot(trade: Trade, lot: Lot) -> None:
    """Just there a copy is worth knowing of; and without an earlier end it is a refusal."""
    dispensed(trade.pharmacy, lot, lot.packs[0])
    dispensed(trade.pharmacy, lot, lot.packs[1])
    assert dispensed(trade.pharmacy, lot, lot.packs[0]).status is EndStatus.DUPLICATE
    trade.refused(Code.NOT_HELD, trade.pharmacy, "lots.dispense", *ending(lot, lot.packs[7]), trade.pharmacy.evidence())


def test_a_stolen_pack_that_is_sold(trade: Trade, lot: Lot) -> None:
    decommissioned(trade.wholesaler, lot, lot.packs[2], b"stolen")
    assert dispensed(trade.pharmacy, lot, lot.packs[2]).status is EndStatus.DUPLICATE


def test_packs_that_are_none_of_the_lot_or_unit(trade: Trade, lot: Lot) -> None:
    pharmacy, pack, (unit, foreign) = trade.pharmacy, lot.packs[0], cases(lot)
    good, evidence = ending(lot, pack, unit), pharmacy.evidence()
    strange = Position.decode(good[2])
    for place, value, code in (
        (0, bytes(32), Code.UNKNOWN_LOT), (1, bytes(32), Code.BAD_PROOF), (1, lot.packs[1], Code.BAD_PROOF),
        (2, replace(strange, index=1).encode(), Code.BAD_PROOF), (2, b"\x80", Code.MALFORMED),
        (2, Position(0, ()).encode(), Code.BAD_PROOF), (3, b"", Code.MALFORMED), (4, b"", Code.MALFORMED),
        (3, bytes(32)[:-1] + b"x", Code.UNKNOWN_UNIT), (3, foreign.unit_id, Code.NOT_CUSTODIAN),
        (4, position(foreign.members, foreign.members[1]), Code.BAD_PROOF),
    ):  # fmt: skip
        trade.refused(code, pharmacy, "lots.dispense", *good[:place], value, *good[place + 1 :], evidence)
    other = [*ending(lot, lot.packs[4]), b"dispensed", evidence]
    trade.refused(Code.MALFORMED, pharmacy, "lots.decommission", *other)
    powder = Lot(9, serialised=False)
    trade.maker.commission(powder)
    trade.refused(Code.MALFORMED, pharmacy, "lots.dispense", powder.lot_id, *good[1:], evidence)
    trade.refused(Code.MALFORMED, trade.maker, "lots.write-off", lot.lot_id, b"1", b"x", trade.maker.evidence())


def test_another_makers_lot_uses_up_nobodys_serials(trade: Trade, lot: Lot) -> None:
    """A rival commissions a lot of his own that names the same packs, and ends them first."""

    class Copied(Lot):
        @property
        def packs(self) -> list[bytes]:
            return lot.packs

    rival = Copied(lot.count)
    trade.wholesaler.commission(rival)
    for pack in lot.packs:
        assert dispensed(trade.wholesaler, rival, pack).status is EndStatus.DISPENSED
    assert dispensed(trade.pharmacy, lot, lot.packs[0]).status is EndStatus.DISPENSED


def test_a_recalled_pack_is_not_given_away_and_the_attempt_is_kept(trade: Trade, lot: Lot) -> None:
    pharmacy, maker = trade.pharmacy, trade.maker
    maker.submit("lots.recall", lot.lot_id, b"1", b"9", b"glass", maker.evidence())
    answer = dispensed(pharmacy, lot, lot.packs[0], cases(lot)[0])
    exception = trade.exception(answer.exception_id)
    assert (answer.status, exception.kind) == (EndStatus.RECALLED, Kind.RECALLED_PRODUCT)
    assert (exception.owner, exception.parties[0].organisation) == (maker.organisation, pharmacy.organisation)
    assert exception.about == (lot.lot_id, lot.packs[0], cases(lot)[0].unit_id)
    assert pharmacy.balance(lot.lot_id).count == 2
    said = [*ending(lot, lot.packs[1]), b"exported", pharmacy.evidence()]
    assert EndStatus.RECALLED in pharmacy.submit("lots.decommission", *said).decode("latin1")
    assert decommissioned(pharmacy, lot, lot.packs[0], b"recalled").status is EndStatus.DECOMMISSIONED


def test_a_quarantined_pack_is_not_given_away_and_the_attempt_is_kept(trade: Trade, lot: Lot) -> None:
    pharmacy, unit = trade.pharmacy, cases(lot)[0]
    trade.quarantine(unit)
    answer = dispensed(pharmacy, lot, lot.packs[0], unit)
    assert answer.status is EndStatus.QUARANTINED
    assert trade.exception(answer.exception_id).kind is Kind.QUARANTINED_PRODUCT
    trade.quarantine(unit, released_by="CarrierMSP")
    assert dispensed(pharmacy, lot, lot.packs[0], unit).status is EndStatus.DISPENSED


def test_an_expired_pack(trade: Trade, lot: Lot) -> None:
    pharmacy = trade.pharmacy
    trade.ledger.now_us = 20_001 * DAY_US
    trade.refused(Code.EXPIRED, pharmacy, "lots.dispense", *ending(lot, lot.packs[0]), pharmacy.evidence())
    assert decommissioned(pharmacy, lot, lot.packs[0], b"expired").status is EndStatus.DECOMMISSIONED
    trade.ledger.now_us -= 1
    assert dispensed(pharmacy, lot, lot.packs[1]).status is EndStatus.DISPENSED


def test_the_maker_closes_what_the_contract_opened(trade: Trade, lot: Lot) -> None:
    """Not the one who tried it."""
    maker, pharmacy = trade.maker, trade.pharmacy
    maker.submit("lots.recall", lot.lot_id, b"1", b"9", b"glass", maker.evidence())
    found = dispensed(pharmacy, lot, lot.packs[0]).exception_id or b""
    for how in (b"withdrawn", b"explained"):
        trade.refused(Code.FORBIDDEN, pharmacy, "lots.resolve", found, how, pharmacy.evidence())
    trade.refused(Code.EXCEPTION_OPEN, maker, "lots.resolve", found, b"explained", maker.evidence())
    pharmacy.submit("lots.answer", found, bytes(32), pharmacy.evidence())
    assert trade.exception(found).state is ExceptionState.ANSWERED
    maker.submit("lots.resolve", found, b"explained", maker.evidence())
    assert trade.open_exceptions(pharmacy) == trade.open_exceptions(maker) == []
