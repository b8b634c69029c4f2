"""Reports are the same from the same readings, fit together by the contract's own rules, and only grow."""

import csv
import importlib.util
import os
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.conditions.errors import ConditionsError
from chain.conditions.policies import READY_MADE, named
from chain.conditions.report import build_report, logger_report
from chain.conditions.samples import Sample, milli_celsius
from chaincode.coldchain.alarms import Cause, Finding, findings
from chaincode.coldchain.consistency import require_consistent, require_growth
from chaincode.coldchain.policy import Direction, Limit, Policy
from chaincode.coldchain.report import LoggerReport, Outside, Report
from crypto.errors import FormatError
from tests.chain.conditions.readings import MINUTE_US, POLICY, SECOND_US, START_US, any_readings, course
from tests.chain.conditions.test_mkt import by_floats

HOUR_US = 60 * MINUTE_US
LONG = 2_000 if os.environ.get("SEALTRAIL_TORTURE") == "long" else 0
PAGE = Path(__file__).resolve().parents[3] / "docs" / "formats" / "conditions.md"


def of(samples: list[Sample], to_us: int = START_US + HOUR_US, policy: Policy = POLICY) -> LoggerReport:
    return logger_report(policy, (START_US, to_us), samples)


@settings(max_examples=40)
@given(any_readings(), st.randoms())
def test_the_same_readings_in_any_order_make_the_same_bytes(samples: list[Sample], random: object) -> None:
    shuffled = [*samples, *samples[:3]]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    window, leaves = (START_US, START_US + 2 * HOUR_US), (0, 25)
    report = build_report(POLICY, 1, window, leaves, [samples, []])
    assert build_report(POLICY, 1, window, leaves, [shuffled, []]).encode() == report.encode()
    assert Report.decode(report.encode()) == report
    require_consistent(report, POLICY, 2)


@settings(max_examples=LONG or 60)
@given(any_readings(), st.lists(st.tuples(st.integers(0, 25), st.integers(1, 9000)), min_size=2, max_size=5))
def test_honest_reports_only_grow(samples: list[Sample], cuts: list[tuple[int, int]]) -> None:
    """Whatever the readings, and wherever the reports are cut: the contract refuses none of them."""
    ends, tos = (sorted(part) for part in zip(*cuts, strict=True))
    reports = [
        build_report(POLICY, n, (START_US, START_US + to * SECOND_US), (0, end), [samples])
        for n, (end, to) in enumerate(zip(ends, tos, strict=True), 1)
    ]
    for report in reports:
        require_consistent(report, POLICY, 1)
    for before, after in pairwise(reports):
        require_growth(before, after, POLICY)


def test_what_is_outside_and_for_how_long() -> None:
    found = of(course(5, 9, 9, 9, 5, 9, 16, 5, 5, 5, 5, 1))
    below, single, together, hot = found.outside
    assert below == Outside(300, 300, 300)
    assert single == Outside(900, 1500, 300)  # 15 minutes, of which 10 are allowed, and 10 more that are
    assert together == Outside(900, 1500, 300)
    assert hot == Outside(300, 300, 300)
    assert (found.count, found.least, found.most) == (12, 1_000, 16_000)
    assert (found.longest_gap_s, found.missing_s) == (300, 0)


def test_a_reading_holds_for_the_gap_and_not_longer() -> None:
    found = of(course(9) + course(9, start_us=START_US + 40 * MINUTE_US, leaf=1))
    assert (found.longest_gap_s, found.missing_s) == (2400, 1500 + 300)
    assert found.outside[1] == Outside(900, 1800, 600)  # the gap breaks the stretch


def test_no_readings_at_all() -> None:
    found = of([])
    assert (found.count, found.first_us, found.mkt, found.longest_gap_s, found.missing_s) == (0, None, None, 3600, 2700)
    assert findings(POLICY, build_report(POLICY, 1, (START_US, START_US + HOUR_US), (0, 0), [[]]), [20_700]) == [
        Finding(Cause.GAP, 0, None, 2700)
    ]


