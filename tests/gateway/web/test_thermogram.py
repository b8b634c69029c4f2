"""Geometry of a shipment's temperatures: what is drawn lies where the figures say."""

import pytest

from chaincode.coldchain.policy import Direction, Limit, Policy
from chaincode.coldchain.report import LoggerReport, Outside, Report
from gateway.query.readings import Bucket, Curve
from gateway.web.chart import HEIGHT, WIDTH
from gateway.web.text import span_exact
from gateway.web.thermogram import Alarms, of_readings, of_reports

MINUTE_US = 60_000_000
ABOVE, LATER = Limit(Direction.ABOVE, 8_000, allowed_s=3600), Limit(Direction.ABOVE, 15_000)
POLICY = Policy("test", (Limit(Direction.BELOW, 2_000), ABOVE, LATER), gap_s=600)
NONE = Alarms(frozenset(), ())


def _curve(*values: tuple[int, float]) -> Curve:
    """Readings at these minutes of an hour and forty minutes."""
    buckets = [Bucket(at * MINUTE_US, at * MINUTE_US, v, v, v, 1, 0) for at, v in values]
    return Curve("truck", "t", "Cel", 0, 100 * MINUTE_US, tuple(buckets))


def test_bands_say_what_is_allowed_and_for_a_time() -> None:
    drawn = of_readings(_curve((0, 5.0), (50, 16.0)), POLICY, [], NONE)
    assert [band.kind for band in drawn.bands] == ["good", "allowed"]  # above 15 °C and below 2 °C nothing is
    good, allowed = drawn.bands
    assert good.y == pytest.approx(allowed.y + allowed.height, abs=0.2)
    assert [edge.text for edge in drawn.edges] == ["below 2 °C", "above 8 °C · 1 h allowed", "above 15 °C"]


def test_a_limit_far_away_does_not_flatten_the_curve() -> None:
    drawn = of_readings(_curve((0, 5.0), (50, 6.0)), POLICY, [], NONE)
    assert [edge.text for edge in drawn.edges] == ["below 2 °C", "above 8 °C · 1 h allowed"]


def test_an_excursion_is_shaded_as_long_as_its_readings_hold() -> None:
    curve = _curve((0, 5.0), (10, 9.0), (15, 9.5), (20, 5.0), (60, 9.0))
    stretches = [
        (s.kind, s.from_us // MINUTE_US, s.to_us // MINUTE_US)
        for s in of_readings(curve, POLICY, [(20 * MINUTE_US, 60 * MINUTE_US)], Alarms(frozenset({1}), ())).stretches
    ]
    # The last reading holds for the policy's gap, and no longer.
    assert stretches == [("outside", 10, 20), ("outside", 60, 70), ("missing", 20, 60)]
    assert {s.kind for s in of_readings(curve, POLICY, [], NONE).stretches} == {"allowed"}


def test_a_curve_is_broken_where_readings_are_missing() -> None:
    drawn = of_readings(_curve((0, 5.0), (10, 5.0), (60, 5.0)), POLICY, [(10 * MINUTE_US, 60 * MINUTE_US)], NONE)
    assert drawn.line.count("M") == 2


def test_alarms_at_one_time_are_one_mark() -> None:
    times = ((0, 50 * MINUTE_US), (1, 50 * MINUTE_US + 1), (2, 90 * MINUTE_US), (3, 900 * MINUTE_US))
    marks = of_readings(_curve((0, 5.0)), POLICY, [], Alarms(frozenset(), times)).marks
    assert [(mark.numbers, mark.percent) for mark in marks] == [("0, 1", 50.0), ("2", 90.0)]


def _report(seq: int, to_min: int, most: int, above_s: int, missing_s: int) -> Report:
    outside = (Outside(0, 0, 0), Outside(above_s, above_s, 0), Outside(0, 0, 0))
    logger = LoggerReport(5, 0, MINUTE_US, 4_000, most, 5_000, outside, 60, missing_s, 0, 0, 0, 0, bytes(32))
    return Report(seq, 0, to_min * MINUTE_US, 0, 9, (logger,))


def test_reports_alone_say_in_which_of_them_something_grew() -> None:
    reports = [_report(1, 20, 6_000, 0, 0), _report(2, 40, 9_000, 300, 0), _report(3, 80, 9_000, 300, 900)]
    drawn = of_reports(reports, 0, POLICY, 100 * MINUTE_US, Alarms(frozenset({1}), ()))
    found = [(s.kind, s.from_us // MINUTE_US, s.to_us // MINUTE_US) for s in drawn.stretches]
    assert found == [("outside", 20, 40), ("missing", 40, 80)]
    assert all(0 < s.height < HEIGHT for s in drawn.stretches)  # some of that time, not all of it
    assert drawn.envelope.count("M") == 3
    assert f"H{WIDTH * 0.8}" in drawn.envelope


@pytest.mark.parametrize(("seconds", "words"), [
    (0, "0 s"), (59, "59 s"), (3600, "1 h"), (5000, "1 h 23 min"), (86_401, "1 d"), (90_000, "1 d 1 h"), (-5, "0 s"),
])  # fmt: skip
def test_spans_in_two_units_at_most(seconds: int, words: str) -> None:
    assert span_exact(seconds) == words
