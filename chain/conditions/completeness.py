"""Whether a file shows all readings that the reports on the ledger are made of, or only some of them.

Each report names a digest over the readings it used. Where those shown have another one, either the report is false or
the file was stripped. It is the report's fault, whatever else may have been, where

 1. the digest is that of another logger's readings: the two were swapped
 2. all numbers of the source within the report's entries are shown
 3. more readings of its time are shown than it counts: others could only be more
 4. as many are shown as it counts, and figures that depend on these alone differ

Everything else says nothing of the report: the readings are to be asked for. Pure.
"""

from collections.abc import Iterator, Sequence

from chain.conditions.case import Case
from chain.conditions.report import logger_report
from chain.conditions.samples import Sample, digest
from chaincode.coldchain.policy import Policy
from chaincode.coldchain.report import LoggerReport, Report

_FIRST = (1, 0)  # boot and number of the first event of any device


def not_shown(case: Case) -> Iterator[str]:
    """In words: reports that are of other readings than those shown, where that may be the file's fault."""
    samples = case.samples()
    sources = [logger.source for logger in case.shipment.loggers]
    for reported in case.reports:
        report = reported.report
        within = [_within(report, one) for one in samples]
        digests = [digest(one) for one in within]
        for place, (said, logged, found) in enumerate(zip(report.loggers, within, digests, strict=True)):
            if said.digest in digests or _all_shown(case, sources[place], report):
                continue
            if not _disproved(case.policy, report, said, logged):
                yield _words(report, place, said, logged, found)


def _within(report: Report, samples: Sequence[Sample]) -> list[Sample]:
    return [sample for sample in samples if report.first <= sample.leaf < report.end]  # by their place already


def _all_shown(case: Case, source: str, report: Report) -> bool:
    """Numbers rise with places. So all are there where none is missing between one before the entries, or a device's
    very first, and one behind them, in one boot: a boot's last number is nowhere told."""
    numbers = sorted((one.record.boot, one.record.seq, one.leaf) for one in case.records if one.record.source == source)
    if not numbers or len({boot for boot, _, _ in numbers}) != 1:
        return False
    (boot, first, start), (_, last, end) = numbers[0], numbers[-1]
    begins = (boot, first) == _FIRST or start < report.first
    return begins and end >= report.end and last - first + 1 == len(numbers)


def _disproved(policy: Policy, report: Report, said: LoggerReport, logged: Sequence[Sample]) -> bool:
    """Whether no further reading could make the report right."""
    shown = logger_report(policy, (report.from_us, report.to_us), logged)
    if _counted(said) != _counted(shown):
        return _counted(said) < _counted(shown)
    return _of_its_time(said) != _of_its_time(shown)


def _counted(logger: LoggerReport) -> int:
    """All readings in the window, those of one time as well."""
    return logger.count + logger.repeated


def _of_its_time(logger: LoggerReport) -> tuple[object, ...]:
    """What readings outside the window do not change."""
    return (
        logger.count, logger.first_us, logger.last_us, logger.least, logger.most, logger.mkt, logger.outside,
        logger.longest_gap_s, logger.missing_s,
    )  # fmt: skip


def _words(report: Report, place: int, said: LoggerReport, logged: Sequence[Sample], found: bytes) -> str:
    shown = sum(report.from_us <= sample.time_us < report.to_us for sample in logged)
    return (
        f"report {report.seq} is of {_counted(said):,} readings of logger {place} with digest "
        f"{said.digest.hex()[:16]}…, the file shows {shown:,} with {found.hex()[:16]}…"
    )
