"""Three companies at work at the same time: their calls never conflict, and what does conflict is seen to.

On Fabric a call that read what another one changes is committed as invalid and sent again: one transaction more than
there were calls. That is what is counted here.
"""

import asyncio
import time
from collections.abc import Sequence

import pytest

from chaincode.coldchain.records import Progress
from chaincode.lots.pack_records import EndAnswer, EndStatus
from chaincode.lots.unit_records import UnitRecord, UnitState
from tests.chain.conditions.readings import MINUTE_US, POLICY, course
from tests.contract_suite.actors import Actor
from tests.contract_suite.companies import ANCHORED, Company, Lot, Unit, case, companies, position, unit_records
from tests.contract_suite.conftest import Worlds
from tests.contract_suite.shipments import Trip, logger_of
from tests.contract_suite.world import World

Call = tuple[Company, str, list[bytes]]


def at_once(world: World, *calls: Call) -> list[bytes]:
    """All calls are sent before any is answered; what each answered."""

    async def one(company: Company, function: str, args: list[bytes]) -> bytes:
        ledger = world.open_as(company.actor.key, company.actor.organisation)
        return (await ledger.submit(function, *args)).result

    async def all_of_them() -> list[bytes]:
        return await asyncio.gather(*(one(*call) for call in calls))

    return world.runner.run(all_of_them())


def packed(maker: Company, count: int) -> tuple[Lot, list[Unit]]:
    """A lot, in cases of two packs."""
    lot = Lot(2 * count, expiry=b"30000")
    maker.commission(lot)
    cases = [case(lot, 2 * i, 2 * i + 2) for i in range(count)]
    for one in cases:
        maker.pack(one)
    return lot, cases


def frozen_trip(maker: Company, carrier: Company, pharmacy: Company, unit: Unit) -> list[bytes]:
    """The carrier's report on a shipment of the maker's unit: it was frozen."""
    source = Actor("logger-1", carrier.log.origin)
    carrier.submit("identities.enrol", *source.enrolment("source"))
    maker.submit("coldchain.policy", POLICY.encode())
    from_us = time.time_ns() // 1000 - 40 * MINUTE_US
    logger = logger_of(carrier, calibrated=from_us // (1440 * MINUTE_US))
    trip = Trip(carrier, recipient=pharmacy.organisation, from_us=from_us, loggers=(logger,), units=(unit.unit_id,))
    maker.submit("coldchain.open", *trip.opening(maker))
    report = trip.report(1, from_us + 20 * MINUTE_US, course(5, 1, 1, 5, start_us=from_us))
    return trip.reporting(report)


def moved(answer: bytes) -> UnitRecord:
    (record,) = unit_records(answer)
    return record


def test_three_companies_never_wait_for_each_other(world: World) -> None:
    """Goods of one lot are shipped, received, watched and dispensed while every log is anchored."""
    maker, carrier, pharmacy = companies(world)
    lot, (leaving, coming, watched, open_here) = packed(maker, 4)
    maker.send(pharmacy, open_here)
    pharmacy.unpack(open_here)
    maker.ship(carrier, coming)
    report = frozen_trip(maker, carrier, pharmacy, watched)
    pack = open_here.members[0]
    ending = [lot.lot_id, pack, position(lot.packs, pack), open_here.unit_id, position(open_here.members, pack)]
    before = world.transactions()
    calls: list[Call] = [
        (maker, "lots.ship", [leaving.unit_id, pharmacy.named, maker.evidence()]),
        (carrier, "lots.receive", [coming.unit_id, carrier.evidence()]),
        (carrier, "coldchain.report", report),
        (pharmacy, "lots.dispense", [*ending, pharmacy.evidence()]),
        (pharmacy, "lots.report", [b"other", lot.lot_id, maker.named, pharmacy.evidence(), b"", b"0"]),
        (maker, "lots.commission", Lot(2).commission(maker.evidence())),
        *((one, "logs.anchor", one.log.anchor(ANCHORED, ANCHORED + 1)) for one in (maker, carrier, pharmacy)),
    ]
    answers = at_once(world, *calls)
    assert world.transactions() == before + len(calls)
    assert (moved(answers[0]).state, moved(answers[1]).state) == (UnitState.IN_TRANSIT, UnitState.HELD)
    assert Progress.decode(answers[2]).held
    assert EndAnswer.decode(answers[3]).status is EndStatus.DISPENSED
    if world.replayed:
        assert world.replayed() > len(calls)  # one after the other they have the same effect


@pytest.mark.fabric
def test_calls_that_change_one_balance_are_seen_to_conflict_and_all_count(fabric_worlds: Worlds) -> None:
    """So the counting above finds a conflict where there is one."""
    world = fabric_worlds.started()
    maker, *_ = companies(world)
    lot = Lot(6)
    maker.commission(lot)
    cases = [case(lot, 2 * i, 2 * i + 2) for i in range(3)]
    calls: Sequence[Call] = [(maker, "lots.pack", one.pack(maker.evidence())) for one in cases]
    before = world.transactions()
    at_once(world, *calls)
    assert world.transactions() > before + len(calls)
    assert maker.balance(lot.lot_id).count == 0
