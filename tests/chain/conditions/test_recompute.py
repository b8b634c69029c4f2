"""A carrier lies about a shipment in every way it can: the contract refuses, or two numbers stand side by side.

Each attack is performed on a real gateway with loggers that sign. Who is given the carrier's file computes everything
again, offline, and trusts the keys of its policy alone.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from chain.conditions import exporting
from chain.conditions.bundle import parse_bundle
from chain.conditions.cli import verdict
from chain.conditions.opened import Opened, open_bundle
from chain.conditions.policies import named
from chain.conditions.printed import as_json, as_text
from chain.conditions.recompute import Judgement, Recomputation, recompute
from chain.conditions.report import build_report
from chaincode.coldchain.alarms import Cause
from chaincode.coldchain.consistency import require_consistent
from chaincode.coldchain.records import Progress
from chaincode.coldchain.report import Report
from chaincode.errors import Code, ContractError
from tests.chain.conditions.carrier import Carrier
from tests.chain.conditions.readings import MINUTE_US, START_US
from tests.support.site import Site

DAY_MINUTES = 1440
WARM = (5, 5, 9, 9, 9, 9, 5, 5, 5, 5, 5, 5)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("carrier") / "site") as made:
        yield made


@pytest.fixture
def carrier(site: Site) -> Carrier:
    return Carrier(site)


def checked(carrier: Carrier) -> tuple[str, Recomputation, Opened]:
    """What somebody finds who has the file and the policy."""
    opened = open_bundle(parse_bundle(carrier.bundle()), carrier.site.policy)
    assert opened.case is not None, opened.steps
    found = recompute(opened.case)
    return verdict(opened, found)[1], found, opened


def judged(found: Recomputation) -> list[tuple[Cause, int | None, Judgement]]:
    return [(one.cause, one.logger, one.judgement) for one in found.alarms]


def numbers(found: Recomputation, report: int = 1) -> dict[str, tuple[Any, Any]]:
    """The figures that differ: as reported, as recomputed."""
    return {name: (said, again) for _, name, said, again in found.reports[report - 1].differences()}


def refused(carrier: Carrier, code: Code, report: Report) -> None:
    with pytest.raises(ContractError) as caught:
        carrier.submit(report)
    assert caught.value.code is code, caught.value


def test_an_honest_carrier(carrier: Carrier) -> None:
    carrier.measure(carrier.truck, 5, 5, 5, 5)
    carrier.open()
    assert not carrier.submit(carrier.report(1, 20)).held
    carrier.measure(carrier.truck, 9, 9, 9, 9, 5, start=20)
    assert carrier.submit(carrier.report(2, 45)).held
    result, found, opened = checked(carrier)
    assert result == "agrees"
    assert judged(found) == [(Cause.LIMIT, 0, Judgement.RIGHT)]
    text = as_text(opened, found, result)
    assert "alarm limit of logger 0 (above 8 °C over 600 s): right: reported with 600 s too long by report 2" in text
    assert text.endswith("result: agrees")
    shown = as_json(opened, found, result)
    assert shown["reports"][1]["loggers"][0]["recomputed"]["most"] == 9_000
    assert shown["alarms"][0]["judgement"] == "right"


def test_yesterdays_readings_again(carrier: Carrier) -> None:
    """The logger is made to send its cool day once more, with new numbers: times run backwards against numbers."""
    carrier.measure(carrier.truck, *[5] * 6, start=-DAY_MINUTES)
    carrier.measure(carrier.truck, 5, 5, 5)
    carrier.open()
    carrier.measure(carrier.truck, *[5] * 3, start=15 - DAY_MINUTES, delay=DAY_MINUTES)
    honest = carrier.report(1, 30)
    assert honest.loggers[0].backwards == 3
    # It says nothing of it. What is missing today stays missing, and the figures are not those of the entries.
    lie = replace(honest, loggers=(replace(honest.loggers[0], backwards=0),))
    assert [alarm.finding.cause for alarm in carrier.submit(lie).alarms] == [Cause.GAP]
    result, found, _ = checked(carrier)
    assert result == "differs"
    assert numbers(found) == {"backwards": (0, 3)}
    assert judged(found) == [(Cause.GAP, 0, Judgement.RIGHT), (Cause.CLOCK, 0, Judgement.SUPPRESSED)]


def test_yesterdays_readings_under_todays_times(carrier: Carrier) -> None:
    """The same times twice, from a device that was restarted."""
    carrier.measure(carrier.truck, 5, 9, 9, 9, 9, 5)
    carrier.truck.restart()
    carrier.measure(carrier.truck, *[5] * 6)
    carrier.open()
    lie = carrier.report(1, 30, [[sample for sample in carrier.samples()[0] if sample.boot == 2]])
    assert not carrier.submit(lie).held
    result, found, _ = checked(carrier)
    assert result == "differs"
    assert numbers(found)["most"] == (5_000, 9_000)
    assert numbers(found)["repeated"] == (0, 6)
    assert (Cause.CLOCK, 0, Judgement.SUPPRESSED) in judged(found)
    assert (Cause.LIMIT, 0, Judgement.SUPPRESSED) in judged(found)


def test_the_warm_hours_are_dropped_from_the_report(carrier: Carrier) -> None:
    carrier.measure(carrier.truck, *WARM)
    carrier.open()
    warm = carrier.samples()[0]
    lie = carrier.report(1, 60, [[sample for sample in warm if sample.milli <= 8_000]])
    assert lie.loggers[0].missing_s  # what is not there is missing
    assert carrier.submit(lie).held
    result, found, opened = checked(carrier)
    assert result == "differs"
    assert numbers(found)["most"] == (5_000, 9_000)
    assert numbers(found)["limit 1 longest_s"] == (0, 1200)
    assert (Cause.LIMIT, 0, Judgement.SUPPRESSED) in judged(found)
    assert (Cause.GAP, 0, Judgement.FALSE) in judged(found)
    assert f"{'maximum °C':<44} {'5.000':>22} {'9.000':>22}  ≠" in as_text(opened, found, "")


def test_the_warm_hours_are_dropped_once_they_were_reported(carrier: Carrier) -> None:
    carrier.measure(carrier.truck, *WARM)
    carrier.open()
    carrier.submit(carrier.report(1, 60))
    carrier.measure(carrier.truck, 5, 5, start=60)
    cold = [[sample for sample in carrier.samples()[0] if sample.milli <= 8_000]]
    refused(carrier, Code.SHRINKING_REPORT, carrier.report(2, 70, cold))


def test_the_warm_hours_are_left_out_of_the_file(carrier: Carrier) -> None:
    """The carrier gives a file without the warm records: their numbers are missing between the others."""
    carrier.measure(carrier.truck, *WARM)
    carrier.open()
    carrier.submit(carrier.report(1, 60))
    whole = exporting._leaves

    def without_warm(*args: Any) -> tuple[list[int], list[int]]:
        warm = {sample.leaf for sample in carrier.samples()[0] if sample.milli > 8_000}
        readings, others = whole(*args)
        return [leaf for leaf in readings if leaf not in warm], others

    exporting._leaves = without_warm
    try:
        result, _, opened = checked(carrier)
    finally:
        exporting._leaves = whole
    assert result == "incomplete"
    assert f"{carrier.truck.name}, boot 1: numbers 2 to 5" in opened.steps[-1].text


def test_warm_minutes_behind_the_last_reports_entries(carrier: Carrier) -> None:
    """The last report before the goods are handed over is of a checkpoint some minutes old: what came since is less
    than a gap, so the figures say nothing. The readings do, as soon as no report is to come any more."""
    carrier.measure(carrier.truck, *[5] * 11)
    carrier.open(carrier.truck)
    carrier.at(56)
    carrier.measure(carrier.truck, 5, start=55)
    carrier.site.drain()
    cut = carrier.anchored()
    carrier.measure(carrier.truck, *[16] * 4, start=56, every=1)
    carrier.measure(carrier.truck, 5, start=61)
    honest = carrier.report(1, 60)
    lie = build_report(carrier.policy, 1, (START_US, carrier.at(60)), (carrier.first, cut), carrier.samples())
    assert honest.loggers[0].most == 16_000
    assert not carrier.submit(lie).held
    assert checked(carrier)[0] == "agrees"  # more reports are to come, and say it
    carrier.close()
    result, found, opened = checked(carrier)
    assert opened.case is not None
    assert opened.case.ends() == []  # its next reading shows that none was left out
    assert result == "differs"
    assert {one.judgement for one in found.alarms} == {Judgement.SUPPRESSED}
    assert Cause.LIMIT in [one.cause for one in found.alarms]


def test_the_end_of_a_file_is_told(carrier: Carrier) -> None:
    """What followed a number, nobody can tell from a file that ends there; a boot that begins late lost numbers."""
    carrier.measure(carrier.truck, 5, 5)
    carrier.truck.restart()
    carrier.measure(carrier.truck, 5, 5, start=10)
    carrier.open()
    carrier.submit(carrier.report(1, 20))
    _, _, opened = checked(carrier)
    name = carrier.truck.name
    assert opened.case is not None
    assert opened.case.ends() == [f"{name}, boot 1, number 1", f"{name}, boot 2, number 1"]
    assert f"whether more followed is not shown behind {name}, boot 1, number 1" in opened.steps[-1].text
    records = tuple(one for one in opened.case.records if (one.record.boot, one.record.seq) != (2, 0))
    assert replace(opened.case, records=records).holes() == [f"{name}, boot 2: numbers 0 to 0"]
    assert replace(opened.case, records=()).ends() == [f"anything of {name}"]


def test_a_clock_that_is_set_forward_and_back(carrier: Carrier) -> None:
    carrier.measure(carrier.truck, 5, 5, 5)
    carrier.measure(carrier.truck, 5, 5, start=45, delay=-30)  # half an hour ahead of time
    carrier.measure(carrier.truck, 5, 5, start=25)  # and back
    carrier.open()
    honest = carrier.report(1, 60)
    assert (honest.loggers[0].ahead, honest.loggers[0].backwards) == (2, 2)
    lie = replace(honest, loggers=(replace(honest.loggers[0], ahead=0, backwards=0, late=0),))
    assert Cause.CLOCK not in [alarm.finding.cause for alarm in carrier.submit(lie).alarms]
    result, found, _ = checked(carrier)
    assert result == "differs"
    assert numbers(found)["ahead"] == (0, 2)
    assert numbers(found)["backwards"] == (0, 2)
    assert (Cause.CLOCK, 0, Judgement.SUPPRESSED) in judged(found)


def test_a_clock_that_is_behind_all_the_time(carrier: Carrier) -> None:
    carrier.measure(carrier.truck, *[5] * 6, delay=45)
    carrier.open()
    assert [alarm.finding.cause for alarm in carrier.submit(carrier.report(1, 30)).alarms] == [Cause.LATE]


def test_two_loggers_are_swapped(carrier: Carrier) -> None:
    """The depot was cold and the truck was not: each record names its source, so the figures belong to one of them."""
    carrier.measure(carrier.truck, *WARM)
    carrier.measure(carrier.depot, *[5] * 12)
    carrier.open(carrier.truck, carrier.depot)
    true = carrier.report(1, 60)
    lie = replace(true, loggers=true.loggers[::-1])
    carrier.submit(lie)
    result, found, opened = checked(carrier)
    assert result == "differs"
    assert found.reports[0].swapped == {0: 1, 1: 0}
    assert judged(found)[:2] == [(Cause.LIMIT, 1, Judgement.FALSE), (Cause.LIMIT, 0, Judgement.SUPPRESSED)]
    assert "these are the figures of logger 1: the two were swapped" in as_text(opened, found, result)


def test_a_mean_over_the_wrong_range(carrier: Carrier) -> None:
    """The report begins behind the warm hours of the log, and its mean is that of the cool rest."""
    carrier.measure(carrier.truck, 9, 9)
    carrier.measure(carrier.truck, *[5] * 10, start=10)
    carrier.open()
    lie = carrier.report(1, 60, skip=2)
    require_consistent(lie, carrier.policy, 1)
    assert not carrier.submit(lie).held  # a little less than the gap that is allowed
    result, found, opened = checked(carrier)
    assert result == "differs"
    assert found.reports[0].left_out == 2
    assert "2 readings of this time lie before the report's entries" in as_text(opened, found, result)
    other = carrier.report(2, 60)
    refused(carrier, Code.SHRINKING_REPORT, other)


def test_a_mean_that_was_never_computed(carrier: Carrier) -> None:
    policy = named("controlled-cold")
    carrier.measure(carrier.truck, *[9] * 12)
    carrier.open(policy=policy)
    true = carrier.report(1, 60)
    lie = replace(true, loggers=(replace(true.loggers[0], mkt=7_900, least=7_900),))
    assert carrier.submit(lie).alarms == ()
    result, found, _ = checked(carrier)
    assert result == "differs"
    assert numbers(found)["mkt"] == (7_900, 9_000)
    assert judged(found) == [(Cause.MKT, 0, Judgement.SUPPRESSED)]


def test_an_alarm_that_comes_late(carrier: Carrier) -> None:
    carrier.measure(carrier.truck, *WARM[:6])
    carrier.open()
    true = carrier.report(1, 30)
    cold = [[sample._replace(milli=min(sample.milli, 8_000)) for sample in carrier.samples()[0]]]
    carrier.submit(carrier.report(1, 30, cold))
    carrier.measure(carrier.truck, *WARM[6:], start=30)
    assert true.loggers[0].outside[1].beyond_s == 600
    assert carrier.submit(carrier.report(2, 60)).held
    result, found, _ = checked(carrier)
    assert result == "differs"
    (one,) = found.alarms
    assert (one.judgement, one.said and one.said.seq, one.shown and one.shown.seq) == (Judgement.LATE, 2, 1)


def test_a_false_alarm(carrier: Carrier) -> None:
    """To have goods held that were cold: a reporter can, and its figures are not those of the entries."""
    carrier.measure(carrier.truck, *[5] * 12)
    carrier.open()
    hot = [[sample._replace(milli=16_000 if sample.row == 0 else 0) for sample in carrier.samples()[0]]]
    assert carrier.submit(carrier.report(1, 60, hot)).held
    result, found, _ = checked(carrier)
    assert result == "differs"
    assert {judgement for _, _, judgement in judged(found)} == {Judgement.FALSE}
    assert numbers(found)["most"] == (16_000, 5_000)


def test_readings_that_were_invented(carrier: Carrier) -> None:
    """A gap is filled with readings of no entry. That they are not left out of the file, only a record behind the
    report's entries shows; without one the file is not whole, and proves nothing."""
    carrier.measure(carrier.truck, *[5] * 6)
    carrier.measure(carrier.truck, *[5] * 3, start=45)
    carrier.open()
    true = carrier.samples()[0]
    times = [true[5].time_us + n * 5 * MINUTE_US for n in range(1, 4)]
    filled = [true[5]._replace(row=n, time_us=us, received_us=us) for n, us in enumerate(times, 1)]
    lie = carrier.report(1, 60, [[*true, *filled]])
    assert not carrier.submit(lie).held
    result, _, opened = checked(carrier)
    assert result == "incomplete"
    assert "report 1 is of 12 readings of logger 0" in opened.steps[-1].text
    carrier.measure(carrier.truck, 5, start=60)
    carrier.site.drain()
    result, found, _ = checked(carrier)
    assert result == "differs"
    assert numbers(found)["count"] == (12, 9)
    assert (Cause.GAP, 0, Judgement.SUPPRESSED) in judged(found)


