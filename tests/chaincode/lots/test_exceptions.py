"""Exceptions: reported by anybody, answered by who is asked, resolved by who reported; and whom they stop."""

from chaincode.errors import Code
from chaincode.lots.exception_records import MAX_OWN_HOLDS, ExceptionRecord, ExceptionState, Kind, Resolution
from chaincode.lots.queries import MAX_PAGE
from crypto import cbor
from tests.chaincode.lots.memory_world import Trade, dispensed, ending
from tests.contract_suite.companies import Company, Lot, Unit, case

DETAIL = bytes(31) + b"d"


def reported(
    company: Company, kind: Kind, about: bytes, asked: Company | None = None, deadline: int = 0
) -> ExceptionRecord:
    said = [kind.encode(), about, asked.named if asked else b"", company.evidence(), DETAIL, str(deadline).encode()]
    return ExceptionRecord.decode(company.submit("lots.report", *said))


def sent(trade: Trade, lot: Lot | None = None) -> Unit:
    """A case on its way to the wholesaler."""
    made = lot or Lot(2)
    trade.maker.commission(made)
    unit = case(made, 0, 2)
    trade.maker.pack(unit)
    trade.maker.ship(trade.wholesaler, unit)
    return unit


def test_the_whole_round(trade: Trade) -> None:
    """Data without product: nothing arrived. The sender explains, the recipient closes it, and the goods go on."""
    maker, wholesaler, unit = trade.maker, trade.wholesaler, sent(trade)
    opened = reported(wholesaler, Kind.DATA_WITHOUT_PRODUCT, unit.unit_id, maker, deadline=9)
    assert (opened.state, opened.owner, opened.deadline_us) == (ExceptionState.OPEN, wholesaler.organisation, 9)
    assert trade.open_exceptions(maker) == trade.open_exceptions(wholesaler) == [opened]
    assert trade.open_exceptions(trade.pharmacy) == []
    wholesaler.receive(unit)  # it came after all
    said = [unit.unit_id, trade.pharmacy.named, wholesaler.evidence()]
    trade.refused(Code.EXCEPTION_OPEN, wholesaler, "lots.ship", *said)
    trade.refused(Code.EXCEPTION_OPEN, wholesaler, "lots.unpack", unit.unit_id, wholesaler.evidence())
    trade.refused(Code.EXCEPTION_OPEN, wholesaler, "lots.pack", *unit.pallet().pack(wholesaler.evidence()))
    answer = [opened.exception_id, DETAIL, maker.evidence()]
    assert maker.submit("lots.answer", *answer) == maker.submit("lots.answer", *answer)
    assert trade.exception(opened.exception_id).state is ExceptionState.ANSWERED
    assert trade.ledger.event is None  # of the second answer, which changed nothing
    end = [opened.exception_id, b"explained", wholesaler.evidence()]
    assert wholesaler.submit("lots.resolve", *end) == wholesaler.submit("lots.resolve", *end)
    closed = trade.exception(opened.exception_id)
    assert closed.end is not None
    assert (closed.state, closed.end.resolution) == (ExceptionState.RESOLVED, Resolution.EXPLAINED)
    assert trade.open_exceptions(maker) == []
    assert cbor.decode(trade.maker.world.evaluate("lots.held-by", unit.unit_id), 999) == []
    wholesaler.ship(trade.pharmacy, unit)


def test_product_without_data(trade: Trade) -> None:
    """About an id that the ledger does not know: what arrived, nobody sent."""
    opened = reported(trade.pharmacy, Kind.PRODUCT_WITHOUT_DATA, DETAIL, trade.wholesaler)
    assert trade.open_exceptions(trade.wholesaler) == [opened]
    trade.wholesaler.submit("lots.answer", opened.exception_id, DETAIL, trade.wholesaler.evidence())
    trade.pharmacy.submit("lots.resolve", opened.exception_id, b"corrected", trade.pharmacy.evidence())


def test_a_stranger_stops_nobodys_goods(trade: Trade) -> None:
    unit = sent(trade)
    opened = reported(trade.pharmacy, Kind.SUSPECT, unit.unit_id, trade.maker)
    assert trade.open_exceptions(trade.maker) == [opened]  # it is heard
    trade.wholesaler.receive(unit)
    trade.wholesaler.ship(trade.pharmacy, unit)  # and stops nothing


def test_an_exception_on_an_opened_pallet_stops_no_case_that_went_on(trade: Trade) -> None:
    """Its opener is a stranger to the case by then."""
    maker, wholesaler, pharmacy = trade.all
    lot = Lot(2)
    maker.commission(lot)
    unit = case(lot)
    pallet = unit.pallet()
    for one in (unit, pallet):
        maker.pack(one)
    maker.send(wholesaler, pallet)
    wholesaler.unpack(pallet)
    wholesaler.send(pharmacy, unit)
    reported(wholesaler, Kind.OTHER, pallet.unit_id + unit.unit_id)
    pharmacy.unpack(unit)
    assert dispensed(pharmacy, lot, lot.packs[0], unit).status == "dispensed"


