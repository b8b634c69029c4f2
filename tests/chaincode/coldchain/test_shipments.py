"""The life of a shipment on the ledger: who may do what, what holds the units, and who lets them go."""

import asyncio
import secrets
from dataclasses import replace

import pytest

from chaincode import contract
from chaincode.coldchain import queries
from chaincode.coldchain.alarms import Cause
from chaincode.coldchain.records import Logger
from chaincode.errors import Code
from chaincode.transaction import Caller
from tests.chain.conditions.readings import MINUTE_US, POLICY, START_US, course
from tests.chaincode.coldchain.world import ColdWorld
from tests.chaincode.memory import MemoryTransaction
from tests.contract_suite.shipments import CARRIER, DAY, MAKER, SIZE, WHOLESALER, Party, Trip, logger_of
from tests.contract_suite.twice import Recording

REPORT, RELEASE, CLOSE, EXPLAIN, OVERDUE = (
    f"coldchain.{name}" for name in ("report", "release", "close", "explain", "overdue")
)


@pytest.fixture
def world() -> ColdWorld:
    return ColdWorld.fresh()


def test_a_shipment_that_stays_cold(world: ColdWorld) -> None:
    trip = world.opened()
    assert world.event[0] == "coldchain.opened"
    assert not world.report(trip, *[5] * 6).held
    assert world.event == ("coldchain.reported", [trip.shipment_id, world.carrier.origin, 1, START_US + 30 * MINUTE_US])
    assert not world.report(trip, *[5] * 12, seq=2).held
    closed_us = world.at(61)
    world.submit(world.wholesaler, CLOSE, *trip.closing(world.wholesaler))
    assert world.event == ("coldchain.closed", [trip.shipment_id, world.carrier.origin, WHOLESALER, closed_us])
    # The last stretch is still to be reported, up to the closing and not beyond.
    assert not world.progress(trip).complete
    world.at(65)
    beyond = trip.report(3, START_US + 65 * MINUTE_US, course(*[5] * 13))
    world.refused(Code.BAD_REPORT, world.carrier, REPORT, *trip.reporting(beyond))
    last = trip.report(3, closed_us, course(*[5] * 13))
    world.submit(world.carrier, REPORT, *trip.reporting(last))
    assert world.progress(trip).complete
    more = trip.report(4, closed_us, course(*[5] * 13))
    world.refused(Code.SHIPMENT_CLOSED, world.carrier, REPORT, *trip.reporting(more))
    assert [world.quarantine(unit) for unit in trip.units] == [None] * 3
    shipment, _ = world.get(trip)
    assert (shipment.opener, shipment.reporter, shipment.recipient) == (MAKER, CARRIER, WHOLESALER)
    assert len(world.reports(trip)) == 3
    assert len(world.reports(trip, b"2")) == 1


def test_the_contract_finds_the_excursion_itself(world: ColdWorld) -> None:
    trip = world.opened()
    after = world.report(trip, 5, 5, 1, 5)
    assert world.event == ("coldchain.excursion", [trip.shipment_id, world.carrier.origin, 1, [["limit", 0, 0, 300]]])
    assert after.held
    assert world.held(trip) == [True] * 3
    found = world.quarantine(trip.units[0])
    assert found is not None
    assert (found.shipment_id, found.since_us) == (trip.shipment_id, START_US + 20 * MINUTE_US)
    # The same again is no new alarm, other trouble is.
    world.report(trip, 5, 5, 1, 5, 5, seq=2)
    assert world.event[0] == "coldchain.reported"
    world.report(trip, 5, 5, 1, 5, 5, 16, seq=3)
    assert world.event[0] == "coldchain.excursion"
    causes = [(alarm.finding.cause, alarm.finding.limit, alarm.seq) for alarm in world.progress(trip).alarms]
    assert causes == [(Cause.LIMIT, 0, 1), (Cause.LIMIT, 3, 3)]


