"""Builds a condition report from readings: the same readings make the same bytes, in whatever order they come.

A reading holds from its own time until the next one, and no longer than the policy's gap; what is beyond is missing,
and never a temperature. Every rule and rounding: docs/formats/conditions.md. Pure.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from chain.conditions.mkt import Held, highest_mkt
from chain.conditions.samples import Sample, digest
from chaincode.coldchain.consistency import seconds
from chaincode.coldchain.policy import Limit, Mode, Policy
from chaincode.coldchain.report import LoggerReport, Outside, Report

SECOND_US = 1_000_000


def build_report(
    policy: Policy, seq: int, window_us: tuple[int, int], leaves: tuple[int, int], samples: Sequence[Iterable[Sample]]
) -> Report:
    """Report `seq` of a window (from, to) and a range of entries (first, end). `samples`: for each logger of the
    shipment, in its order, all readings of these entries; those of other entries are left out."""
    first, end = leaves
    loggers = tuple(
        logger_report(policy, window_us, [sample for sample in one if first <= sample.leaf < end]) for one in samples
    )
    return Report(seq, *window_us, first, end, loggers)


def logger_report(policy: Policy, window_us: tuple[int, int], samples: Iterable[Sample]) -> LoggerReport:
    """The figures of one logger."""
    from_us, to_us = window_us
    # 1. By their place in the log, each once.
    logged = sorted({}.fromkeys(samples))
    within = [sample for sample in logged if from_us <= sample.time_us < to_us]
    # 2. Of several with one time the first that was logged counts; the others are a fault.
    used = sorted({sample.time_us: sample for sample in reversed(within)}.values(), key=lambda sample: sample.time_us)
    times = [sample.time_us for sample in used]
    # 3. What holds how long, and what is missing.
    gap_us = policy.gap_s * SECOND_US
    held = list(_held(used, gap_us, to_us))
    intervals = [end - start for start, end in pairwise((from_us, *times, to_us))]
    window = policy.mkt.window_s * SECOND_US if policy.mkt and policy.mkt.window_s else None
    return LoggerReport(
        len(used),
        times[0] if times else None,
        times[-1] if times else None,
        min((sample.milli for sample in used), default=None),
        max((sample.milli for sample in used), default=None),
        highest_mkt(held, from_us, to_us, window, policy.activation),
        tuple(_outside(held, limit) for limit in policy.limits),
        seconds(max(intervals)),
        seconds(sum(max(0, interval - gap_us) for interval in intervals)),
        _late(logged, gap_us, window_us),
        _backwards(logged),
        len(within) - len(used),
        sum(sample.time_us > sample.received_us + policy.clock_s * SECOND_US for sample in logged),
        digest(logged),
    )


def _held(used: Sequence[Sample], gap_us: int, to_us: int) -> Iterator[Held]:
    following = [sample.time_us for sample in used[1:]] + [to_us]
    for sample, end_us in zip(used, following, strict=False):  # without readings there is an end alone
        yield Held(sample.time_us, min(end_us, sample.time_us + gap_us), sample.milli)


def _outside(held: Sequence[Held], limit: Limit) -> Outside:
    stretches = [end - start for start, end in _stretches(held, limit)]
    total, allowed_us = sum(stretches), limit.allowed_s * SECOND_US
    if limit.mode is Mode.SINGLE:
        beyond = sum(max(0, stretch - allowed_us) for stretch in stretches)
    else:
        beyond = max(0, total - allowed_us)
    return Outside(seconds(max(stretches, default=0)), seconds(total), seconds(beyond))


def _stretches(held: Sequence[Held], limit: Limit) -> Iterator[tuple[int, int]]:
    """Times outside the limit without a break; missing time breaks them."""
    start = end = -1
    for piece in held:
        if not limit.outside(piece.milli):
            continue
        if piece.start_us != end:
            if end >= 0:
                yield start, end
            start = piece.start_us
        end = piece.end_us
    if end >= 0:
        yield start, end


def _late(logged: Sequence[Sample], gap_us: int, window_us: tuple[int, int]) -> int:
    """How many within the window were logged behind one of a later time, or received long after they were sensed."""
    late, newest = 0, -1
    for sample in logged:
        if window_us[0] <= sample.time_us < window_us[1]:
            late += sample.time_us < newest or sample.received_us - sample.time_us > gap_us
        newest = max(newest, sample.time_us)
    return late


def _backwards(logged: Sequence[Sample]) -> int:
    """How many are of an earlier time than one that their source numbered before them."""
    backwards, newest = 0, -1
    for sample in sorted(logged, key=lambda sample: (sample.boot, sample.seq, sample.row)):
        backwards += sample.time_us < newest
        newest = max(newest, sample.time_us)
    return backwards
