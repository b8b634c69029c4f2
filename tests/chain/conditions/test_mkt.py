"""The mean kinetic temperature against its published check values and its laws."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.conditions.mkt import Held, highest_mkt, mkt
from chaincode.coldchain.policy import COLDEST, HOTTEST

HOUR_US = 3_600_000_000
temperatures = st.integers(-80_000, 60_000)
courses = st.lists(st.tuples(temperatures, st.integers(1, 10**12)), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("weighted", "expected"),
    [([(5_000, 23), (14_000, 1)], "5.646"), ([(5_000, 22), (25_000, 2)], "9.83"), ([(5_000, 20), (15_000, 4)], "7.70")],
)
def test_check_values(weighted: list[tuple[int, int]], expected: str) -> None:
    found = mkt(weighted)
    assert found is not None
    half_a_place = 0.5 * 10.0 ** -(len(expected) - 2)
    assert abs(found / 1000 - float(expected)) <= half_a_place + 0.0005
    assert mkt(weighted[::-1]) == found
    assert abs(found - by_floats(weighted)) <= 1


def by_floats(weighted: list[tuple[int, int]], rate: float = 83_144 / 8.3144) -> float:
    """The textbook formula, in m°C."""
    total = sum(weight for _, weight in weighted)
    mean = sum(weight * math.exp(-rate / (milli / 1000 + 273.15)) for milli, weight in weighted) / total
    return (rate / -math.log(mean) - 273.15) * 1000


@settings(max_examples=50)
@given(courses)
def test_it_lies_between_and_above_the_mean(weighted: list[tuple[int, int]]) -> None:
    found = mkt(weighted)
    assert found is not None
    assert min(milli for milli, _ in weighted) <= found <= max(milli for milli, _ in weighted)
    total = sum(weight for _, weight in weighted)
    assert found + 1 >= sum(milli * weight for milli, weight in weighted) / total  # heat weighs more than cold
    assert mkt([(milli, weight * 7) for milli, weight in weighted]) == found
    assert abs(found - by_floats(weighted)) <= 1


def test_without_time_there_is_none_and_extremes_are_computed() -> None:
    assert mkt([]) is None
    assert mkt([(5_000, 0)]) is None
    assert mkt([(COLDEST, 3)]) == COLDEST
    assert mkt([(COLDEST, 3), (HOTTEST, 1)]) in range(COLDEST, HOTTEST)


def test_the_activation_energy_counts() -> None:
    weighted = [(5_000, 20), (15_000, 4)]
    low, usual, high = (mkt(weighted, activation) for activation in (42_000, 83_144, 125_000))
    assert low is not None
    assert usual is not None
    assert high is not None
    assert low < usual < high


def course(*pieces: tuple[int, int]) -> list[Held]:
    """Pieces of hours and m°C, one after the other; None of them is missing."""
    held, at = [], 0
    for hours, milli in pieces:
        held.append(Held(at, at + hours * HOUR_US, milli))
        at += hours * HOUR_US
    return held


def test_over_a_window_the_worst_stretch_counts_and_not_the_last() -> None:
    held = course((48, 5_000), (24, 14_000), (100, 5_000))
    end = 172 * HOUR_US
    assert highest_mkt(held, 0, end, 24 * HOUR_US) == 14_000
    assert highest_mkt(held, 0, end, 48 * HOUR_US) == mkt([(5_000, 1), (14_000, 1)])
    assert highest_mkt(held, 0, end, None) == highest_mkt(held, 0, end, end) == mkt([(5_000, 148), (14_000, 24)])
    gap = [held[0], held[2]]  # what is missing is no temperature
    assert highest_mkt(gap, 0, end, 24 * HOUR_US) == 5_000
    assert highest_mkt([], 0, end, 24 * HOUR_US) is None


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5), temperatures), min_size=1, max_size=8), st.integers(1, 20)
)
def test_no_stretch_of_a_window_is_warmer(pieces: list[tuple[int, int, int]], window: int) -> None:
    held, at = [], 0
    for missing, span, milli in pieces:
        held.append(Held(at + missing, at + missing + span, milli))
        at += missing + span
    found = highest_mkt(held, 0, at, window)
    slow = [
        mkt([(piece.milli, max(0, min(piece.end_us, end) - max(piece.start_us, end - window))) for piece in held])
        for end in range(min(window, at), at + 1)
    ]
    assert found == max((value for value in slow if value is not None), default=None)