def test_only_another_organisation_releases(world: ColdWorld) -> None:
    trip = world.opened()
    world.refused(Code.NOT_QUARANTINED, world.maker, RELEASE, *trip.releasing(world.maker))
    world.report(trip, 5, 5, 1, 5)
    for nobody in (world.carrier, world.stranger):
        world.refused(Code.FORBIDDEN, nobody, RELEASE, *trip.releasing(nobody))
    for reason in (b"", b"x" * 201, b"caf\xc3\xa9"):
        world.refused(Code.MALFORMED, world.maker, RELEASE, *trip.releasing(world.maker, reason))
    world.submit(world.wholesaler, RELEASE, *trip.releasing(world.wholesaler))
    assert world.held(trip) == [False] * 3
    found = world.quarantine(trip.units[1])
    assert found is not None
    assert (found.released_by, found.reason) == (WHOLESALER, "stability data cover it")
    assert world.listed(world.maker, b"released") == [trip.shipment_id]
    # What was let pass raises no second alarm; more of it does.
    world.report(trip, 5, 5, 1, 5, 5, seq=2)
    assert world.held(trip) == [False] * 3
    world.report(trip, 5, 5, 1, 5, 5, 1, seq=3)
    assert world.held(trip) == [True] * 3
    assert world.event == ("coldchain.excursion", [trip.shipment_id, world.carrier.origin, 3, [["limit", 0, 0, 600]]])
    assert len(world.progress(trip).alarms) == 2


def test_who_reported_cannot_release_as_shipper_either(world: ColdWorld) -> None:
    trip = world.trip()
    world.submit(world.carrier, "coldchain.open", *trip.opening(world.carrier))
    world.report(trip, 5, 5, 1, 5)
    world.refused(Code.FORBIDDEN, world.carrier, RELEASE, *trip.releasing(world.carrier))
    world.submit(world.wholesaler, RELEASE, *trip.releasing(world.wholesaler))


def test_missing_data_is_an_excursion_until_it_is_explained(world: ColdWorld) -> None:
    trip = world.opened()
    to_us = world.at(40)
    world.submit(world.carrier, REPORT, *trip.reporting(trip.report(1, to_us, course(5, 5))))
    assert world.event == ("coldchain.excursion", [trip.shipment_id, world.carrier.origin, 1, [["gap", 0, None, 1200]]])
    world.refused(Code.UNEXPLAINED, world.wholesaler, RELEASE, *trip.releasing(world.wholesaler))
    for nobody in (world.wholesaler, world.stranger):
        world.refused(Code.FORBIDDEN, nobody, EXPLAIN, *trip.explaining(0, nobody))
    world.refused(Code.UNKNOWN_ALARM, world.carrier, EXPLAIN, *trip.explaining(1, world.carrier))
    world.submit(world.carrier, EXPLAIN, *trip.explaining(0, world.carrier))
    assert world.event == ("coldchain.explained", [trip.shipment_id, world.carrier.origin, 0, CARRIER, "battery"])
    world.refused(Code.EXPLANATION_EXISTS, world.carrier, EXPLAIN, *trip.explaining(0, world.carrier))
    assert world.held(trip) == [True] * 3  # an explanation alone lets nothing go
    world.submit(world.wholesaler, RELEASE, *trip.releasing(world.wholesaler))
    (said,) = world.explanations(trip)
    assert (said.alarm, said.organisation, said.code) == (0, CARRIER, "battery")


def test_nobody_explains_and_releases(world: ColdWorld) -> None:
    trip = world.opened()
    to_us = world.at(40)
    world.submit(world.carrier, REPORT, *trip.reporting(trip.report(1, to_us, course(5, 5))))
    world.submit(world.maker, EXPLAIN, *trip.explaining(0, world.maker))
    world.refused(Code.UNEXPLAINED, world.maker, RELEASE, *trip.releasing(world.maker))
    world.submit(world.wholesaler, RELEASE, *trip.releasing(world.wholesaler))


