"""What a gateway decides by itself: whether a report would tell something new, and when to look again. Pure.

The contract judges; this foresees its judgement (chaincode.coldchain.holding.keep), so that what is an excursion is
reported at once and what is known is not reported over and over.
"""

from collections.abc import Sequence

from chain.conditions.samples import Sample
from chaincode.coldchain.alarms import Cause, Finding, findings
from chaincode.coldchain.policy import Limit, Policy
from chaincode.coldchain.records import Progress, Shipment
from chaincode.coldchain.report import Report

SECOND_US = 1_000_000
OUTSIDE_LOOK_S = 30  # how often at least one looks while a temperature is outside and still allowed


def worth_telling(
    shipment: Shipment, policy: Policy, progress: Progress, report: Report, outside: bool, now_us: int
) -> bool:  # fmt: skip
    """Whether a report should be made before its time. What is new is told at once. What only grew while the units are
    held is told when it is over, and now and then before: a release shall know how bad it was. `outside`: whether a
    newest reading is outside a limit."""
    found = findings(policy, report, [logger.calibrated for logger in shipment.loggers])
    grown = [finding for finding in found if finding.figure > _known(progress, finding)]
    if not progress.held:
        return bool(grown)
    new = any(_known(progress, finding) < 0 for finding in grown)
    quiet = not outside and all(finding.cause is not Cause.GAP for finding in grown)
    return new or (bool(grown) and (quiet or now_us >= progress.through_us + _growing_us(policy)))


def _known(progress: Progress, finding: Finding) -> int:
    """The figure that the ledger has of the same trouble, -1 where it has none."""
    for alarm in reversed(progress.alarms):
        known = alarm.finding
        if (known.cause, known.logger, known.limit) == (finding.cause, finding.logger, finding.limit):
            return known.figure
    return -1


def _growing_us(policy: Policy) -> int:
    """How often what grows is told: an eighth of the time between reports, a minute at least."""
    return max(60, policy.interval_s // 8) * SECOND_US


def outside_now(policy: Policy, milli: Sequence[int]) -> bool:
    """Whether one of these temperatures (m°C) is outside a limit that allows no time at all."""
    return any(limit.allowed_s == 0 and limit.outside(value) for limit in policy.limits for value in milli)


def outside_any(policy: Policy, newest: Sequence[Sample | None]) -> bool:
    """Whether one of these readings is outside a limit, allowed for a while or not."""
    return any(_outside(limit, newest) for limit in policy.limits)


def report_due_us(shipment: Shipment, policy: Policy, progress: Progress) -> int:
    """When the next report is made although nothing happened: at half of the time that there is for it."""
    since_us = progress.through_us if progress.seq else max(progress.through_us, shipment.opened_us)
    return since_us + policy.interval_s * SECOND_US // 2


def next_look_us(
    shipment: Shipment, policy: Policy, progress: Progress, newest: Sequence[Sample | None], now_us: int
) -> int:
    """When something may have changed although no reading came: a report is due, a gap begins, or time outside a limit
    goes on."""
    moments = [report_due_us(shipment, policy, progress)]
    told = {alarm.finding.logger for alarm in progress.alarms if alarm.finding.cause is Cause.GAP and progress.held}
    for place, sample in enumerate(newest):
        gap_us = (sample.time_us if sample else shipment.from_us) + (policy.gap_s + 1) * SECOND_US
        if gap_us > now_us and place not in told:
            moments.append(gap_us)
    if progress.held:
        moments.append(max(now_us, progress.through_us) + _growing_us(policy))
    else:
        moments += [now_us + _outside_look_us(limit) for limit in policy.limits if _outside(limit, newest)]
    return min(moments)


def _outside(limit: Limit, newest: Sequence[Sample | None]) -> bool:
    return any(sample and limit.outside(sample.milli) for sample in newest)


def _outside_look_us(limit: Limit) -> int:
    """Figures are in whole seconds; of a time that is allowed, its end is noticed within a twentieth of it."""
    return min(OUTSIDE_LOOK_S, max(1, limit.allowed_s // 20)) * SECOND_US


def end_us(shipment: Shipment, policy: Policy, progress: Progress, newest: Sequence[int | None], now_us: int) -> int:
    """Up to when the next report is: now; the newest reading, where that logger's clock is a little ahead; or the
    closing of the shipment."""
    if progress.closed is not None:
        return progress.closed.at_us
    ahead_us = now_us + policy.clock_s * SECOND_US
    readings = [us + 1 for us in newest if us is not None and us < ahead_us]
    return max(now_us, progress.through_us, shipment.from_us + 1, *readings)
