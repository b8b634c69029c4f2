"""What the page of a shipment shows, gathered: the ledger's word, and the readings where they lie in this log.

Trust boundary: everything named here by other organisations (loggers, reasons, codes) is their words. Pictures are of
this gateway's index; figures, alarms and releases are the ledger's.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from chaincode.coldchain.policy import Policy
from chaincode.coldchain.records import Alarm, DisputeRecord, Explanation, Logger, Progress, ReportRecord, Shipment
from chaincode.coldchain.report import LoggerReport, Report
from chaincode.evidence import EvidenceRef
from gateway.coldchain.ledger_view import LedgerView
from gateway.query.detail import record_detail
from gateway.query.errors import NotFoundError
from gateway.query.readings import Point, curve, gaps, notable
from gateway.query.view import View
from gateway.web import thermogram
from gateway.web.shipment_words import Figure, Row, State, compared, figures, finding_words, state_of, unexplained
from gateway.web.thermogram import Thermogram

REPORTS_AT_ONCE = 32  # as the contract gives them
MAX_REPORTS = 256  # that are drawn where readings are elsewhere
SHOWN_REPORTS = 12
MAX_DISPUTES = 16
BUCKETS, MAX_BUCKETS = 240, 1000
SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class ShownReport:
    """A report with the transaction and the record that evidences it; `leaf` where that record is in this log."""

    report: Report
    at_us: int
    tx_id: str
    origin: str
    index: int
    leaf: int | None


@dataclass(frozen=True, slots=True)
class Told:
    """All that the ledger says of a shipment; reports are the newest ones, in their order."""

    shipment: Shipment
    progress: Progress
    policy: Policy
    reports: tuple[ReportRecord, ...]
    explanations: tuple[Explanation, ...]
    disputes: tuple[tuple[DisputeRecord, ReportRecord | None], ...]


@dataclass(frozen=True, slots=True)
class ShownLogger:
    """A logger with its newest figures; `plot` None where there is nothing to draw, `why` then says so. `notable` are
    records of readings in this log."""

    logger: Logger
    figures: list[Figure]
    plot: Thermogram | None
    ours: bool
    why: str
    notable: dict[str, Point]


@dataclass(frozen=True, slots=True)
class ShownAlarm:
    """An alarm in words, and what was said of it; `text` only where it was said from here."""

    number: int
    alarm: Alarm
    words: str
    said: Explanation | None
    text: str
    leaf: int | None
    waits: bool


@dataclass(frozen=True, slots=True)
class ShownDispute:
    """What another organisation computed from a report's entries, logger by logger."""

    dispute: DisputeRecord
    loggers: list[tuple[Logger, list[Row]]]
    leaf: int | None


@dataclass(frozen=True, slots=True)
class ShipmentPage:
    told: Told
    state: State
    ours: bool
    until_us: int
    loggers: list[ShownLogger]
    alarms: list[ShownAlarm]
    disputes: list[ShownDispute]
    reports: list[ShownReport]


async def told_of(view: LedgerView, shipment_id: bytes) -> Told:
    """Ask the ledger. UnknownShipmentError where it has none."""
    shipment, progress = await view.shipment(shipment_id)
    policy = await view.policy(shipment.policy_id)
    reports: list[ReportRecord] = []
    after = max(0, progress.seq - MAX_REPORTS)
    while after < progress.seq and (found := await view.reports(shipment_id, after)):
        reports += found
        after += REPORTS_AT_ONCE
    said = await view.explanations(shipment_id)
    disputes = [await _disputed(view, shipment_id, one) for one in (await view.disputes(shipment_id))[-MAX_DISPUTES:]]
    return Told(shipment, progress, policy, tuple(reports), tuple(said), tuple(disputes))


async def _disputed(
    view: LedgerView, shipment_id: bytes, one: DisputeRecord
) -> tuple[DisputeRecord, ReportRecord | None]:
    found = await view.reports(shipment_id, max(one.seq - 1, 0))
    return one, found[0] if found and Report.decode(found[0].report).seq == one.seq else None