def test_an_explanation_by_who_has_to_release_is_replaced_by_anothers(world: ColdWorld) -> None:
    """Who opened a shipment to itself is the only one that can release it, and explained its gap too early."""
    trip = world.trip(recipient=MAKER)
    world.submit(world.maker, "coldchain.open", *trip.opening(world.maker))
    to_us = world.at(40)
    world.submit(world.carrier, REPORT, *trip.reporting(trip.report(1, to_us, course(5, 5))))
    world.submit(world.maker, EXPLAIN, *trip.explaining(0, world.maker))
    world.refused(Code.EXPLANATION_EXISTS, world.maker, EXPLAIN, *trip.explaining(0, world.maker))
    world.refused(Code.UNEXPLAINED, world.maker, RELEASE, *trip.releasing(world.maker))
    for other in (world.carrier, world.wholesaler):
        world.refused(Code.FORBIDDEN, other, RELEASE, *trip.releasing(other))
    world.submit(world.carrier, EXPLAIN, *trip.explaining(0, world.carrier))
    (said,) = world.explanations(trip)
    assert said.organisation == CARRIER
    world.submit(world.maker, RELEASE, *trip.releasing(world.maker))
    assert world.held(trip) == [False] * 3


def test_a_suppressed_report_is_overdue_and_who_waits_for_it_says_so(world: ColdWorld) -> None:
    trip = world.opened()
    world.report(trip, *[5] * 6)
    world.at(90)
    world.refused(Code.NOT_OVERDUE, world.wholesaler, OVERDUE, trip.shipment_id)
    world.at(90.1)
    world.refused(Code.FORBIDDEN, world.stranger, OVERDUE, trip.shipment_id)  # by a clock of its own choice
    world.submit(world.wholesaler, OVERDUE, trip.shipment_id)
    through_s = START_US // 1_000_000 + 1800
    assert world.event == (
        "coldchain.excursion",
        [trip.shipment_id, world.carrier.origin, 1, [["overdue", None, None, through_s]]],
    )
    assert world.held(trip) == [True] * 3
    world.refused(Code.NOT_OVERDUE, world.wholesaler, OVERDUE, trip.shipment_id)  # it is known
    world.refused(Code.UNEXPLAINED, world.wholesaler, RELEASE, *trip.releasing(world.wholesaler))


