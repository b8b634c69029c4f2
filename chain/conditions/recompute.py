"""Computes a shipment's reports again and judges its alarms: which were right, false, late, or suppressed.

The figures are built by chain.conditions.report from the same entries, and what follows from them is decided by the
contract's own rules. Two numbers that differ stand side by side. Pure.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, NamedTuple

from chain.conditions.case import Case
from chain.conditions.report import build_report
from chain.conditions.samples import Sample
from chaincode.coldchain.alarms import Cause, Finding, findings
from chaincode.coldchain.report import LoggerReport, Report
from chaincode.state import MAX_NUMBER

SECOND_US = 1_000_000


class Judgement(StrEnum):
    """What becomes of an alarm once the figures are computed again."""

    RIGHT = "right"
    LATE = "late"  # the readings showed it in an earlier report already
    FALSE = "false"  # the readings do not show it
    SUPPRESSED = "suppressed"  # the readings show it, and no report said it


@dataclass(frozen=True, slots=True)
class Compared:
    """A report beside what its entries say. `left_out` counts readings of its window that lie before its entries;
    `swapped` names, for each logger whose figures are those of another, that one."""

    reported: Report
    recomputed: Report
    left_out: int
    swapped: dict[int, int]

    @property
    def agrees(self) -> bool:
        return self.reported == self.recomputed and not self.left_out

    def differences(self) -> list[tuple[int, str, Any, Any]]:
        """Each figure that differs: logger, name, as reported, as recomputed."""
        pairs = zip(self.reported.loggers, self.recomputed.loggers, strict=True)
        return [
            (place, name, one, other)
            for place, (said, again) in enumerate(pairs)
            for (name, one), (_, other) in zip(figures(said), figures(again), strict=True)
            if one != other
        ]


class Seen(NamedTuple):
    """The number of the first report that has a trouble, and its figure there."""

    seq: int
    figure: int


@dataclass(frozen=True, slots=True)
class Judged:
    """One trouble: as the reports said it, as the readings show it (None: never), and the judgement."""

    cause: Cause
    logger: int | None
    limit: int | None
    said: Seen | None
    shown: Seen | None
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class Recomputation:
    """All reports and all alarms of a shipment."""

    reports: tuple[Compared, ...]
    alarms: tuple[Judged, ...]

    @property
    def agrees(self) -> bool:
        """Every figure is as reported, and every alarm was right."""
        return all(one.agrees for one in self.reports) and all(one.judgement is Judgement.RIGHT for one in self.alarms)


def figures(logger: LoggerReport) -> list[tuple[str, Any]]:
    """A logger's figures by name, in the order of the report."""
    found: list[tuple[str, Any]] = []
    for name, value in asdict(logger).items():
        if name == "outside":
            for place, outside in enumerate(value):
                found += [(f"limit {place} {part}", seconds) for part, seconds in outside.items()]
        else:
            found.append((name, value))
    return found


def recompute(case: Case) -> Recomputation:
    """Build every report of the case anew, and judge."""
    samples = case.samples()
    reports = tuple(_compared(case, reported.report, samples) for reported in case.reports)
    calibrations = [logger.calibrated for logger in case.shipment.loggers]
    said = _first(findings(case.policy, one.reported, calibrations) for one in reports)
    # What the readings show is asked of all of them, also of those that lie before a report's entries; and, where no
    # report is to come any more, of those that lie behind the last one's.
    whole = [_report_of(case, one.reported, samples, 0) for one in reports]
    shown = _first(findings(case.policy, one, calibrations) for one in whole)
    if whole and case.progress.complete:
        last = _report_of(case, replace(whole[-1], end=MAX_NUMBER), samples, 0)
        for key, (_, figure) in _first([findings(case.policy, last, calibrations)]).items():
            shown.setdefault(key, Seen(last.seq, figure))
    judged = [_judged(key, said.get(key), shown.get(key)) for key in {**said, **shown}]
    return Recomputation(reports, (*judged, *_overdue(case)))


def _report_of(case: Case, report: Report, samples: list[list[Sample]], first: int) -> Report:
    return build_report(case.policy, report.seq, (report.from_us, report.to_us), (first, report.end), samples)


def _compared(case: Case, report: Report, samples: list[list[Sample]]) -> Compared:
    again = _report_of(case, report, samples, report.first)
    left_out = sum(
        sample.leaf < report.first and report.from_us <= sample.time_us < report.to_us
        for one in samples
        for sample in one
    )
    digests = [logger.digest for logger in again.loggers]
    swapped = {
        place: digests.index(said.digest)
        for place, (said, true) in enumerate(zip(report.loggers, again.loggers, strict=True))
        if said.digest != true.digest and said.digest in digests
    }
    return Compared(report, again, left_out, swapped)


_Key = tuple[Cause, int | None, int | None]


def _first(found: Iterable[list[Finding]]) -> dict[_Key, Seen]:
    """Each trouble where it is seen first; reports are numbered from 1."""
    firsts: dict[_Key, Seen] = {}
    for seq, one in enumerate(found, 1):
        for finding in one:
            firsts.setdefault((finding.cause, finding.logger, finding.limit), Seen(seq, finding.figure))
    return firsts


def _judged(key: _Key, said: Seen | None, shown: Seen | None) -> Judged:
    if said is None:
        judgement = Judgement.SUPPRESSED
    elif shown is None or said.seq < shown.seq:
        judgement = Judgement.FALSE
    else:
        judgement = Judgement.LATE if said.seq > shown.seq else Judgement.RIGHT
    return Judged(*key, said, shown, judgement)


def _overdue(case: Case) -> list[Judged]:
    """Alarms of reports that were missing: right where the next report came after its time, or never."""
    judged = []
    for alarm in case.progress.alarms:
        if alarm.finding.cause is not Cause.OVERDUE:
            continue
        through_s = alarm.finding.figure
        came = [one.at_us for one in case.reports if one.report.to_us // SECOND_US > through_s]
        start_us = max(through_s * SECOND_US, case.shipment.opened_us if not alarm.seq else 0)
        due_us = start_us + case.policy.interval_s * SECOND_US
        right = alarm.since_us > due_us and (not came or min(came) > due_us)
        seen, judgement = Seen(alarm.seq, through_s), Judgement.RIGHT if right else Judgement.FALSE
        judged.append(Judged(Cause.OVERDUE, None, None, seen, seen if right else None, judgement))
    return judged
