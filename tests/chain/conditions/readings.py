"""Readings as a gateway stores them, made by tests."""

from hypothesis import strategies as st

from chain.conditions.samples import Sample
from chaincode.coldchain.policy import Direction, Limit, MktLimit, Mode, Policy

START_US = 1_795_413_600_000_000
SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
POLICY = Policy(
    "test",
    (
        Limit(Direction.BELOW, 2_000), Limit(Direction.ABOVE, 8_000, Mode.SINGLE, 600),
        Limit(Direction.ABOVE, 8_000, Mode.CUMULATIVE, 1200), Limit(Direction.AT_LEAST, 15_000),
    ),
    MktLimit(8_000, window_s=3600), gap_s=900, interval_s=3600, clock_s=60,
)  # fmt: skip


def course(*celsius: float, every_us: int = 5 * MINUTE_US, start_us: int = START_US, leaf: int = 0) -> list[Sample]:
    """Readings one after the other, each in a record of its own, received at once."""
    return [
        Sample(
            leaf + n, 0, start_us + n * every_us, round(value * 1000), 1, leaf + n, start_us + n * every_us + SECOND_US
        )
        for n, value in enumerate(celsius)
    ]


@st.composite
def any_readings(draw: st.DrawFn) -> list[Sample]:
    """Readings of one logger with everything that can be wrong with them: late, doubled, backwards, ahead."""
    count = draw(st.integers(0, 25))
    found = []
    for leaf in range(count):
        time_us = START_US + draw(st.integers(-1200, 7200)) * SECOND_US + draw(st.integers(0, 1))
        delay_us = draw(st.integers(-120, 2400)) * SECOND_US
        milli = draw(st.sampled_from([-1_000, 1_999, 2_000, 5_000, 8_000, 8_001, 14_999, 15_000, 16_000]))
        seq = draw(st.integers(0, 30))
        found.append(Sample(leaf, draw(st.integers(0, 1)), time_us, milli, 1, seq, time_us + delay_us))
    return found