def test_a_report_that_is_suppressed(carrier: Carrier) -> None:
    carrier.measure(carrier.truck, *WARM)
    carrier.open()
    carrier.at(61)
    assert Progress.decode(carrier.call("overdue", carrier.shipment)).held
    result, found, opened = checked(carrier)
    assert result == "agrees"  # the ledger says that nothing was reported, and nothing was
    assert "alarm overdue: right: reported with nothing since 2026-11-23T06:00:00+00:00" in as_text(
        opened, found, result
    )
    assert judged(found) == [(Cause.OVERDUE, None, Judgement.RIGHT)]
    # It comes after all: the alarm stays right.
    assert carrier.submit(carrier.report(1, 62)).seq == 1
    _, found, _ = checked(carrier)
    assert judged(found) == [(Cause.LIMIT, 0, Judgement.RIGHT), (Cause.OVERDUE, None, Judgement.RIGHT)]


def test_somebody_says_too_early_that_a_report_is_missing(carrier: Carrier) -> None:
    """By a clock that is ahead; the report then came in time, as its own call says."""
    carrier.measure(carrier.truck, *[5] * 6)
    carrier.open()
    carrier.at(61)
    carrier.call("overdue", carrier.shipment)
    carrier.submit(carrier.report(1, 30))
    result, found, _ = checked(carrier)
    assert judged(found) == [(Cause.OVERDUE, None, Judgement.FALSE)]
    assert result == "differs"
