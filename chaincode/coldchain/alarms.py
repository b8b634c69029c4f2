"""What of a consistent report is an excursion. The contract decides this itself, and anybody decides the same again.

Pure, and of integers alone. A finding's `figure` is what grows when the same thing happens once more, so that after a
release only new trouble raises a new alarm.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from chaincode.coldchain.policy import Policy
from chaincode.coldchain.report import LoggerReport, Report

DAY_US = 86_400_000_000


class Cause(StrEnum):
    """Why a shipment's units are held."""

    LIMIT = "limit"  # longer outside a limit than allowed; figure: seconds beyond
    MKT = "mkt"  # the mean kinetic temperature; figure: m°C
    GAP = "gap"  # too long without a reading; figure: seconds missing
    CLOCK = "clock"  # readings that run backwards, were there before, or are ahead of time; figure: how many
    LATE = "late"  # every reading came late: it is no watch over the goods; figure: 1
    CALIBRATION = "calibration"  # it ran out, or was never given; figure: 1
    OVERDUE = "overdue"  # no report in time; figure: seconds since 1970 up to which was reported


MISSING = (Cause.GAP, Cause.OVERDUE)  # missing data is an excursion until it is explained


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: with which logger and limit (their places, None: of the whole shipment)."""

    cause: Cause
    logger: int | None
    limit: int | None
    figure: int


def findings(policy: Policy, report: Report, calibrations: Sequence[int | None]) -> list[Finding]:
    """All that is wrong by this policy. `calibrations`: for each logger the day of its calibration (days since 1970),
    None where none was given."""
    found: list[Finding] = []
    for place, (logger, calibrated) in enumerate(zip(report.loggers, calibrations, strict=True)):
        found += _of_logger(policy, logger, place)
        if ran_out(policy, calibrated, report.to_us):
            found.append(Finding(Cause.CALIBRATION, place, None, 1))
    return found


def _of_logger(policy: Policy, logger: LoggerReport, place: int) -> Iterator[Finding]:
    for number, outside in enumerate(logger.outside):
        if outside.beyond_s:
            yield Finding(Cause.LIMIT, place, number, outside.beyond_s)
    if policy.mkt and logger.mkt is not None and logger.mkt > policy.mkt.most:
        yield Finding(Cause.MKT, place, None, logger.mkt)
    if logger.missing_s:
        yield Finding(Cause.GAP, place, None, logger.missing_s)
    faults = logger.backwards + logger.repeated + logger.ahead
    if faults:
        yield Finding(Cause.CLOCK, place, None, faults)
    if logger.count and logger.late == logger.count + logger.repeated:
        yield Finding(Cause.LATE, place, None, 1)


def ran_out(policy: Policy, calibrated: int | None, at_us: int) -> bool:
    """Whether a calibration of that day counts no more at this time: it does to the end of its last day."""
    if policy.calibration_days is None:
        return False
    return calibrated is None or at_us > (calibrated + policy.calibration_days + 1) * DAY_US
