"""Facts about a pack as one status and the sentences beneath it, by names of the catalogues. Pure."""

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from gateway.consumer.facts import Kept, PackFacts, PackQuestion
from gateway.consumer.scans import Scan, Scanned


class Status(StrEnum):
    """The one thing to know about a pack, the gravest first."""

    UNKNOWN = "unknown"
    RECALLED = "recalled"
    WITHDRAWN = "withdrawn"
    HELD = "held"
    EXPIRED = "expired"
    WARM = "warm"
    COPIED = "copied"  # genuine, and asked for in many places
    GENUINE = "genuine"
    LOT = "lot"  # nothing but a lot was asked for


GOOD = frozenset({Status.GENUINE, Status.LOT})


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence: its name in the catalogues, what stands in it, and whether it is bad news."""

    name: str
    state: str  # holds, caution, missing or false, as the pages' icons
    us: int | None = None
    day: date | None = None
    count: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the page says."""

    status: Status
    lines: tuple[Line, ...]

    @property
    def state(self) -> str:
        """The icon of the whole."""
        if self.status in GOOD:
            return "holds"
        return "caution" if self.status in (Status.WARM, Status.COPIED) else "false"


def answer(question: PackQuestion, facts: PackFacts, scan: Scan | None, today: date) -> Answer:
    """`scan` is None where nothing was counted. `today` is the day of the farthest time zone behind UTC: a pack is good
    to the end of its last day wherever it is read."""
    status = _status(question, facts, today)
    if status is Status.GENUINE and scan is not None and scan.what is Scanned.MANY:
        status = Status.COPIED
    if status is Status.UNKNOWN:
        return Answer(status, ())
    lines = [*_of_making(question, facts), *_of_state(facts, today), *_of_end(facts)]
    return Answer(status, (*lines, *(_of_scan(scan) if scan is not None else ())))


def last_today(now_us: int) -> date:
    """The day that it still is somewhere (UTC−12). now_us: microseconds since the Unix epoch."""
    return date(1970, 1, 1) + timedelta(days=(now_us // 3_600_000_000 - 12) // 24)


def _status(question: PackQuestion, facts: PackFacts, today: date) -> Status:
    if not facts.known or not facts.fits:  # whoever guesses serials shall not learn which of them are real
        return Status.UNKNOWN
    for true, status in (
        (facts.recalled is not None, Status.RECALLED),
        (facts.withdrawn_us is not None, Status.WITHDRAWN),
        (facts.quarantined, Status.HELD),
        (facts.expiry is not None and facts.expiry < today, Status.EXPIRED),
        (facts.kept_cold is Kept.NO, Status.WARM),
    ):
        if true:
            return status
    return Status.GENUINE if question.serial is not None else Status.LOT


def _of_making(question: PackQuestion, facts: PackFacts) -> list[Line]:
    what = "made" if question.serial is not None else "made_lot"
    return [Line(what, "holds", us=facts.commissioned_us)]


def _of_state(facts: PackFacts, today: date) -> list[Line]:
    lines = []
    if facts.recalled is not None:
        lines.append(Line(f"recall_{facts.recalled.grade}", "false", us=facts.recalled.since_us))
    if facts.expiry is not None:
        over = facts.expiry < today
        lines.append(Line("expired_on" if over else "good_until", "false" if over else "holds", day=facts.expiry))
    if facts.quarantined:
        lines.append(Line("held_now", "false"))
    name = {Kept.YES: "cold_yes", Kept.NO: "cold_no", Kept.UNKNOWN: "cold_unknown"}[facts.kept_cold]
    state = {Kept.YES: "holds", Kept.NO: "false", Kept.UNKNOWN: "missing"}[facts.kept_cold]
    return [*lines, Line(name, state)]


def _of_end(facts: PackFacts) -> list[Line]:
    if facts.dispensed_us is not None:
        return [Line("dispensed", "caution", us=facts.dispensed_us)]
    if facts.withdrawn_us is not None:
        return [Line("withdrawn_on", "false", us=facts.withdrawn_us)]
    return []


def _of_scan(scan: Scan) -> tuple[Line, ...]:
    if scan.what is Scanned.FIRST:
        return (Line("scan_first", "holds"),)
    earlier = Line("scan_again", "missing", us=scan.first_us, count=scan.before)
    extra = {Scanned.ELSEWHERE: "scan_elsewhere", Scanned.MANY: "scan_many"}.get(scan.what)
    return (earlier,) if extra is None else (earlier, Line(extra, "caution"))