def test_a_report_that_comes_late_says_so_itself(world: ColdWorld) -> None:
    trip = world.opened()
    assert world.report(trip, *[5] * 13).held
    assert world.event[1][3] == [["overdue", None, None, START_US // 1_000_000]]


def test_a_shipment_opened_late_has_its_first_interval(world: ColdWorld) -> None:
    world.at(50)
    trip = world.opened()
    assert not world.report(trip, *[5] * 20).held


def test_closing_a_shipment_that_was_not_reported(world: ColdWorld) -> None:
    trip = world.opened()
    world.at(120)
    for nobody in (world.maker, world.carrier, world.stranger):
        world.refused(Code.FORBIDDEN, nobody, CLOSE, *trip.closing(nobody))
    world.submit(world.wholesaler, CLOSE, *trip.closing(world.wholesaler))
    assert world.event[0] == "coldchain.excursion"
    assert world.held(trip) == [True] * 3
    world.refused(Code.SHIPMENT_CLOSED, world.wholesaler, CLOSE, *trip.closing(world.wholesaler))
    world.submit(world.carrier, EXPLAIN, *trip.explaining(0, world.carrier))
    world.submit(world.wholesaler, RELEASE, *trip.releasing(world.wholesaler))
    assert world.progress(trip).complete  # nobody waits for a report any more
    assert world.listed(world.carrier, b"complete") == [trip.shipment_id]
    assert world.listed(world.carrier, b"open") == world.listed(world.stranger) == []


def test_a_calibration_that_ran_out_or_was_never_given(world: ColdWorld) -> None:
    for day in (None, DAY - 366):
        trip = world.opened(loggers=(logger_of(world.carrier, calibrated=day),))
        world.report(trip, 5, 5)
        assert world.event == (
            "coldchain.excursion",
            [trip.shipment_id, world.carrier.origin, 1, [["calibration", 0, None, 1]]],
        )
    future = world.trip(loggers=(logger_of(world.carrier, calibrated=DAY + 1),))
    world.at(0)
    world.refused(Code.MALFORMED, world.maker, "coldchain.open", *future.opening(world.maker))


def test_a_unit_is_in_one_shipment_at_a_time(world: ColdWorld) -> None:
    first = world.opened()
    second = world.trip(units=first.units[1:2])
    opening = ("coldchain.open", *second.opening(world.maker))
    world.refused(Code.UNIT_UNDER_WAY, world.maker, *opening)
    world.report(first, *[5] * 6)
    world.at(30)
    world.submit(world.wholesaler, CLOSE, *first.closing(world.wholesaler))
    assert world.progress(first).complete
    world.submit(world.maker, *opening)
    # Held units go nowhere.
    world.report(second, 5, 1, seq=1)
    third = world.trip(units=first.units)
    world.refused(Code.QUARANTINED, world.maker, "coldchain.open", *third.opening(world.maker))


def test_openings_that_are_refused(world: ColdWorld) -> None:
    trip, other = world.trip(), world.trip()
    opened = world.opened()

    def refused(code: Code, **changes: object) -> None:
        world.refused(code, world.maker, "coldchain.open", *trip.but(**changes).opening(world.maker))

    refused(Code.SHIPMENT_EXISTS, shipment_id=opened.shipment_id)
    refused(Code.UNKNOWN_POLICY, policy=replace(POLICY, gap_s=901))
    refused(Code.MALFORMED, units=())
    refused(Code.MALFORMED, units=trip.units[::-1])
    refused(Code.MALFORMED, units=trip.units[:1] * 2)
    refused(Code.MALFORMED, units=tuple(sorted(secrets.token_bytes(32) for _ in range(33))))
    refused(Code.MALFORMED, loggers=())
    refused(Code.MALFORMED, loggers=trip.loggers * 2)
    refused(Code.MALFORMED, loggers=(replace(trip.loggers[0], handle="logger-1"),))
    refused(Code.MALFORMED, loggers=(replace(trip.loggers[0], handle=f"{world.maker.origin}#logger-1"),))
    refused(Code.UNKNOWN_IDENTITY, loggers=(Logger(f"{world.carrier.origin}#ghost", "t"),))
    refused(Code.MALFORMED, from_us=START_US + 61_000_000)
    refused(Code.MALFORMED, recipient="")
    world.refused(Code.NOT_OWNER, world.maker, "coldchain.open", *trip.opening(world.stranger))
    args = other.opening(world.maker)
    world.refused(Code.UNKNOWN_LOG, world.maker, "coldchain.open", *args[:2], b"nobody.example", *args[3:])
    long = trip.but(loggers=tuple(logger_of(world.carrier, f"x{n}") for n in range(17)))
    world.refused(Code.MALFORMED, world.maker, "coldchain.open", *long.opening(world.maker))


def test_reports_that_are_refused(world: ColdWorld) -> None:
    trip = world.opened()
    to_us = world.at(20)
    good = trip.report(1, to_us, course(5, 5, 5, 5))

    def refused(code: Code, **changes: object) -> None:
        world.refused(code, world.carrier, REPORT, *trip.reporting(replace(good, **changes)))  # type: ignore[arg-type]

    refused(Code.STALE_REPORT, seq=0)
    refused(Code.STALE_REPORT, seq=2)
    refused(Code.BAD_REPORT, from_us=START_US + 1)
    refused(Code.BAD_REPORT, to_us=to_us + 61_000_000)
    refused(Code.UNKNOWN_CHECKPOINT, end=SIZE - 1)
    refused(Code.BAD_REPORT, rules=2)
    refused(Code.BAD_REPORT, loggers=good.loggers * 2)
    refused(Code.MALFORMED, loggers=())
    for party in (world.maker, world.stranger):
        world.refused(Code.NOT_OWNER, party, REPORT, *trip.reporting(good))
    world.refused(Code.NOT_OWNER, world.carrier, REPORT, trip.shipment_id, good.encode(), world.maker.evidence())
    world.refused(Code.UNKNOWN_SHIPMENT, world.carrier, REPORT, bytes(32), good.encode(), world.carrier.evidence())
    world.refused(Code.MALFORMED, world.carrier, REPORT, trip.shipment_id, bytes(8192), world.carrier.evidence())
    world.submit(world.carrier, REPORT, *trip.reporting(good))


def test_another_organisation_disputes_with_its_own_numbers(world: ColdWorld) -> None:
    trip = world.opened()
    to_us = world.at(20)
    warm = trip.report(1, to_us, course(5, 9, 9, 9))
    said = trip.report(1, to_us, course(5, 5, 5, 5))
    world.submit(world.carrier, REPORT, *trip.reporting(said))
    dispute = "coldchain.dispute"
    world.refused(Code.FORBIDDEN, world.carrier, dispute, *trip.disputing(warm, world.carrier))
    world.refused(Code.BAD_REPORT, world.wholesaler, dispute, *trip.disputing(said, world.wholesaler))
    other = replace(warm, end=SIZE - 1)
    world.refused(Code.BAD_REPORT, world.wholesaler, dispute, *trip.disputing(other, world.wholesaler))
    second = replace(warm, seq=2)
    world.refused(Code.UNKNOWN_REPORT, world.wholesaler, dispute, *trip.disputing(second, world.wholesaler))
    world.submit(world.wholesaler, dispute, *trip.disputing(warm, world.wholesaler))
    assert world.event == ("coldchain.disputed", [trip.shipment_id, world.carrier.origin, 1, WHOLESALER])
    world.refused(Code.DISPUTE_EXISTS, world.wholesaler, dispute, *trip.disputing(warm, world.wholesaler))
    world.submit(world.maker, dispute, *trip.disputing(warm, world.maker))
    assert [(one.organisation, one.recomputed) for one in world.disputes(trip)] == [
        (MAKER, warm.encode()), (WHOLESALER, warm.encode()),
    ]  # fmt: skip


def test_listings_go_on_behind_an_id(world: ColdWorld) -> None:
    ids = sorted(world.opened().shipment_id for _ in range(4))
    for party in (world.maker, world.carrier, world.wholesaler):
        assert world.listed(party) == ids
    assert world.listed(world.maker, b"open", ids[1]) == ids[2:]
    assert world.listed(world.maker, b"excursion") == []
    world.refused(Code.MALFORMED, world.maker, "coldchain.list", b"MakerOrg", b"lost")


def test_a_listing_looks_at_no_more_than_its_bound(world: ColdWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "MAX_LOOKED_AT", 3)
    ids = sorted(world.opened().shipment_id for _ in range(6))
    for state, found in ((b"any", ids), (b"open", ids), (b"excursion", [])):
        first, onward = world.page(world.maker, state)
        assert (first, onward) == (found[:3], ids[2])
        assert world.page(world.maker, state, ids[2]) == (found[3:], None)
    monkeypatch.setattr(queries, "MAX_LISTED", 2)
    assert world.page(world.maker) == (ids[:2], ids[1])


def test_policies_are_kept_under_their_hash(world: ColdWorld) -> None:
    assert world.submit(world.maker, "coldchain.get-policy", POLICY.id) == POLICY.encode()
    assert world.submit(world.stranger, "coldchain.policy", POLICY.encode()) == POLICY.encode()
    assert world.ledger.event is None
    mean_alone = replace(POLICY, limits=POLICY.limits[1:])
    assert "a mean hides what froze" in world.refused(
        Code.MALFORMED, world.maker, "coldchain.policy", mean_alone.encode()
    )
    world.refused(Code.UNKNOWN_POLICY, world.maker, "coldchain.get-policy", mean_alone.id)


def test_two_loggers_are_judged_apart(world: ColdWorld) -> None:
    trip: Trip = world.opened(loggers=(logger_of(world.carrier), logger_of(world.carrier, "logger-2")))
    to_us = world.at(20)
    report = trip.report(1, to_us, course(5, 5, 5, 5), course(5, 5, 1, 5))
    world.submit(world.carrier, REPORT, *trip.reporting(report))
    assert world.event[1][3] == [["limit", 1, 0, 300]]


def test_an_explanation_does_not_cover_what_came_thereafter(world: ColdWorld) -> None:
    """A gap of minutes is explained, and then nothing is measured any more."""
    trip = world.opened()
    to_us = world.at(40)
    world.submit(world.carrier, REPORT, *trip.reporting(trip.report(1, to_us, course(5, 5))))
    world.submit(world.carrier, EXPLAIN, *trip.explaining(0, world.carrier))
    to_us = world.at(95)
    world.submit(world.carrier, REPORT, *trip.reporting(trip.report(2, to_us, course(5, 5))))
    assert [alarm.finding.figure for alarm in world.progress(trip).alarms] == [4500]
    world.refused(Code.UNEXPLAINED, world.wholesaler, RELEASE, *trip.releasing(world.wholesaler))
    world.submit(world.carrier, EXPLAIN, *trip.explaining(0, world.carrier))
    world.refused(Code.EXPLANATION_EXISTS, world.carrier, EXPLAIN, *trip.explaining(0, world.carrier))
    world.submit(world.wholesaler, RELEASE, *trip.releasing(world.wholesaler))
    assert [said.figure for said in world.explanations(trip)] == [4500]


def test_an_old_checkpoint_does_not_hide_the_last_readings(world: ColdWorld) -> None:
    """Of 64 entries, though the warm readings behind them are anchored: what is missing is less than a gap."""
    trip = world.opened()
    world.at(14)
    world.submit(world.carrier, "logs.anchor", *world.carrier.log.anchor(SIZE, SIZE + 9))
    to_us = world.at(15)
    old = trip.report(1, to_us, course(5))
    assert old.loggers[0].missing_s == 0
    world.refused(Code.BAD_REPORT, world.carrier, REPORT, *trip.reporting(old))
    new = trip.report(1, to_us, course(5, 16, 16), end=SIZE + 9)
    world.submit(world.carrier, REPORT, *trip.reporting(new))
    assert world.event[0] == "coldchain.excursion"


def test_a_closing_that_is_dated_back_cuts_nothing_off(world: ColdWorld) -> None:
    """By a recipient that wants no excursion: its reporter could report up to the closing at most."""
    world.at(30)
    trip = world.opened()
    for minutes in (-5, 0, 29):
        world.at(minutes)
        world.refused(Code.MALFORMED, world.wholesaler, CLOSE, *trip.closing(world.wholesaler))
    world.report(trip, *[5] * 8)
    world.at(31)
    world.submit(world.wholesaler, CLOSE, *trip.closing(world.wholesaler))
    closed = world.progress(trip).closed
    assert closed is not None
    assert closed.at_us == START_US + 40 * MINUTE_US  # up to where it was reported


def keys_of(world: ColdWorld, party: Party, function: str, *args: bytes) -> tuple[set[str], set[str]]:
    """What a call would read and write."""
    caller = Caller(party.actor.key.public.kid, party.organisation)
    tx = MemoryTransaction(world.ledger.state, {}, 99, caller)
    tx.timestamp_us = world.ledger.now_us or 0
    recording = Recording(tx)
    asyncio.run(contract.invoke(recording, function, args))
    return {key for key, _ in recording.reads}, {key for key, _ in recording.writes}


def test_shipments_and_anchors_never_conflict(world: ColdWorld) -> None:
    """On Fabric a call fails where a key that it read was written meanwhile."""
    one, other = world.opened(), world.opened()
    to_us = world.at(20)
    world.submit(world.carrier, "logs.anchor", *world.carrier.log.anchor(SIZE, SIZE + 9))
    reports = [trip.report(1, to_us, course(5, 5, 1, 5), end=SIZE + 9) for trip in (one, other)]
    calls = [
        (world.carrier, REPORT, trip.reporting(report)) for trip, report in zip((one, other), reports, strict=True)
    ]
    calls += [(world.wholesaler, CLOSE, trip.closing(world.wholesaler)) for trip in (one, other)]
    third = world.trip()
    calls.append((world.maker, "coldchain.open", third.opening(world.maker)))
    found = [keys_of(world, party, function, *args) for party, function, args in calls]
    for place, (reads, writes) in enumerate(found):
        assert not any(key.startswith("head/") for key in reads | writes)
        for elsewhere, (others, _) in enumerate(found):
            same_shipment = place != elsewhere and place % 2 == elsewhere % 2 and 4 not in (place, elsewhere)
            assert place == elsewhere or same_shipment or not writes & others
    assert len(found[0][1]) == 2 + len(one.units)  # progress, report, and the units that are held