def test_faults_are_counted() -> None:
    day = course(*[5] * 12)
    again = [s._replace(leaf=s.leaf + 12, seq=s.seq + 12) for s in day]  # the same times once more
    assert (of(day + again).repeated, of(day + again).backwards, of(day + again).late) == (12, 11, 11)
    yesterday = [s._replace(leaf=s.leaf + 12, seq=s.seq + 12, time_us=s.time_us - 24 * HOUR_US) for s in day]
    assert (of(day + yesterday).repeated, of(day + yesterday).backwards) == (0, 12)
    ahead = [s._replace(received_us=s.time_us - 61 * SECOND_US) for s in day]
    assert (of(ahead).ahead, of(ahead).late) == (12, 0)
    behind = [s._replace(received_us=s.time_us + 16 * MINUTE_US) for s in day]
    assert (of(behind).ahead, of(behind).late) == (0, 12)
    report = build_report(POLICY, 1, (START_US, START_US + HOUR_US), (0, 24), [day + again, ahead, behind, day])
    found = findings(POLICY, report, [20_700, 20_700, 20_700, None])
    assert [(one.cause, one.logger, one.figure) for one in found] == [
        (Cause.CLOCK, 0, 23), (Cause.CLOCK, 1, 12), (Cause.LATE, 2, 1), (Cause.CALIBRATION, 3, 1),
    ]  # fmt: skip


def test_a_calibration_counts_to_the_end_of_its_last_day() -> None:
    day = START_US // (24 * HOUR_US)
    report = build_report(POLICY, 1, (START_US, START_US + HOUR_US), (0, 24), [course(*[5] * 12)] * 3)
    found = findings(POLICY, report, [day - 365, day - 366, None])
    assert [one.logger for one in found] == [1, 2]
    assert findings(replace(POLICY, calibration_days=None), report, [None] * 3) == []


@pytest.mark.parametrize(
    ("value", "milli"),
    [(5.0, 5_000), (5.0005, 5_000), (5.0015, 5_002), (-0.5, -500), (0.1 + 0.2, 300), (float("nan"), None),
     (float("inf"), None), (-273.15, None), (1e9, None)],
)  # fmt: skip
def test_a_temperature_is_rounded_half_to_even_by_its_decimal_form(value: float, milli: int | None) -> None:
    assert milli_celsius(value) == milli


@pytest.mark.parametrize("policy", READY_MADE.values(), ids=READY_MADE)
def test_ready_made_policies_are_read_back_and_hold_what_is_cold(policy: Policy) -> None:
    assert Policy.decode(policy.encode()) == policy
    assert named(policy.name) is policy
    assert any(not limit.direction.high for limit in policy.limits)


def test_policies_that_cannot_be() -> None:
    with pytest.raises(ConditionsError, match="refrigerated, controlled-cold"):
        named("lukewarm")
    hot = (Limit(Direction.ABOVE, 8_000),)
    for wrong in (
        replace(POLICY, limits=hot), replace(POLICY, limits=()), replace(POLICY, limits=hot * 9),
        replace(POLICY, gap_s=0), replace(POLICY, name=""), replace(POLICY, name="x" * 65),
        replace(POLICY, calibration_days=0),
        replace(POLICY, limits=(*hot, Limit(Direction.BELOW, -300_000))),
    ):  # fmt: skip
        with pytest.raises(FormatError):
            Policy.decode(wrong.encode())


WHO = READY_MADE["who-type-2"]


