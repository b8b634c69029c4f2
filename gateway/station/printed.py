"""Lot and expiry out of the lines of print beside a code.

A value is taken only where its title stands before it in the same line, or left of it or above it in a line of its
own. The code's own values are not looked at here: what is searched for must not decide what is found.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.station.ocr import Line

LOT_TITLES: Final = ("LOT", "L0T", "BATCH", "BN", "CH.-B.", "CH.B.", "CHB", "CHARGE", "批号", "产品批号", "生产批号")
EXPIRY_TITLES: Final = ("EXP", "EXPIRY", "EXPIRY DATE", "USE BY", "VERW. BIS", "VERWENDBAR BIS", "有效期至", "有效期")
_AFTER: Final = r"(?:\s*(?:NO|NUMBER)?\s*[.:：]*\s*)"


@dataclass(frozen=True, slots=True)
class Printed:
    """One printed value as read, with the model's score for it (0 to 1), its line and its title's, often the same."""

    text: str
    score: float
    line: Line
    title: Line


def find_lot(lines: Sequence[Line]) -> Printed | None:
    """The printed lot; None if its title was not read, or no value beside it."""
    return _find(lines, LOT_TITLES)


def find_expiry(lines: Sequence[Line]) -> Printed | None:
    """The printed expiry date's text; None if its title was not read, or no value beside it."""
    return _find(lines, EXPIRY_TITLES)


def _find(lines: Sequence[Line], titles: Sequence[str]) -> Printed | None:
    longest_first = "|".join(re.escape(title) for title in sorted(titles, key=len, reverse=True))
    title = re.compile(rf"^(?:{longest_first})(?![A-Z0-9]){_AFTER}(?P<value>.*)$", re.IGNORECASE)
    for line in lines:
        if (found := title.match(line.text)) is None:
            continue
        if found["value"]:
            return Printed(found["value"], line.score, line, line)
        if (value := _beside(line, lines) or _below(line, lines)) is not None:
            return Printed(value.text.strip(" .:："), min(line.score, value.score), value, line)
    return None


def _beside(title: Line, lines: Sequence[Line]) -> Line | None:
    """The nearest line to the right whose middle lies within the title's height."""
    same = [li for li in lines if li.left >= title.right - title.height and title.top < li.middle < title.bottom]
    return min((line for line in same if line is not title), key=lambda line: line.left, default=None)


def _below(title: Line, lines: Sequence[Line]) -> Line | None:
    """The nearest line beneath, which begins about where the title does."""
    near = [li for li in lines if abs(li.left - title.left) < 2 * title.height]
    under = [li for li in near if title.bottom - title.height / 3 < li.top < title.bottom + 1.5 * title.height]
    return min(under, key=lambda line: line.top, default=None)
