"""Custody: only who has a unit sends it, only whom it was sent to takes it, and only the unit's key changes."""

import pytest

from chaincode.errors import Code
from chaincode.lots.unit_records import UnitState
from tests.chaincode.lots.memory_world import Trade
from tests.contract_suite.companies import Lot, Unit, case, ids


@pytest.fixture
def unit(trade: Trade) -> Unit:
    """A case that the maker has."""
    lot = Lot(4)
    trade.maker.commission(lot)
    made = case(lot, 0, 2)
    trade.maker.pack(made)
    return made


def test_nobody_ships_what_he_has_not(trade: Trade, unit: Unit) -> None:
    maker, wholesaler, pharmacy = trade.all
    said = [unit.unit_id, pharmacy.named, wholesaler.evidence()]
    trade.refused(Code.NOT_CUSTODIAN, wholesaler, "lots.ship", *said)
    trade.refused(Code.UNKNOWN_UNIT, maker, "lots.ship", bytes(32), pharmacy.named, maker.evidence())
    maker.ship(wholesaler, unit)
    for sender in (maker, wholesaler):  # on its way it is nobody's to send on, open or destroy
        trade.refused(Code.IN_TRANSIT, sender, "lots.ship", unit.unit_id, pharmacy.named, sender.evidence())
        trade.refused(Code.IN_TRANSIT, sender, "lots.unpack", unit.unit_id, sender.evidence())
        trade.refused(Code.IN_TRANSIT, sender, "lots.destroy", unit.unit_id, b"wet", sender.evidence())
    wholesaler.receive(unit)
    trade.refused(Code.NOT_CUSTODIAN, maker, "lots.ship", unit.unit_id, pharmacy.named, maker.evidence())
    trade.refused(Code.NOT_CUSTODIAN, maker, "lots.unpack", unit.unit_id, maker.evidence())


def test_only_the_named_recipient_receives_and_once(trade: Trade, unit: Unit) -> None:
    maker, wholesaler, pharmacy = trade.all
    trade.refused(Code.NOT_IN_TRANSIT, wholesaler, "lots.receive", unit.unit_id, wholesaler.evidence())
    maker.ship(wholesaler, unit)
    for other in (maker, pharmacy):
        trade.refused(Code.NOT_RECIPIENT, other, "lots.receive", unit.unit_id, other.evidence())
        trade.refused(Code.NOT_RECIPIENT, other, "lots.refuse", unit.unit_id, b"wet", other.evidence())
    wholesaler.receive(unit)
    trade.refused(Code.NOT_IN_TRANSIT, wholesaler, "lots.receive", unit.unit_id, wholesaler.evidence())
    trade.refused(Code.NOT_IN_TRANSIT, wholesaler, "lots.refuse", unit.unit_id, b"wet", wholesaler.evidence())


def test_a_refused_unit_is_its_senders_again(trade: Trade, unit: Unit) -> None:
    maker, wholesaler, pharmacy = trade.all
    maker.ship(wholesaler, unit)
    said = [unit.unit_id, b"the seal is broken", wholesaler.evidence()]
    assert wholesaler.submit("lots.refuse", *said) == wholesaler.submit("lots.refuse", *said)
    assert (trade.unit(unit).state, trade.unit(unit).custodian) == (UnitState.HELD, maker.organisation)
    maker.send(pharmacy, unit)
    assert trade.unit(unit).custodian == pharmacy.organisation


def test_the_same_again_moves_nothing_twice(trade: Trade, unit: Unit) -> None:
    maker, wholesaler, _ = trade.all
    said = [unit.unit_id, wholesaler.named, maker.evidence()]
    first = maker.submit("lots.ship", *said)
    state = dict(trade.ledger.state)
    assert maker.submit("lots.ship", *said) == first
    assert trade.ledger.state == state
    assert trade.ledger.event is None
    said = [unit.unit_id, wholesaler.evidence()]
    assert wholesaler.submit("lots.receive", *said) == wholesaler.submit("lots.receive", *said)
    said = [unit.unit_id, wholesaler.evidence()]
    assert wholesaler.submit("lots.unpack", *said) == wholesaler.submit("lots.unpack", *said)
    assert wholesaler.balance(trade.unit(unit).contents[0].lot_id).count == 2