@pytest.mark.parametrize(
    ("celsius", "hours", "alarm"),
    [(45.0, 1, True), (44.999, 1, False), (30.0, 9, False), (30.0, 10, True), (10.0, 19, False), (10.0, 20, True),
     (9.999, 100, False), (-0.5, 1, True), (-0.499, 50, False)],
)  # fmt: skip
def test_whos_type_two(celsius: float, hours: int, alarm: bool) -> None:
    """Once the hours are full and not before; one second of rounding is against the shipment."""
    for seconds_short, expected in ((0, alarm), (2, False)):
        warm_us = hours * HOUR_US - seconds_short * SECOND_US
        samples = course(*[celsius] * hours, every_us=HOUR_US) + course(5, start_us=START_US + warm_us, leaf=hours)
        to_us = START_US + warm_us + MINUTE_US
        report = build_report(WHO, 1, (START_US, to_us), (0, 200), [samples])
        found = findings(WHO, report, [START_US // (24 * HOUR_US)])
        assert [one.cause for one in found] == ([Cause.LIMIT] if expected else [])


def test_who_counts_hours_above_thirty_together_and_above_forty_five_alone() -> None:
    def causes(*celsius: float) -> list[int | None]:
        samples = course(*celsius, every_us=30 * MINUTE_US)
        report = build_report(WHO, 1, (START_US, START_US + len(celsius) * 30 * MINUTE_US), (0, 200), [samples])
        return [one.limit for one in findings(WHO, report, [START_US // (24 * HOUR_US)])]

    assert causes(*[45, 5] * 9) == []
    assert causes(45, 45, 5) == [0]
    assert causes(*[31, 5] * 20) == [1]


def test_a_low_excursion_never_passes_on_the_mean() -> None:
    samples = course(*[5] * 100, 1, *[5] * 100)
    policy = READY_MADE["controlled-cold"]
    report = build_report(policy, 1, (START_US, START_US + 201 * 5 * MINUTE_US), (0, 201), [samples])
    assert report.loggers[0].mkt is not None
    assert report.loggers[0].mkt < 8_000
    (found,) = findings(policy, report, [START_US // (24 * HOUR_US)])
    assert (found.cause, policy.limits[found.limit or 0].direction) == (Cause.LIMIT, Direction.BELOW)


def test_the_examples_of_the_page() -> None:
    """Byte for byte, so that others can write and read them."""
    text, cold = PAGE.read_text(), READY_MADE["refrigerated"]
    report = build_report(cold, 1, (START_US, START_US + 15 * MINUTE_US), (0, 3), [course(5, 9, 5)])
    assert f"`{cold.encode().hex()}`" in text
    assert f"`{report.encode().hex()}`" in text
    for policy in READY_MADE.values():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{policy.name}` |"))
        assert f"`{policy.id.hex()[:8]}…`" in row


def real_series(name: str, vectors: Callable[[str], Path]) -> list[float]:
    """Hourly temperatures as somebody measured them, in °C."""
    if name == "nab":
        file, column = vectors("nab") / "ambient_temperature_system_failure.csv", "value"
    else:
        spec = importlib.util.find_spec("vega_datasets")
        if spec is None or spec.origin is None:
            pytest.skip("vega_datasets is not installed (extra demo)")
        file, column = Path(spec.origin).parent / "_data" / "sf-temps.csv", "temp"
    with file.open() as rows:
        return [(float(row[column]) - 32) * 5 / 9 for row in csv.DictReader(rows)][:2000]


@pytest.mark.parametrize("name", ["nab", "sf-temps"])
def test_real_temperatures(name: str, vectors: Callable[[str], Path]) -> None:
    """Every hour counts an hour on its side of each limit."""
    values = real_series(name, vectors)
    samples = course(*values, every_us=HOUR_US)
    room = READY_MADE["room-temperature"]
    limits = (Limit(Direction.ABOVE, 22_000), Limit(Direction.AT_MOST, 12_500), *room.limits)
    policy = replace(room, limits=limits)
    window = START_US, START_US + len(values) * HOUR_US
    report = build_report(policy, 1, window, (0, len(values)), [samples])
    require_consistent(report, policy, 1)
    (found,) = report.loggers
    milli = [round(value * 1000) for value in values]
    for limit, outside in zip(limits, found.outside, strict=True):
        sides = [limit.outside(value) for value in milli]
        runs = "".join("x" if side else " " for side in sides).split()
        assert outside.total_s == 3600 * sum(sides)
        assert outside.longest_s == 3600 * max(map(len, runs), default=0)
    assert (found.count, found.least, found.most, found.missing_s) == (len(values), min(milli), max(milli), 0)
    assert found.mkt is not None
    assert abs(found.mkt - by_floats([(value, 1) for value in milli])) <= 1