def test_packs_of_a_unit_with_an_exception(trade: Trade) -> None:
    lot = Lot(2)
    unit, wholesaler = sent(trade, lot), trade.wholesaler
    wholesaler.receive(unit)
    wholesaler.unpack(unit)
    opened = reported(wholesaler, Kind.DAMAGED, unit.unit_id, trade.maker)
    said = [*ending(lot, lot.packs[0], unit), wholesaler.evidence()]
    trade.refused(Code.EXCEPTION_OPEN, wholesaler, "lots.dispense", *said)
    wholesaler.submit("lots.resolve", opened.exception_id, b"withdrawn", wholesaler.evidence())
    assert dispensed(wholesaler, lot, lot.packs[0], unit).status == "dispensed"


def test_who_may_answer_and_resolve(trade: Trade) -> None:
    maker, wholesaler, pharmacy = trade.all
    opened = reported(wholesaler, Kind.DAMAGED, sent(trade).unit_id, maker, deadline=2 * 10**15)
    named = opened.exception_id
    for stranger in (wholesaler, pharmacy):
        trade.refused(Code.FORBIDDEN, stranger, "lots.answer", named, DETAIL, stranger.evidence())
    for other in (maker, pharmacy):
        trade.refused(Code.FORBIDDEN, other, "lots.resolve", named, b"false-alert", other.evidence())
    for how in (b"false-alert", b"returned", b"unanswered"):  # nobody answered, and the deadline is not over
        trade.refused(Code.EXCEPTION_OPEN, wholesaler, "lots.resolve", named, how, wholesaler.evidence())
    trade.ledger.now_us = 2 * 10**15 + 1
    trade.refused(Code.FORBIDDEN, maker, "lots.resolve", named, b"false-alert", maker.evidence())  # it has not answered
    maker.submit("lots.answer", named, DETAIL, maker.evidence())
    trade.refused(Code.EXCEPTION_CLOSED, maker, "lots.answer", named, bytes(32), maker.evidence())
    maker.submit("lots.resolve", named, b"false-alert", maker.evidence())  # the deadline is over, and it has
    for company in (maker, wholesaler):
        trade.refused(Code.EXCEPTION_CLOSED, company, "lots.resolve", named, b"returned", company.evidence())


def test_silence_ends_with_the_deadline(trade: Trade) -> None:
    opened = reported(trade.wholesaler, Kind.DAMAGED, sent(trade).unit_id, trade.maker, deadline=2 * 10**15)
    trade.ledger.now_us = 2 * 10**15 + 1
    evidence = trade.wholesaler.evidence()
    trade.wholesaler.submit("lots.resolve", opened.exception_id, b"unanswered", evidence)
    trade.refused(
        Code.EXCEPTION_CLOSED, trade.maker, "lots.answer", opened.exception_id, DETAIL, trade.maker.evidence()
    )


def test_reports_that_are_none(trade: Trade) -> None:
    maker = trade.maker
    good = [b"damaged", bytes(32), b"", maker.evidence(), b"", b"0"]
    for place, value, code in (
        (0, b"bad mood", Code.MALFORMED), (1, b"", Code.MALFORMED), (1, bytes(33), Code.MALFORMED),
        (1, bytes(64), Code.MALFORMED), (1, b"".join(bytes(31) + bytes([i]) for i in range(17)), Code.MALFORMED),
        (2, maker.named, Code.MALFORMED), (2, b"NobodyMSP", Code.UNKNOWN_ORGANISATION), (4, b"x", Code.MALFORMED),
        (5, b"-1", Code.MALFORMED),
    ):  # fmt: skip
        trade.refused(code, maker, "lots.report", *good[:place], value, *good[place + 1 :])
    first = maker.submit("lots.report", *good)
    state = dict(trade.ledger.state)
    assert maker.submit("lots.report", *good) == first
    assert trade.ledger.state == state


def test_bounds_and_pages(trade: Trade) -> None:
    """A unit bears a bounded number of exceptions; lists come in pages that pass over what is resolved."""
    wholesaler, unit = trade.wholesaler, sent(trade)
    for kind in (Kind.DAMAGED, Kind.SUSPECT):
        for _ in range(MAX_OWN_HOLDS // 2):
            reported(wholesaler, kind, unit.unit_id)
    said = [b"other", unit.unit_id, b"", wholesaler.evidence(), b"", b"0"]
    trade.refused(Code.EXCEPTION_OPEN, wholesaler, "lots.report", *said)
    evidence = trade.pharmacy.evidence()
    for i in range(MAX_PAGE + 9):
        about = i.to_bytes(32)
        trade.pharmacy.submit("lots.report", b"other", about, b"", evidence, b"", b"0")
    first, after = cbor.decode(trade.maker.world.evaluate("lots.exceptions", trade.pharmacy.named), 2**20)
    closed = ExceptionRecord.decode(first[0]).exception_id
    trade.pharmacy.submit("lots.resolve", closed, b"withdrawn", trade.pharmacy.evidence())
    rest, end = cbor.decode(trade.maker.world.evaluate("lots.exceptions", trade.pharmacy.named, after), 2**20)
    assert (len(first), len(rest), end) == (MAX_PAGE, 9, None)
    first, after = cbor.decode(trade.maker.world.evaluate("lots.exceptions", trade.pharmacy.named), 2**20)
    assert closed not in [ExceptionRecord.decode(one).exception_id for one in first]
