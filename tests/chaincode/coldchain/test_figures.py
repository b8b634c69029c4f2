"""A reporter that bends a figure is refused where figures then contradict each other, or what it said before."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chaincode.coldchain.consistency import require_consistent, require_growth
from chaincode.coldchain.report import LoggerReport, Outside, Report
from chaincode.errors import Code
from tests.chain.conditions.readings import MINUTE_US, POLICY, START_US, course
from tests.chaincode.coldchain.world import ColdWorld

HOUR_US = 60 * MINUTE_US
REPORT = "coldchain.report"
WARM = (5, 9, 9, 9, 5, 9, 16, 5, 5, 5, 5, 1)  # three stretches, of which one is too long
Bend = Callable[[LoggerReport], dict[str, Any]]


@pytest.fixture
def world() -> ColdWorld:
    return ColdWorld.fresh()


def outside(place: int, **changes: int) -> Bend:
    """Bend a figure of one limit."""

    def bend(logger: LoggerReport) -> dict[str, Any]:
        figures = list(logger.outside)
        figures[place] = replace(figures[place], **changes)
        return {"outside": tuple(figures)}

    return bend


BENT: dict[str, Bend] = {
    "a maximum above a limit, but no time there": outside(3, longest_s=0, total_s=0, beyond_s=0),
    "time above a limit that the maximum never reached": lambda _: {"most": 14_000},
    "a minimum that hides what froze": lambda _: {"least": 3_000},
    "time below, but nothing beyond what is allowed": outside(0, beyond_s=0),
    "a long stretch that is said to be allowed": outside(1, beyond_s=0),
    "all together said to be allowed": outside(2, beyond_s=0),
    "a stretch longer than all together": outside(1, longest_s=1501),
    "more time outside than there was": outside(1, total_s=3602),
    "a mean below the coldest": lambda _: {"mkt": 900},
    "a mean above the hottest": lambda _: {"mkt": 16_001},
    "no mean": lambda _: {"mkt": None},
    "no readings, but temperatures": lambda _: {"count": 0},
    "one reading at two times": lambda _: {"count": 1},
    "more readings than entries hold": lambda _: {"count": 10**9},
    "a first reading before the window": lambda _: {"first_us": START_US - 1},
    "a last reading behind the window": lambda _: {"last_us": START_US + HOUR_US},
    "a gap longer than the window": lambda _: {"longest_gap_s": 3601, "missing_s": 3601},
    "a gap longer than allowed of which nothing is missing": lambda _: {"longest_gap_s": 901},
    "something missing without a gap": lambda _: {"missing_s": 1},
    "a gap shorter than so few readings leave": lambda _: {"longest_gap_s": 200},
    "late readings that are not there": lambda _: {"late": 13},
    "figures for fewer limits": lambda logger: {"outside": logger.outside[:3]},
    "hotter for longer than warm": outside(3, longest_s=901, total_s=1501, beyond_s=1501),
}


@pytest.mark.parametrize("bend", BENT.values(), ids=BENT)
def test_figures_that_contradict_each_other(bend: Bend) -> None:
    world = ColdWorld.fresh()
    trip = world.opened()
    to_us = world.at(60)
    good = trip.report(1, to_us, course(*WARM))
    require_consistent(good, POLICY, 1)
    bent = replace(good, loggers=(replace(good.loggers[0], **bend(good.loggers[0])),))
    world.refused(Code.BAD_REPORT, world.carrier, REPORT, *trip.reporting(bent))


def test_windows_that_run_backwards(world: ColdWorld) -> None:
    trip = world.opened()
    good = trip.report(1, world.at(60), course(*WARM))
    for changes in ({"to_us": START_US}, {"first": 65}):
        world.refused(Code.BAD_REPORT, world.carrier, REPORT, *trip.reporting(replace(good, **changes)))


def test_warm_hours_cannot_be_dropped_from_one_report_to_the_next(world: ColdWorld) -> None:
    """Each lie fits together in itself; what was reported before stands against it."""
    trip = world.opened()
    warm = course(*WARM)
    world.submit(world.carrier, REPORT, *trip.reporting(trip.report(1, world.at(60), warm)))
    later = course(*[5] * 4, start_us=START_US + HOUR_US, leaf=12)
    to_us = world.at(80)
    lies = {
        "the warm readings are gone": [sample for sample in warm if sample.milli <= 8_000] + later,
        "they were cold": [sample._replace(milli=min(sample.milli, 8_000)) for sample in warm] + later,
        "the hottest is gone": [sample for sample in warm if sample.milli <= 9_000] + later,
        "the coldest is gone": [sample for sample in warm if sample.milli >= 2_000] + later,
        "the beginning is gone": warm[1:] + later,
        "nothing was ever measured": [],
    }
    for what, samples in lies.items():
        report = trip.report(2, to_us, samples)
        require_consistent(report, POLICY, 1)
        text = world.refused(Code.SHRINKING_REPORT, world.carrier, REPORT, *trip.reporting(report))
        assert "logger 0" in text, what
    shorter = trip.report(2, START_US + HOUR_US - 1, warm)
    world.refused(Code.SHRINKING_REPORT, world.carrier, REPORT, *trip.reporting(shorter))
    other = replace(trip.report(2, to_us, warm + later), first=1)
    world.refused(Code.SHRINKING_REPORT, world.carrier, REPORT, *trip.reporting(other))
    assert world.ledger.call(
        world.carrier.actor.key.public, REPORT, *trip.reporting(trip.report(2, to_us, warm + later)),
        organisation=world.carrier.organisation,
    )  # fmt: skip


def test_fewer_entries_are_a_shorter_log(world: ColdWorld) -> None:
    trip = world.opened()
    world.submit(world.carrier, "logs.anchor", *world.carrier.log.anchor(64, 70))
    world.submit(world.carrier, REPORT, *trip.reporting(trip.report(1, world.at(5), course(5), end=70)))
    shorter = trip.report(2, world.at(5), course(5))
    world.refused(Code.SHRINKING_REPORT, world.carrier, REPORT, *trip.reporting(shorter))


def test_readings_that_came_late_may_fill_a_gap(world: ColdWorld) -> None:
    """A logger without a network: the gap was reported, then its readings came, and nothing is refused."""
    trip = world.opened()
    to_us = world.at(40)
    world.submit(world.carrier, REPORT, *trip.reporting(trip.report(1, to_us, course(5, 9))))
    came_us = world.at(50)
    rest = [sample._replace(received_us=came_us) for sample in course(5, 9, 5, 5, 5, 5, 5, 5, 5, 5)[2:]]
    filled = trip.report(2, came_us, course(5, 9) + rest)
    assert filled.loggers[0].missing_s == 0
    assert filled.loggers[0].late > 0
    assert filled.loggers[0].outside[1].total_s == 300
    world.submit(world.carrier, REPORT, *trip.reporting(filled))


def test_late_readings_explain_no_more_than_they_can(world: ColdWorld) -> None:
    """Hours outside, and then one late reading that is said to have been in their midst."""
    trip = world.opened()
    before = trip.report(1, world.at(60), course(*[9] * 12))
    world.submit(world.carrier, REPORT, *trip.reporting(before))
    (old,) = before.loggers
    later = trip.report(2, world.at(61), course(*[9] * 12))
    for late, total_s, honest in ((0, 2_000, False), (1, 2_000, False), (2, 2_000, True), (2, 1_400, False)):
        single = replace(old.outside[1], total_s=total_s, longest_s=total_s // 2, beyond_s=total_s // 2 - 600)
        together = replace(single, beyond_s=total_s - 1200)
        shrunk = old.outside[0], single, together, old.outside[3]
        lie = replace(later, loggers=(replace(later.loggers[0], late=late, outside=shrunk),))
        require_consistent(lie, POLICY, 1)
        if honest:
            require_growth(before, lie, POLICY)
        else:
            world.refused(Code.SHRINKING_REPORT, world.carrier, REPORT, *trip.reporting(lie))


def test_a_report_is_small_and_read_back() -> None:
    """The largest that can be fits its argument."""
    big, far = 2**63 - 1, Outside(2**63 - 1, 2**63 - 1, 2**63 - 1)
    logger = LoggerReport(big, big, big, -273_149, 10**6, -273_149, (far,) * 8, *[big] * 6, bytes(32))
    report = Report(big, big, big, big, big, (logger,) * 16)
    assert len(report.encode()) <= 8192
    assert Report.decode(report.encode()) == report
