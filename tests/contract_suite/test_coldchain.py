"""The cold chain between three companies: what the contract finds by itself, and that goods then go nowhere.

Every figure and refusal is tried on a ledger in memory (tests/chaincode/coldchain); here is what needs a real one.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from chain.conditions.samples import Sample
from chaincode.coldchain.quarantine import Quarantine
from chaincode.coldchain.records import DisputeRecord, Explanation, Progress, ReportRecord, Shipment
from chaincode.errors import Code
from crypto import cbor
from tests.chain.conditions.readings import MINUTE_US, POLICY, course
from tests.contract_suite.actors import Actor
from tests.contract_suite.companies import Company, Lot, case, companies
from tests.contract_suite.shipments import Trip, logger_of
from tests.contract_suite.world import World

REPORT, RELEASE, CLOSE, EXPLAIN = (f"coldchain.{name}" for name in ("report", "release", "close", "explain"))
Three = tuple[Company, Company, Company]


@pytest.fixture
def three(world: World) -> Iterator[Three]:
    """Maker, carrier and pharmacy; the carrier has an enrolled logger."""
    maker, carrier, pharmacy = companies(world)
    source = Actor("logger-1", carrier.log.origin)
    carrier.submit("identities.enrol", *source.enrolment("source"))
    maker.submit("coldchain.policy", POLICY.encode())
    yield maker, carrier, pharmacy
    if world.replayed:
        assert world.replayed() > 13  # what is above, and what the test did


def now_us() -> int:
    return time.time_ns() // 1000


def opened(three: Three, units: Sequence[bytes], policy: object = POLICY) -> Trip:
    """Begun 40 minutes ago."""
    maker, carrier, pharmacy = three
    from_us = now_us() - 40 * MINUTE_US
    loggers = (logger_of(carrier, calibrated=from_us // (1440 * MINUTE_US)),)
    trip = Trip(carrier, policy=policy, recipient=pharmacy.organisation, from_us=from_us, loggers=loggers)  # type: ignore[arg-type]
    trip = trip.but(units=tuple(sorted(units)))
    maker.submit("coldchain.open", *trip.opening(maker))
    return trip


def measured(trip: Trip, *celsius: float) -> list[Sample]:
    return course(*celsius, start_us=trip.from_us)


def get(world: World, trip: Trip) -> tuple[Shipment, Progress]:
    shipment, progress = cbor.decode(world.evaluate("coldchain.get", trip.shipment_id), 2**17)
    return Shipment.decode(shipment), Progress.decode(progress)


def test_an_excursion_holds_the_goods_until_another_company_releases(three: Three) -> None:
    maker, carrier, pharmacy = three
    world, lot = maker.world, Lot(20)
    cases = [case(lot, 0, 10), case(lot, 10, 20)]
    maker.commission(lot)
    for unit in cases:
        maker.pack(unit)
    ids = [unit.unit_id for unit in cases]
    trip = opened(three, ids)
    maker.ship(pharmacy, *cases)
    # The carrier reports; the contract judges.
    cold = trip.report(1, trip.from_us + 20 * MINUTE_US, measured(trip, 5, 5, 5, 5))
    assert not Progress.decode(carrier.submit(REPORT, *trip.reporting(cold))).held
    samples = measured(trip, *[5] * 5, 1, 5, 5)
    frozen = trip.report(2, trip.from_us + 40 * MINUTE_US, samples)
    done = world.submit(carrier.actor, REPORT, *trip.reporting(frozen))
    assert Progress.decode(done.result).held
    (event,) = world.events(1, after=done.index - 1)
    assert (event.name, cbor.decode(event.payload, 1024)) == (
        "coldchain.excursion", [trip.shipment_id, carrier.log.origin, 2, [["limit", 0, 0, 300]]],
    )  # fmt: skip
    # Received, closed, and held: nobody opens a case.
    pharmacy.receive(*cases)
    pharmacy.submit(CLOSE, *trip.closing(pharmacy))
    world.refused(Code.QUARANTINED, pharmacy.actor, "lots.unpack", ids[0], pharmacy.evidence())
    world.refused(Code.FORBIDDEN, carrier.actor, RELEASE, *trip.releasing(carrier))
    pharmacy.submit(RELEASE, *trip.releasing(pharmacy))
    pharmacy.unpack(cases[0])
    shipment, progress = get(world, trip)
    assert (shipment.opener, shipment.reporter) == (maker.organisation, carrier.organisation)
    assert (progress.held, progress.complete) == (False, True)
    (kept,) = cbor.decode(world.evaluate("coldchain.quarantine", ids[0]), 2**16)
    assert Quarantine.decode(kept).released_by == pharmacy.organisation
    reports = cbor.decode(world.evaluate("coldchain.reports", trip.shipment_id), 2**20)
    assert [ReportRecord.decode(one).report for one in reports] == [cold.encode(), frozen.encode()]


def test_units_are_the_shippers(three: Three) -> None:
    maker, carrier, pharmacy = three
    lot = Lot(10)
    unit = case(lot, 0, 10)
    maker.commission(lot)
    maker.pack(unit)
    trip = Trip(carrier, recipient=pharmacy.organisation, from_us=now_us(), loggers=(logger_of(carrier, calibrated=1),))
    trip = trip.but(units=(unit.unit_id,))
    for other in (carrier, pharmacy):
        maker.world.refused(Code.NOT_OWNER, other.actor, "coldchain.open", *trip.opening(other))
    # Who has the goods closes, also where another recipient was named.
    maker.submit("coldchain.open", *trip.but(recipient="NobodyMSP").opening(maker))
    maker.send(pharmacy, unit)
    maker.world.refused(Code.FORBIDDEN, carrier.actor, CLOSE, *trip.closing(carrier))
    pharmacy.submit(CLOSE, *trip.closing(pharmacy))


def test_a_report_that_never_came(three: Three) -> None:
    maker, carrier, pharmacy = three
    world, hasty = maker.world, replace(POLICY, interval_s=1)
    maker.submit("coldchain.policy", hasty.encode())
    trip = opened(three, [bytes(32)], hasty)
    time.sleep(1.1)
    done = world.submit(pharmacy.actor, "coldchain.overdue", trip.shipment_id)
    assert Progress.decode(done.result).held
    world.refused(Code.NOT_OVERDUE, maker.actor, "coldchain.overdue", trip.shipment_id)
    world.refused(Code.UNEXPLAINED, maker.actor, RELEASE, *trip.releasing(maker))
    carrier.submit("coldchain.explain", *trip.explaining(0, carrier))
    maker.submit(RELEASE, *trip.releasing(maker))
    assert not get(world, trip)[1].held


def test_an_explanation_by_who_has_to_release_is_replaced_by_anothers(three: Three) -> None:
    """The maker sends to itself, so that nobody else can release, and explains the missing report first."""
    maker, carrier, _ = three
    world, hasty = maker.world, replace(POLICY, interval_s=1)
    maker.submit("coldchain.policy", hasty.encode())
    from_us = now_us() - 40 * MINUTE_US
    loggers = (logger_of(carrier, calibrated=from_us // (1440 * MINUTE_US)),)
    trip = Trip(carrier, policy=hasty, recipient=maker.organisation, from_us=from_us, loggers=loggers)
    trip = trip.but(units=(bytes(32),))
    maker.submit("coldchain.open", *trip.opening(maker))
    time.sleep(1.1)
    maker.submit("coldchain.overdue", trip.shipment_id)
    maker.submit(EXPLAIN, *trip.explaining(0, maker))
    world.refused(Code.EXPLANATION_EXISTS, maker.actor, EXPLAIN, *trip.explaining(0, maker))
    world.refused(Code.UNEXPLAINED, maker.actor, RELEASE, *trip.releasing(maker))
    world.refused(Code.FORBIDDEN, carrier.actor, RELEASE, *trip.releasing(carrier))
    carrier.submit(EXPLAIN, *trip.explaining(0, carrier))
    (kept,) = cbor.decode(world.evaluate("coldchain.explanations", trip.shipment_id), 2**20)
    assert Explanation.decode(kept).organisation == carrier.organisation
    maker.submit(RELEASE, *trip.releasing(maker))
    assert not get(world, trip)[1].held


def test_two_numbers_stand_side_by_side(three: Three) -> None:
    maker, carrier, pharmacy = three
    trip = opened(three, [bytes(32)])
    to_us = trip.from_us + 20 * MINUTE_US
    said, true = (trip.report(1, to_us, measured(trip, *course)) for course in ((5, 5, 5, 5), (5, 9, 9, 9)))
    carrier.submit(REPORT, *trip.reporting(said))
    pharmacy.submit("coldchain.dispute", *trip.disputing(true, pharmacy))
    (kept,) = cbor.decode(maker.world.evaluate("coldchain.disputes", trip.shipment_id), 2**20)
    assert DisputeRecord.decode(kept).recomputed == true.encode()
    listed = cbor.decode(maker.world.evaluate("coldchain.list", carrier.named, b"open"), 2**16)
    assert listed == [[trip.shipment_id], None]