def test_recipients_that_are_none(trade: Trade, unit: Unit) -> None:
    maker = trade.maker
    for name, code in (
        (b"NobodyMSP", Code.UNKNOWN_ORGANISATION), (maker.named, Code.MALFORMED), (b"a!b", Code.MALFORMED)
    ):  # fmt: skip
        trade.refused(code, maker, "lots.ship", unit.unit_id, name, maker.evidence())
    twice = [unit.unit_id, unit.unit_id, trade.wholesaler.named, maker.evidence()]
    trade.refused(Code.MALFORMED, maker, "lots.ship", *twice)


def test_all_units_of_a_call_move_or_none(trade: Trade, unit: Unit) -> None:
    maker, wholesaler, pharmacy = trade.all
    other = Unit([], unit.contents)
    maker.pack(other)
    maker.send(wholesaler, other)
    said = [*ids([unit, other]), pharmacy.named, maker.evidence()]
    trade.refused(Code.NOT_CUSTODIAN, maker, "lots.ship", *said)
    assert trade.unit(unit).state is UnitState.HELD


def test_no_company_writes_what_is_anothers(trade: Trade, unit: Unit) -> None:
    """Whoever receives, refuses or ships changes the units' keys alone; a balance is changed by its own company only.
    So calls of two companies conflict on Fabric only where they are about one unit."""
    maker, wholesaler, pharmacy = trade.all
    lot_id = trade.unit(unit).contents[0].lot_id
    pallet = unit.pallet()
    maker.pack(pallet)
    for call in (
        lambda: maker.ship(wholesaler, pallet), lambda: wholesaler.receive(pallet),
        lambda: wholesaler.ship(pharmacy, pallet),
        lambda: pharmacy.submit("lots.refuse", pallet.unit_id, b"late", pharmacy.evidence()),
    ):  # fmt: skip
        assert changed(trade, call) == {f"unit/{pallet.unit_id.hex()}"}
    assert changed(trade, lambda: wholesaler.unpack(pallet)) == {f"unit/{pallet.unit_id.hex()}"}
    assert changed(trade, lambda: wholesaler.unpack(unit)) == {
        f"unit/{unit.unit_id.hex()}", f"balance/{lot_id.hex()}/{wholesaler.organisation}",
    }  # fmt: skip


def changed(trade: Trade, call) -> set[str]:  # type: ignore[no-untyped-def]
    before = dict(trade.ledger.state)
    call()
    return {key for key, value in trade.ledger.state.items() if before.get(key) != value}


def test_a_quarantined_unit_goes_nowhere(trade: Trade, unit: Unit) -> None:
    maker, wholesaler, pharmacy = trade.all
    trade.quarantine(unit)
    for function, *rest in (["lots.ship", wholesaler.named], ["lots.unpack"]):
        trade.refused(Code.QUARANTINED, maker, function, unit.unit_id, *rest, maker.evidence())
    trade.refused(Code.QUARANTINED, maker, "lots.pack", *unit.pallet().pack(maker.evidence()))
    trade.quarantine(unit, released_by="CarrierMSP")
    maker.ship(wholesaler, unit)
    trade.quarantine(unit)  # on the way: it must arrive somewhere all the same
    wholesaler.receive(unit)
    trade.refused(Code.QUARANTINED, wholesaler, "lots.ship", unit.unit_id, pharmacy.named, wholesaler.evidence())
    wholesaler.submit("lots.destroy", unit.unit_id, b"too warm", wholesaler.evidence())


def test_what_came_out_of_a_quarantined_unit_goes_nowhere(trade: Trade, unit: Unit) -> None:
    """A pallet was opened, and only then the excursion was found."""
    maker, wholesaler, _ = trade.all
    pallet = unit.pallet()
    maker.pack(pallet)
    maker.unpack(pallet)
    trade.quarantine(pallet)
    trade.refused(Code.QUARANTINED, maker, "lots.ship", unit.unit_id, wholesaler.named, maker.evidence())
    trade.quarantine(pallet, released_by="CarrierMSP")
    maker.ship(wholesaler, unit)
