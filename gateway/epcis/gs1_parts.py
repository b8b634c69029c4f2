"""The values of GS1 application identifiers: lengths, character sets and check digits.

Trust boundary: takes untrusted text. Source: GS1 General Specifications sections 3, 7.9 (check digit) and 7.11
(character sets 82 and 39).
"""

import re
from collections.abc import Callable

from gateway.epcis.errors import EpcisError
from gateway.preprocess.gs1 import CHARSET_82, check_digit

_CHARSET_39 = "[#\\-/0-9A-Z]"


def _to(count: int) -> str:
    return f"{CHARSET_82}{{1,{count}}}"


# AI: (pattern, digits of which the last is a check digit; 0: none). 01 also takes shorter GTINs: see checked().
_FORMS: dict[str, tuple[str, int]] = {
    "00": (r"\d{18}", 18), "01": (r"\d{14}", 14), "253": (rf"\d{{13}}{CHARSET_82}{{0,17}}", 13),
    "255": (r"\d{13}\d{0,12}", 13), "401": (rf"\d{{6}}{CHARSET_82}{{1,24}}", 0), "402": (r"\d{17}", 17),
    "414": (r"\d{13}", 13), "417": (r"\d{13}", 13), "8003": (rf"\d{{14}}{CHARSET_82}{{0,16}}", 14),
    "8004": (rf"\d{{4}}{CHARSET_82}{{1,26}}", 0), "8006": (r"\d{18}", 14),
    "8010": (rf"\d{{4}}{_CHARSET_39}{{1,26}}", 0),
    "8017": (r"\d{18}", 18), "8018": (r"\d{18}", 18), "10": (_to(20), 0), "21": (_to(20), 0), "22": (_to(20), 0),
    "235": (_to(28), 0), "254": (_to(20), 0), "8011": (r"\d{1,12}", 0), "8019": (r"\d{1,10}", 0),
}  # fmt: skip
_MATCHES: dict[str, Callable[[str], object]] = {
    ai: re.compile(pattern, re.ASCII).fullmatch for ai, (pattern, _) in _FORMS.items()
}
_OTHER = re.compile(_to(90)).fullmatch
_GTIN = re.compile(r"\d{8}|\d{12,14}", re.ASCII).fullmatch


def checked(ai: str, value: str, digit: bool = True) -> str:
    """The value in its full form (a GTIN as 14 digits). Raises EpcisError: wrong length, character or check digit.

    Of an AI that is no key and qualifies none, only the characters are checked.
    """
    if ai not in _MATCHES:
        if not _OTHER(value):
            raise EpcisError(f"expected 1 to 90 of GS1 character set 82 behind AI ({ai:.4}), got {value!r:.60}")
        return value
    if ai == "01" and _GTIN(value):
        value = value.zfill(14)
    if not _MATCHES[ai](value):
        raise EpcisError(f"expected a value of AI ({ai}) that fits {_FORMS[ai][0]}, got {value!r:.60}")
    length = _FORMS[ai][1]
    if digit and length:
        expected = str(check_digit(value[: length - 1]))
        if value[length - 1] != expected:
            raise EpcisError(
                f"a GS1 key is misread or mistyped, got ({ai}) {value}; "
                f"digit {length} should be {expected} (check digit)"
            )
    return value
