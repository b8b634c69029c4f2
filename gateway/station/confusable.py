"""Characters that a text reader takes for each other, and the only places where they are put right.

Rule: a character is replaced only where the alphabet of its place is known and has exactly one character of the same
look. In a date every place is a digit, so an O there is a 0. In a lot nothing is known of a place unless the operator
told the lot's pattern. Where nothing is known, a reading that differs from the code by look-alikes alone is reported
as unclear, and an unclear pack is rejected: no difference is ever explained away.
"""

from typing import Final

from gateway.station.errors import StationError

DIGIT, LETTER = "#", "@"  # places of a lot pattern; every other character stands for itself
MAX_PATTERN: Final = 20
_GROUPS: Final = ("0OoQD", "1Il|i", "2Zz", "5Ss", "6G", "8B")  # the digit first
_TO_DIGIT: Final = {look: group[0] for group in _GROUPS for look in group}
_TO_LETTER: Final = {group[0]: group[1] for group in _GROUPS} | {"|": "I"}


def as_digits(text: str) -> str:
    """Every look-alike of a digit as that digit; for places where only digits can stand."""
    return "".join(_TO_DIGIT.get(c, c) for c in text)


def look_the_same(one: str, other: str) -> bool:
    """Whether two texts differ by look-alikes alone, or not at all."""
    return as_digits(one).upper() == as_digits(other).upper()


def by_pattern(text: str, pattern: str) -> str:
    """`text` with the look-alikes of each place put right by the pattern; unchanged where the lengths differ."""
    if len(text) != len(pattern):
        return text
    return "".join(_at(c, place) for c, place in zip(text, pattern, strict=True))


def _at(c: str, place: str) -> str:
    if place == DIGIT:
        return _TO_DIGIT.get(c, c)
    if place == LETTER:
        return _TO_LETTER.get(c, c)
    return place if look_the_same(c, place) else c


def fits(text: str, pattern: str) -> bool:
    """Whether a text is of a pattern exactly."""
    return len(text) == len(pattern) and all(
        (c.isascii() and c.isdigit()) if place == DIGIT else (c.isascii() and c.isalpha()) if place == LETTER
        else c == place
        for c, place in zip(text, pattern, strict=True)
    )  # fmt: skip


def checked_pattern(pattern: str) -> str:
    """A lot pattern as an operator wrote it. Raises StationError."""
    if not 0 < len(pattern) <= MAX_PATTERN or not pattern.isascii() or not pattern.isprintable() or " " in pattern:
        raise StationError(
            f"expected a lot pattern of 1 to {MAX_PATTERN} characters, # for a digit and @ for a letter,"
            f" got {pattern!r:.60}"
        )
    return pattern
