"""What code and print say of a pack together: accept, or reject with every reason. Pure.

Trust boundary: both readings are claims. A pack is accepted only where each check says so; what could not be read, or
not read clearly, counts as a difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from gateway.station.code import Code
from gateway.station.confusable import by_pattern, fits, look_the_same
from gateway.station.dates import printed_date
from gateway.station.ocr import Line
from gateway.station.printed import Printed, find_expiry, find_lot

ACCEPT, REJECT = "accept", "reject"
THRESHOLD: Final = 0.8  # a printed value read with less is unclear


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a pack is rejected: a short name for programs, a sentence for people."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """`score` is the model's score for the less certain of the two printed values, 0 for a rejected pack."""

    decision: str
    score: float
    reasons: tuple[Reason, ...] = ()
    lot: str | None = None  # as printed
    expiry: str | None = None  # as printed


_CODE_REASONS: Final = {
    "no-code": "no DataMatrix could be read in the image",
    "several-codes": "the image shows several different codes, so it is not clear which pack is meant",
    "not-gs1": "the code is neither a GS1 element string nor a Digital Link with a date of the calendar",
    "incomplete": "the code lacks one of GTIN (01), expiry (17), lot (10), serial (21)",
    "check-digit": "the check digit of the code's GTIN is wrong",
}


def of_code(code: Code, today: date) -> list[Reason]:
    """The reasons that the code alone gives."""
    if code.problem:
        return [Reason(code.problem, _CODE_REASONS[code.problem])]
    if code.expiry is not None and code.expiry < today:
        return [Reason("expired", f"the pack expired on {code.expiry.isoformat()}")]
    return []


def compare(code: Code, lines: Sequence[Line], today: date, pattern: str | None = None) -> Verdict:
    """Code against print. `pattern` is the lot's, where the operator told it (confusable.py)."""
    lot, expiry = find_lot(lines), find_expiry(lines)
    reasons = of_code(code, today)
    if not code.problem:
        reasons += _lot(code.elements["lot"], lot, pattern) + _expiry(code.expiry, expiry, today.year)
    scores = [printed.score for printed in (lot, expiry) if printed is not None]
    score = 0.0 if reasons else round(min(scores), 4)
    return Verdict(REJECT if reasons else ACCEPT, score, tuple(reasons), _text(lot), _text(expiry))


def _text(printed: Printed | None) -> str | None:
    return None if printed is None else printed.text


def _lot(coded: str, printed: Printed | None, pattern: str | None) -> list[Reason]:
    if pattern is not None and not fits(coded, pattern):
        return [Reason("lot-pattern", f"the code's lot {coded} is not of the pattern {pattern}")]
    if printed is None:
        return [Reason("lot-unreadable", "no printed lot could be read")]
    text = "".join(printed.text.split())
    text = by_pattern(text, pattern) if pattern is not None else text
    if text != coded:
        if look_the_same(text, coded):
            said = f"the code says {coded}, the print reads as {printed.text}: alike, but not the same"
            return [Reason("lot-unclear", said)]
        return [Reason("lot-mismatch", f"the code says {coded}, the print says {printed.text}")]
    return _sure("lot", printed)


def _expiry(coded: date | None, printed: Printed | None, year: int) -> list[Reason]:
    said = None if printed is None else printed_date(printed.text, year)
    if printed is None or coded is None:
        return [Reason("expiry-unreadable", "no printed expiry could be read")]
    if said is None:
        return [Reason("expiry-unreadable", f"the printed expiry {printed.text!r} is no date that is understood")]
    if said != coded:
        return [Reason("expiry-mismatch", f"the code says {coded.isoformat()}, the print says {said.isoformat()}")]
    return _sure("expiry", printed)


def _sure(what: str, printed: Printed) -> list[Reason]:
    if printed.score >= THRESHOLD:
        return []
    said = f"the printed {what} {printed.text} was read with a score of {printed.score:.2f}, below {THRESHOLD}"
    return [Reason(f"{what}-unclear", said)]
