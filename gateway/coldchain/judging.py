"""What a gateway decides by itself: whether a report would tell something new, and when to look again. Pure.

The contract judges; this foresees its judgement (chaincode.coldchain.holding.keep), so that what is an excursion is
reported at once and what is known is not reported over and over.
"""

from collections.abc import Sequence

from chaincode.coldchain.alarms import Cause, Finding, findings
from chaincode.coldchain.policy import Policy
from chaincode.coldchain.records import Progress, Shipment
from chaincode.coldchain.report import Report

SECOND_US = 1_000_000
OUTSIDE_LOOK_S = 30  # how often at least one looks while a temperature is outside and still allowed


def fresh(shipment: Shipment, policy: Policy, progress: Progress, report: Report) -> list[Finding]:
    """The findings that would raise an alarm that is not there yet."""
    found = findings(policy, report, [logger.calibrated for logger in shipment.loggers])
    return [finding for finding in found if _is_fresh(progress, finding)]


def _is_fresh(progress: Progress, finding: Finding) -> bool:
    for alarm in reversed(progress.alarms):
        known = alarm.finding
        if (known.cause, known.logger, known.limit) == (finding.cause, finding.logger, finding.limit):
            return finding.figure > known.figure and not progress.held
    return True


def outside_now(policy: Policy, milli: Sequence[int]) -> bool:
    """Whether one of these temperatures (m°C) is outside a limit that allows no time at all."""
    return any(limit.allowed_s == 0 and limit.outside(value) for limit in policy.limits for value in milli)


def report_due_us(shipment: Shipment, policy: Policy, progress: Progress) -> int:
    """When the next report is made although nothing happened: at half of the time that there is for it."""
    since_us = progress.through_us if progress.seq else max(progress.through_us, shipment.opened_us)
    return since_us + policy.interval_s * SECOND_US // 2


def next_look_us(
    shipment: Shipment, policy: Policy, progress: Progress, report: Report, newest_us: Sequence[int | None], now_us: int
) -> int:  # fmt: skip
    """When something may have changed although no reading came: a report is due, a gap begins, or the time outside a
    limit is used up."""
    moments = [report_due_us(shipment, policy, progress)]
    told = {alarm.finding.logger for alarm in progress.alarms if alarm.finding.cause is Cause.GAP and progress.held}
    for place, newest in enumerate(newest_us):
        gap_us = (shipment.from_us if newest is None else newest) + (policy.gap_s + 1) * SECOND_US
        if gap_us > now_us and place not in told:
            moments.append(gap_us)
    if any(outside.total_s and not outside.beyond_s for one in report.loggers for outside in one.outside):
        moments.append(now_us + min(OUTSIDE_LOOK_S, _shortest_s(policy)) * SECOND_US)
    return min(moments)


def _shortest_s(policy: Policy) -> int:
    """A twentieth of the shortest time that a limit allows, so that its end is noticed soon."""
    return max(1, min((limit.allowed_s for limit in policy.limits if limit.allowed_s), default=1) // 20)


def end_us(shipment: Shipment, policy: Policy, progress: Progress, newest: Sequence[int | None], now_us: int) -> int:
    """Up to when the next report is: now; the newest reading, where that logger's clock is a little ahead; or the
    closing of the shipment."""
    if progress.closed is not None:
        return progress.closed.at_us
    ahead_us = now_us + policy.clock_s * SECOND_US
    readings = [us + 1 for us in newest if us is not None and us < ahead_us]
    return max(now_us, progress.through_us, shipment.from_us + 1, *readings)