def gathered(view: View, origin: str, told: Told) -> ShipmentPage:
    """The page, with what this gateway's own log adds. Blocking."""
    reports = [_report(one, origin) for one in told.reports]
    ours = told.shipment.reporter_origin == origin
    until_us = _until(told)
    loggers = [
        _logger(view, told, [one.report for one in reports], place, ours, until_us)
        for place in range(len(told.shipment.loggers))
    ]
    return ShipmentPage(
        told, state_of(told.shipment, told.progress, told.policy), ours, until_us, loggers,
        [_alarm(view, told, number, origin) for number in range(len(told.progress.alarms))],
        [_dispute(told, *one, origin) for one in told.disputes], reports[:-SHOWN_REPORTS - 1:-1],
    )  # fmt: skip


def _until(told: Told) -> int:
    """Up to when it is drawn: its end, or now."""
    progress = told.progress
    end = progress.through_us if progress.complete else time.time_ns() // 1000
    return max(end, progress.through_us, told.shipment.from_us + SECOND_US)


def _here(evidence: EvidenceRef, origin: str) -> int | None:
    return evidence.index if evidence.origin == origin else None


def _report(one: ReportRecord, origin: str) -> ShownReport:
    evidence = one.evidence
    report = Report.decode(one.report)
    return ShownReport(
        report, one.reported_us, one.tx_id, evidence.origin, evidence.index, _here(evidence, origin)
    )  # fmt: skip


def _logger(
    view: View, told: Told, reports: Sequence[Report], place: int, ours: bool, until_us: int
) -> ShownLogger:  # fmt: skip
    logger, policy = told.shipment.loggers[place], told.policy
    newest: LoggerReport | None = reports[-1].loggers[place] if reports else None
    said = figures(newest, policy) if newest else []
    alarms = _alarms(told.progress, place)
    if not ours:
        why = f"The readings are with {told.shipment.reporter}. "
        if not reports:
            return ShownLogger(logger, said, None, False, why + "Nothing is reported yet.", {})
        drawn = thermogram.of_reports(reports, place, policy, until_us, alarms)
        why += "Drawn is what its reports say: lowest and highest so far as an area, the mean kinetic temperature as a"
        why += " line, and which report told of time outside or missing."
        return ShownLogger(logger, said, drawn, False, why, {})
    window = told.shipment.from_us, until_us
    try:
        found = curve(view, logger.source, logger.series, *window, _buckets(window, policy))
        missing = gaps(view, logger.source, logger.series, *window, policy.gap_s * SECOND_US)
        points = notable(view, logger.source, logger.series, *window)
    except NotFoundError:
        return ShownLogger(logger, said, None, True, "It has not reported a reading yet.", {})
    return ShownLogger(logger, said, thermogram.of_readings(found, policy, missing, alarms), True, "", points)


def _buckets(window: tuple[int, int], policy: Policy) -> int:
    """So many that a gap which counts is seen between two of them, where that can be."""
    return min(MAX_BUCKETS, max(BUCKETS, 2 * (window[1] - window[0]) // (policy.gap_s * SECOND_US)))


def _alarms(progress: Progress, place: int) -> thermogram.Alarms:
    of = [(number, one) for number, one in enumerate(progress.alarms) if one.finding.logger in (place, None)]
    limits = frozenset(one.finding.limit for _, one in of if one.finding.limit is not None)
    return thermogram.Alarms(limits, tuple((number, one.since_us) for number, one in of))


def _alarm(view: View, told: Told, number: int, origin: str) -> ShownAlarm:
    alarm = told.progress.alarms[number]
    said = next((one for one in told.explanations if one.alarm == number), None)
    leaf = _here(said.evidence, origin) if said else None
    return ShownAlarm(
        number, alarm, finding_words(alarm.finding, told.shipment, told.policy), said, _text(view, leaf), leaf,
        unexplained(alarm, said),
    )  # fmt: skip


def _text(view: View, leaf: int | None) -> str:
    """The words of an explanation that was given from here; empty where they are gone."""
    if leaf is None:
        return ""
    try:
        content = record_detail(view, leaf).content
    except NotFoundError:
        return ""
    said = dict(content.stored.fields).get("text") if content else ""
    return said if isinstance(said, str) else ""


def _dispute(told: Told, one: DisputeRecord, reported: ReportRecord | None, origin: str) -> ShownDispute:
    theirs = Report.decode(one.recomputed)
    ours = Report.decode(reported.report) if reported else None
    loggers = [
        (logger, compared(ours.loggers[place] if ours else None, theirs.loggers[place], told.policy))
        for place, logger in enumerate(told.shipment.loggers) if place < len(theirs.loggers)
    ]  # fmt: skip
    return ShownDispute(one, loggers, _here(one.evidence, origin))
