"""Schedules of subscriptions, against the plain reading: look at every second."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.enquiry.errors import ScheduleError
from gateway.enquiry.schedule import FIELDS, parsed_schedule

START = datetime(2026, 11, 28, 23, 58, 30, tzinfo=UTC)


def _number(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    pair = st.tuples(number, number).map(sorted)
    return (
        number.map(str)
        | pair.map(lambda p: f"[{p[0]}-{p[1]}]")
        | st.tuples(number, number).map(lambda p: f"{p[0]},{p[1]}")
    )


@given(second=_number(0, 59), minute=_number(0, 59), hour=_number(0, 23), offset=st.integers(0, 100_000))
def test_the_next_moment_is_the_first_that_fits(second: str, minute: str, hour: str, offset: int) -> None:
    schedule = parsed_schedule({"second": second, "minute": minute, "hour": hour})
    moment = START + timedelta(seconds=offset)
    found = datetime.fromtimestamp(schedule.next(int(moment.timestamp()) * 1_000_000) / 1e6, UTC)
    fits = schedule.allowed
    day = moment.replace(hour=0, minute=0, second=0)
    all_of_day = [
        (h, m, s) for h in sorted(fits["hour"]) for m in sorted(fits["minute"]) for s in sorted(fits["second"])
    ]
    candidates = (day + timedelta(days=d, hours=h, minutes=m, seconds=s) for d in (0, 1) for h, m, s in all_of_day)
    assert found == next(c for c in candidates if c > moment)


@pytest.mark.parametrize(("given_", "wanted"), [
    ({"hour": "1", "minute": "5"}, "2026-11-29T01:05:00"), ({"minute": "5"}, "2026-11-29T00:05:00"),
    ({"second": "0/30"}, "2026-11-28T23:59:00"), ({"dayOfWeek": "1"}, "2026-11-30T00:00:00"),
    ({"dayOfMonth": "29", "month": "2"}, "2028-02-29T00:00:00"), ({"month": "1"}, "2027-01-01T00:00:00"),
    ({"hour": "[22-23]", "second": "31"}, "2026-11-28T23:58:31"),
])  # fmt: skip
def test_what_is_not_said(given_: dict[str, str], wanted: str) -> None:
    """Coarser fields match everything, finer ones are at their beginning."""
    found = parsed_schedule(given_).next(int(START.timestamp()) * 1_000_000)
    assert datetime.fromtimestamp(found / 1e6, UTC).isoformat()[:19] == wanted


@pytest.mark.parametrize("given_", [
    {}, {"hours": "1"}, {"hour": ""}, {"hour": "24"}, {"minute": "-1"}, {"second": "0/0"}, {"dayOfWeek": "0"},
    {"hour": "[5-2]"}, {"dayOfMonth": "31", "month": "4"}, {"hour": "1;2"}, {"hour": "١"},
])  # fmt: skip
def test_what_is_no_schedule(given_: dict[str, str]) -> None:
    assert not set(given_) - {*FIELDS, "hours"}
    with pytest.raises(ScheduleError):
        parsed_schedule(given_)
