"""Attacks on custody that need several contracts or companies: each is performed as a partner would."""

import pytest

from chaincode.coldchain.quarantine import Quarantine
from chaincode.coldchain.records import Progress
from chaincode.errors import Code, ContractError
from chaincode.evidence import Evidence
from chaincode.lots.exception_records import MAX_OWN_HOLDS, ExceptionRecord, Kind
from crypto import cbor
from tests.chain.conditions.readings import MINUTE_US, POLICY, START_US, course
from tests.chaincode.lots.memory_world import Trade, dispensed
from tests.contract_suite.actors import Actor
from tests.contract_suite.companies import Company, Lot, Unit, case
from tests.contract_suite.shipments import Trip, logger_of

OPEN, REPORT, CLOSE = "coldchain.open", "coldchain.report", "coldchain.close"
COLD, WARM = (5, 5, 5, 5), (5, 5, 16, 5)


class Road:
    """The maker's goods under way to the wholesaler; the pharmacy, of all, carries them and reports."""

    def __init__(self, trade: Trade) -> None:
        self.trade, self.seq = trade, 0
        self.maker, self.wholesaler, self.carrier = trade.all
        self.maker.submit("coldchain.policy", POLICY.encode())
        trade.ledger.now_us = START_US
        self.carrier.submit("identities.enrol", *Actor("logger-1", self.carrier.log.origin).enrolment("source"))

    def open(self, *units: Unit, by: Company | None = None, **changes: object) -> Trip:
        trip = self.trip(*units, **changes)
        (by or self.maker).submit(OPEN, *trip.opening(by or self.maker))
        return trip

    def trip(self, *units: Unit, **changes: object) -> Trip:
        ids = tuple(sorted(unit.unit_id for unit in units))
        made = Trip(self.carrier, recipient=self.wholesaler.organisation, loggers=(logger_of(self.carrier),), units=ids)
        return made.but(**changes)

    def report(self, trip: Trip, celsius: tuple[int, ...], end: int = 64) -> Progress:
        self.seq += 1
        to_us = self.trade.ledger.now_us = START_US + self.seq * 20 * MINUTE_US
        report = trip.report(self.seq, to_us, course(*celsius), end=end)
        return Progress.decode(self.carrier.submit(REPORT, *trip.reporting(report)))


@pytest.fixture
def road(trade: Trade) -> Road:
    return Road(trade)


def cases(company: Company, count: int) -> tuple[Lot, list[Unit]]:
    lot = Lot(2 * count)
    company.commission(lot)
    made = [case(lot, 2 * i, 2 * i + 2) for i in range(count)]
    for one in made:
        company.pack(one)
    return lot, made


# -- a quarantine that is dodged


def test_cases_of_a_warm_pallet_do_not_hide_in_another(road: Road) -> None:
    """Received, opened and packed anew before the excursion is reported."""
    trade, maker, wholesaler = road.trade, road.maker, road.wholesaler
    _, (one, two) = cases(maker, 2)
    warm, others = one.pallet(two), cases(wholesaler, 1)[1]
    maker.pack(warm)
    trip = road.open(warm)
    maker.send(wholesaler, warm)
    wholesaler.unpack(warm)
    # Together with others they wait until nothing can come of the shipment any more.
    mixed = [*one.pallet(others[0]).pack(wholesaler.evidence())]
    trade.refused(Code.UNIT_UNDER_WAY, wholesaler, "lots.pack", *mixed)
    # By themselves they may be packed, and packed again, and what comes holds them still.
    again = one.pallet(two)
    wholesaler.pack(again)
    wholesaler.unpack(again)
    third = one.pallet()
    wholesaler.pack(third)
    assert road.report(trip, WARM).held
    for unit in (third, two):
        said = [unit.unit_id, maker.named, wholesaler.evidence()]
        trade.refused(Code.QUARANTINED, wholesaler, "lots.ship", *said)
    trade.refused(Code.QUARANTINED, wholesaler, "lots.unpack", third.unit_id, wholesaler.evidence())


def test_a_warm_case_does_not_hide_in_a_pallet(road: Road) -> None:
    """The shipment is of the case; the pallet that it is put into would not be held."""
    _, (one, two) = cases(road.maker, 2)
    road.open(one)
    said = one.pallet(two).pack(road.maker.evidence())
    road.trade.refused(Code.UNIT_UNDER_WAY, road.maker, "lots.pack", *said)


def test_once_a_shipment_is_complete_all_is_packed_freely(road: Road) -> None:
    trade, maker, wholesaler = road.trade, road.maker, road.wholesaler
    _, (one, two) = cases(maker, 2)
    pallet = one.pallet(two)
    maker.pack(pallet)
    trip = road.open(pallet)
    maker.send(wholesaler, pallet)
    assert not road.report(trip, COLD).held
    wholesaler.submit(CLOSE, *trip.closing(wholesaler))
    wholesaler.unpack(pallet)
    mixed = one.pallet(cases(wholesaler, 1)[1][0])
    wholesaler.pack(mixed)
    assert trade.unit(mixed).out_of is None


def test_a_shipment_is_of_whole_units_only(road: Road) -> None:
    """Of a case inside of a pallet: it would be held, and the pallet go on. Of an opened pallet: its opener would have
    the cases held that it sold since."""
    trade, maker, wholesaler = road.trade, road.maker, road.wholesaler
    _, (one, two) = cases(maker, 2)
    pallet = one.pallet(two)
    maker.pack(pallet)
    trade.refused(Code.UNIT_INSIDE, maker, OPEN, *road.trip(one).opening(maker))
    maker.unpack(pallet)
    maker.send(wholesaler, one)
    trade.refused(Code.UNIT_ENDED, maker, OPEN, *road.trip(pallet).opening(maker))
    trade.refused(Code.NOT_OWNER, maker, OPEN, *road.trip(one).opening(maker))


