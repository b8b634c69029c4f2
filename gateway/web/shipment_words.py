"""States, alarms and figures of a shipment as people read them. The ledger's values in, words out."""

from dataclasses import dataclass

from chaincode.coldchain.alarms import MISSING, Cause, Finding
from chaincode.coldchain.policy import Limit, Mode, Policy
from chaincode.coldchain.records import Alarm, Explanation, Progress, Shipment
from chaincode.coldchain.report import LoggerReport
from gateway.web.text import count, moment, span_exact


@dataclass(frozen=True, slots=True)
class State:
    """A shipment's state in one word, with an icon of the style sheet and a sentence."""

    word: str
    icon: str
    sentence: str


def state_of(shipment: Shipment, progress: Progress, policy: Policy) -> State:
    """Held goes before all: whoever reads it must not send the units on."""
    if progress.held:
        newest = "; ".join(finding_words(one.finding, shipment, policy) for one in _since_release(progress)[:3])
        who = f"Its units go nowhere until another organisation than {shipment.reporter} releases them."
        return State("quarantined", "false", f"Excursion: {newest}. {who}")
    if progress.released:
        act = progress.released
        return State("released", "caution", f"Excursion, and released by {act.organisation}: {act.reason}")
    until = f"up to {moment(progress.through_us)} UTC"
    if progress.complete:
        return State("closed", "holds", f"Arrived, and within its policy all the way, reported {until}.")
    if progress.closed:
        return State("closed", "pending", f"Arrived. Its last report is still to come; so far it is {until}.")
    if not progress.seq:
        return State("open", "pending", "On its way. Nothing is reported yet.")
    return State("open", "holds", f"On its way, and within its policy {until}.")


def _since_release(progress: Progress) -> list[Alarm]:
    """What holds the units now: an old alarm may have grown, so where none is newer it is the last one."""
    after = progress.released.at_us if progress.released else 0
    return [one for one in progress.alarms if one.since_us > after] or list(progress.alarms[-1:])


def finding_words(finding: Finding, shipment: Shipment, policy: Policy) -> str:
    """What is wrong, with which logger."""
    logger = finding.logger
    of = f" ({shipment.loggers[logger].source})" if logger is not None and len(shipment.loggers) > 1 else ""
    return _finding(finding, policy) + of


def _finding(finding: Finding, policy: Policy) -> str:
    figure = finding.figure
    match finding.cause:
        case Cause.LIMIT if finding.limit is not None and finding.limit < len(policy.limits):
            limit = policy.limits[finding.limit]
            return f"{span_exact(figure)} {'more than allowed ' if limit.allowed_s else ''}{limit_words(limit)}"
        case Cause.MKT:
            most = f", at most {celsius(policy.mkt.most)} is allowed" if policy.mkt else ""
            return f"mean kinetic temperature {celsius(figure)}{most}"
        case Cause.GAP:
            return (
                f"readings are missing for {span_exact(figure)} beyond the {span_exact(policy.gap_s)} that are allowed"
            )
        case Cause.CLOCK:
            return f"{count(figure, 'reading')} with a time that cannot be right"
        case Cause.LATE:
            return "every reading came late, so nobody watched"
        case Cause.CALIBRATION:
            return "calibration that ran out, or was never given"
        case Cause.OVERDUE:
            return f"no report since {moment(figure * 1_000_000)} UTC"
        case _:
            return f"{finding.cause} {figure:,}"


def limit_words(limit: Limit) -> str:
    return f"{str(limit.direction).replace('-', ' ')} {celsius(limit.threshold)}"


def policy_words(policy: Policy) -> list[str]:
    """Its rules, one a line."""
    said = []
    for limit in policy.limits:
        together = " all together" if limit.mode is Mode.CUMULATIVE else ""
        allowed = f"for more than {span_exact(limit.allowed_s)}{together}" if limit.allowed_s else "at any time"
        said.append(f"{limit_words(limit)} {allowed}")
    if policy.mkt:
        window = f" over any {span_exact(policy.mkt.window_s)}" if policy.mkt.window_s else ""
        said.append(f"mean kinetic temperature above {celsius(policy.mkt.most)}{window}")
    said.append(f"no reading for {span_exact(policy.gap_s)}, no report for {span_exact(policy.interval_s)}")
    return said


def celsius(milli: int | None) -> str:
    """A temperature as reported; a dash where there is none."""
    if milli is None:
        return "–"
    return f"{milli / 1000:.3f}".rstrip("0").rstrip(".").replace("-", "−") + " °C"


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its name; `bad`: it is, or adds to, an excursion."""

    name: str
    value: str
    bad: bool = False


def figures(one: LoggerReport, policy: Policy) -> list[Figure]:
    """A logger's figures as reported."""
    warm = bool(policy.mkt and one.mkt is not None and one.mkt > policy.mkt.most)
    said = [
        Figure("Lowest", celsius(one.least)), Figure("Highest", celsius(one.most)),
        Figure("Mean kinetic", celsius(one.mkt), warm), Figure("Readings", f"{one.count:,}"),
    ]  # fmt: skip
    for limit, outside in zip(policy.limits, one.outside, strict=False):
        total = f", {span_exact(outside.total_s)} in all" if outside.total_s > outside.longest_s else ""
        longest = span_exact(outside.longest_s) + total
        said.append(Figure(f"Longest {limit_words(limit)}", longest, bool(outside.beyond_s)))
    said.append(Figure("Longest without a reading", span_exact(one.longest_gap_s), bool(one.missing_s)))
    said.append(Figure("Missing", span_exact(one.missing_s), bool(one.missing_s)))
    faults = [(one.late, "late"), (one.backwards, "run backwards"), (one.repeated, "repeated"), (one.ahead, "ahead")]
    words = ", ".join(f"{number:,} {word}" for number, word in faults if number)
    return [*said, Figure("Faults", words, one.backwards + one.repeated + one.ahead > 0)] if words else said


@dataclass(frozen=True, slots=True)
class Row:
    """One figure, as reported and as somebody else computed it."""

    name: str
    reported: str
    recomputed: str

    @property
    def differs(self) -> bool:
        return self.reported != self.recomputed


def compared(reported: LoggerReport | None, recomputed: LoggerReport, policy: Policy) -> list[Row]:
    """Side by side; a name that only one of them has stands beside a dash."""
    left = {one.name: one.value for one in figures(reported, policy)} if reported else {}
    right = {one.name: one.value for one in figures(recomputed, policy)}
    left["Digest of the readings"] = reported.digest.hex()[:16] if reported else ""
    right["Digest of the readings"] = recomputed.digest.hex()[:16]
    return [Row(name, left.get(name, "–"), right.get(name, "–")) for name in {**left, **right}]


def unexplained(alarm: Alarm, said: Explanation | None) -> bool:
    """Missing data is an excursion until somebody explained it."""
    return alarm.finding.cause in MISSING and said is None
