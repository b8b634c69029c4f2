"""Which language a page speaks, and its sentences.

Sentences are plain text: templates escape what stands in them. Everything that is put into one is a date or a number.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final

from gateway.consumer.texts import en, zh
from gateway.consumer.verdict import Line

CATALOGUES: Final[Mapping[str, Mapping[str, str]]] = {"en": en.TEXTS, "zh": zh.TEXTS}
TAGS: Final = {"en": "en", "zh": "zh-Hans"}  # for the attribute lang
MAX_HEADER: Final = 500


class Language:
    """One language. `code` is en or zh."""

    def __init__(self, code: str) -> None:
        self.code, self.tag, self._texts = code, TAGS[code], CATALOGUES[code]

    def __getitem__(self, name: str) -> str:
        return self._texts[name]

    def date(self, day: date) -> str:
        month = self._texts[f"month_{day.month}"]
        return self._texts["date"].format(day=day.day, month=month, year=day.year)

    def line(self, line: Line) -> str:
        """The sentence of a line."""
        day = line.day if line.us is None else day_of(line.us)
        return self._texts[line.name].format(date="" if day is None else self.date(day), count=line.count)


def day_of(us: int) -> date:
    """The day (UTC) of a time in microseconds since the Unix epoch."""
    return date(1970, 1, 1) + timedelta(microseconds=us)


def language_of(wanted: str | None, accept: str) -> Language:
    """`wanted` from the switch if it is one of ours, else by the header Accept-Language (RFC 9110 section 12.5.4), else
    English."""
    if wanted is not None and wanted in CATALOGUES:
        return Language(wanted)
    ranked = sorted(map(_weighed, accept[:MAX_HEADER].split(",")), reverse=True, key=lambda pair: pair[0])
    for weight, tag in ranked:
        code = tag.partition("-")[0].lower()
        if weight > 0 and code in CATALOGUES:
            return Language(code)
    return Language("en")


def _weighed(item: str) -> tuple[float, str]:
    tag, _, parameter = item.partition(";")
    _, _, weight = parameter.partition("q=")
    try:
        return (float(weight) if weight else 1.0), tag.strip()
    except ValueError:
        return 0.0, tag.strip()
