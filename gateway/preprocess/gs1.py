"""GS1 identifiers: check digits, the character set of lots and serials, expiry dates.

Source: GS1 General Specifications: section 7.9 (check digit), figure 7.11-1 (character set 82), section 7.12
(century of a two-digit year), section 3.4 (day 00 of AI 17).
"""

import re
from calendar import monthrange
from datetime import date

from gateway.preprocess.errors import PayloadRejected

END = r"$(?!\n)"  # the end in every regex dialect: Python's $ alone also matches before a last line feed
CHARSET_82 = r"""[!"%&'()*+,\-./0-9:;<=>?A-Z_a-z]"""
GTIN_PATTERN = "^([0-9]{8}|[0-9]{12,14})" + END
LOT_PATTERN = f"^{CHARSET_82}{{1,20}}" + END
EXPIRY_PATTERN = "^([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{6})" + END

_GTIN = re.compile(GTIN_PATTERN)
_EXPIRY = re.compile(EXPIRY_PATTERN)


def check_digit(body: str) -> int:
    """The check digit of a GS1 key without its last digit: weights 3, 1, 3, ... from the right."""
    digits = body.encode()
    threes, ones = digits[::-2], digits[-2::-2]
    return -(3 * (sum(threes) - 48 * len(threes)) + sum(ones) - 48 * len(ones)) % 10


def gtin14(text: str) -> str:
    """A GTIN-8, -12, -13 or -14 as 14 digits, check digit verified."""
    if not _GTIN.match(text):
        raise PayloadRejected(f"expected a GTIN of 8, 12, 13 or 14 digits, got {text!r:.40}")
    expected = check_digit(text[:-1])
    if int(text[-1]) != expected:
        raise PayloadRejected(
            f"a GTIN is misread or mistyped, got {text}; its last digit should be {expected} (check digit)"
        )
    return text.zfill(14)


def expiry_date(text: str, current_year: int) -> date:
    """YYYY-MM-DD, or YYMMDD as in AI (17): century by the sliding rule, day 00 as the end of the month."""
    if not _EXPIRY.match(text):
        raise PayloadRejected(f"expected an expiry date as YYYY-MM-DD or YYMMDD, got {text!r:.40}")
    try:
        return date.fromisoformat(text) if "-" in text else _yymmdd(text, current_year)
    except ValueError as e:
        raise PayloadRejected(f"expected an expiry that is a date of the calendar, got {text}: {e}") from e


def _yymmdd(text: str, current_year: int) -> date:
    year = full_year(int(text[:2]), current_year)
    month, day = int(text[2:4]), int(text[4:])
    if not 1 <= month <= 12:
        raise ValueError("month must be in 1..12")
    return date(year, month, day or monthrange(year, month)[1])


def full_year(yy: int, current_year: int) -> int:
    """The year that a two-digit year means: 49 years back to 50 years ahead of the current one."""
    century, current_yy = divmod(current_year, 100)
    if yy - current_yy >= 51:
        century -= 1
    elif yy - current_yy <= -50:
        century += 1
    return century * 100 + yy