def test_nobody_has_a_unit_held_before_it_is_packed(road: Road) -> None:
    """A rival saw the unit's id in a call that is not committed yet, and opens a warm shipment of it."""
    trade, maker, rival = road.trade, road.maker, road.wholesaler
    lot = Lot(4)
    maker.commission(lot)
    first, second = case(lot, 0, 2), case(lot, 2, 4)
    trip = road.open(first, by=rival, recipient=rival.organisation)
    assert road.report(trip, WARM).held
    trade.refused(Code.UNIT_EXISTS, maker, "lots.pack", *first.pack(maker.evidence()))
    maker.pack(second)  # under another id it goes
    maker.ship(rival, second)
    own = Unit(first.members, first.contents)
    trip = road.trip(own)
    maker.submit(OPEN, *trip.opening(maker))  # one's own shipment may be opened first
    maker.pack(own)


# -- exceptions as a weapon, or out of the way


def reported(company: Company, unit: Unit, kind: Kind = Kind.SUSPECT) -> ExceptionRecord:
    said = [kind.encode(), unit.unit_id, b"", company.evidence(), b"", b"0"]
    return ExceptionRecord.decode(company.submit("lots.report", *said))


def test_who_gave_goods_away_keeps_them_by_no_exception(trade: Trade) -> None:
    """Without counterparty or deadline nobody else could ever resolve it: by a recipient that refuses the goods, and by
    a sender whose goods arrive."""
    maker, wholesaler, pharmacy = trade.all
    _, (one, two) = cases(maker, 2)
    maker.ship(wholesaler, one, two)
    for unit in (one, two):
        for company in (maker, wholesaler):
            reported(company, unit)
    wholesaler.submit("lots.refuse", one.unit_id, b"no", wholesaler.evidence())
    wholesaler.receive(two)
    held = [cbor.decode(trade.maker.world.evaluate("lots.held-by", unit.unit_id), 999) for unit in (one, two)]
    assert [len(ids) for ids in held] == [1, 1]
    for company, ids in zip((maker, wholesaler), held, strict=True):
        assert trade.exception(ids[0]).owner == company.organisation  # each by its own report, which it resolves
        company.submit("lots.resolve", ids[0], b"withdrawn", company.evidence())
    maker.ship(pharmacy, one)
    wholesaler.ship(pharmacy, two)


def test_a_recipient_does_not_use_up_the_exceptions_of_a_unit(trade: Trade) -> None:
    maker, wholesaler, _ = trade.all
    unit = cases(maker, 1)[1][0]
    maker.ship(wholesaler, unit)
    for _ in range(MAX_OWN_HOLDS):
        reported(wholesaler, unit)
    said = [b"suspect", unit.unit_id, b"", wholesaler.evidence(), b"", b"0"]
    trade.refused(Code.EXCEPTION_OPEN, wholesaler, "lots.report", *said)
    kept = reported(maker, unit)
    wholesaler.submit("lots.refuse", unit.unit_id, b"no", wholesaler.evidence())
    again = reported(maker, unit)
    held = cbor.decode(trade.maker.world.evaluate("lots.held-by", unit.unit_id), 999)
    assert held == sorted([kept.exception_id, again.exception_id])


def test_nobody_takes_the_makers_exception_by_reporting_it_first(trade: Trade) -> None:
    """Who opens a shipment chooses its id: here the leaf hash of a record by which it reports the attempt itself, so
    that the maker would never hear of it."""
    maker, _, dishonest = trade.all
    lot, (unit,) = cases(maker, 1)
    maker.send(dishonest, unit)
    dishonest.unpack(unit)
    evidence, pack = dishonest.evidence(), lot.packs[0]
    shipment_id = Evidence.decode(evidence).ref.leaf_hash
    dishonest.submit("lots.report", b"quarantined-product", lot.lot_id + pack, b"", evidence, b"", b"0")
    trade.ledger.state[f"quarantine/{unit.unit_id.hex()}"] = Quarantine(shipment_id, 7, "ab").encode()
    answer = dispensed(dishonest, lot, pack, unit)
    kept = trade.exception(answer.exception_id)
    assert (answer.status, kept.owner) == ("quarantined", maker.organisation)
    assert kept in trade.open_exceptions(maker)


def test_an_organisation_is_named_so_that_it_is_nobody_elses(trade: Trade) -> None:
    """Else its exceptions would stand in the listing of another, and no record of it could be read."""
    maker = trade.maker
    for name in (f"{maker.organisation}!x", "Caf\u00e9", "a\x00", "a//b", "x" * 129):
        rival = Actor("rival/gateway", "rival.example/gw", organisation=name)
        with pytest.raises(ContractError, match="malformed: organisation must be"):
            maker.world.submit(rival, "identities.bootstrap", *rival.bootstrap())


# -- the same again, and not quite


def test_other_contents_are_not_the_same_again(trade: Trade) -> None:
    """Of amounts a unit's tree says nothing."""
    maker = trade.maker
    lots = [Lot(9, serialised=False), Lot(9, serialised=False)]
    for lot in lots:
        maker.commission(lot)
    first = Unit([], [lots[0].of(5).encode()])
    evidence = maker.evidence()
    assert maker.submit("lots.pack", *first.pack(evidence)) == maker.submit("lots.pack", *first.pack(evidence))
    for other in (lots[0].of(6), lots[1].of(5)):
        changed = Unit([], [other.encode()], first.unit_id)
        trade.refused(Code.UNIT_EXISTS, maker, "lots.pack", *changed.pack(evidence))
