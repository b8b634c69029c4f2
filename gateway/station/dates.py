"""Expiry dates as they are printed on packs, read from text.

A date without a day means the last day of its month, as on medicines (EMA's QRD template; AI (17) writes it as day
00). Two numbers before a year are day and month, never month and day: where a printer writes them the other way
round the comparison fails, and the pack is rejected, rather than be read one way today and another tomorrow.
"""

import re
from calendar import monthrange
from datetime import date
from typing import Final

from gateway.preprocess.gs1 import full_year
from gateway.station.confusable import as_digits

_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_LOOK: Final = "[0-9OILSBZ]"  # a digit, or taken for one; the first of each number must be one
_NAMED: Final = re.compile(
    rf"^(?:(?P<d>[0-9]{_LOOK}?)[ ./-]?)?(?P<m>[A-Z]{{3}})[A-Z]*?[ ./-]*(?P<y>[0-9]{_LOOK}{{3}}|[0-9]{_LOOK})$"
)
_SEPARATOR: Final = r"[./\-年月 ]"
_YEAR_FIRST: Final = re.compile(rf"^(\d{{4}}){_SEPARATOR}(\d{{1,2}})(?:{_SEPARATOR}(\d{{1,2}}))?[日月]?$")
_DAY_FIRST: Final = re.compile(r"^(?:(\d{1,2})[./\- ])?(\d{1,2})[./\- ](\d{4}|\d{2})$")
_PACKED: Final = {8: (4, 2, 2), 6: (2, 2, 2)}


def printed_date(text: str, year: int) -> date | None:
    """The date that printed text means, None if it is none. `year` is the current one, for two-digit years."""
    text = " ".join(text.strip(" .:;").split())
    try:
        return _named(text.upper(), year) or _numbers(as_digits(text).replace(" ", ""), year)
    except ValueError:  # no date of the calendar
        return None


def _named(text: str, year: int) -> date | None:
    found = _NAMED.match(text)
    if found is None or found["m"] not in _MONTHS:
        return None
    y, d = (as_digits((found[part] or "").replace("L", "1")) for part in ("y", "d"))
    return _date(y, _MONTHS.index(found["m"]) + 1, d or None, year)


def _numbers(text: str, year: int) -> date | None:
    if found := _YEAR_FIRST.match(text):
        return _date(found[1], int(found[2]), found[3], year)
    if found := _DAY_FIRST.match(text):
        return _date(found[3], int(found[2]), found[1], year)
    if text.isascii() and text.isdigit() and len(text) in _PACKED:
        y, m, _ = _PACKED[len(text)]
        return _date(text[:y], int(text[y : y + m]), text[y + m :], year)
    return None


def _date(y: str, month: int, day: str | None, current: int) -> date:
    number = int(y) if len(y) == 4 else full_year(int(y), current)
    if not 1 <= month <= 12:
        raise ValueError("month must be in 1..12")
    return date(number, month, int(day or 0) or monthrange(number, month)[1])
