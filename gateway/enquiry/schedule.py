"""When a subscription reports: EPCIS 2.0 section 8.2.5.3, in UTC.

A field is numbers and ranges with commas between them, `[1-5],20`; `0/30` is every 30th from 0 on. A field that is not
given matches everything, but for those finer than the finest given one, which are then at their beginning: hour 1 and
minute 5 is once a day, not sixty times.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.enquiry.errors import ScheduleError

_RANGES = {
    "second": (0, 59), "minute": (0, 59), "hour": (0, 23), "dayOfMonth": (1, 31), "month": (1, 12), "dayOfWeek": (1, 7),
}  # fmt: skip
FIELDS = tuple(_RANGES)
_FINER = ("second", "minute", "hour")
_ELEMENT = re.compile(r"(\d{1,2})|\[(\d{1,2})-(\d{1,2})\]|(\d{1,2})/(\d{1,2})", re.ASCII)
_MAX_CHARS = 200
_MAX_DAYS = 366 * 8 + 1  # the 29th of February comes again by then


@dataclass(frozen=True, slots=True)
class Schedule:
    """`text` is what was given, by field."""

    text: Mapping[str, str]
    allowed: Mapping[str, frozenset[int]]

    def next(self, after_us: int) -> int:
        """The first second after this moment, in microseconds since the Unix epoch. ScheduleError where none comes."""
        start = datetime.fromtimestamp(after_us // 1_000_000, UTC) + timedelta(seconds=1)
        day = start.replace(hour=0, minute=0, second=0)
        for _ in range(_MAX_DAYS):
            if self._on(day) and (found := self._within(day, start)):
                return int(found.timestamp()) * 1_000_000
            day += timedelta(days=1)
        raise ScheduleError(f"the schedule {dict(self.text)} names a day that never comes")

    def _on(self, day: datetime) -> bool:
        return (
            day.month in self.allowed["month"]
            and day.day in self.allowed["dayOfMonth"]
            and day.isoweekday() in self.allowed["dayOfWeek"]
        )

    def _within(self, day: datetime, start: datetime) -> datetime | None:
        for hour in sorted(self.allowed["hour"]):
            for minute in sorted(self.allowed["minute"]):
                if day.replace(hour=hour, minute=minute, second=59) < start:
                    continue
                for second in sorted(self.allowed["second"]):
                    moment = day.replace(hour=hour, minute=minute, second=second)
                    if moment >= start:
                        return moment
        return None


def parsed_schedule(given: Mapping[str, str]) -> Schedule:
    """ScheduleError where it is none, or where its day never comes."""
    unknown = [name for name in given if name not in _RANGES]
    if unknown or not given:
        raise ScheduleError(f"a schedule has one or more of {', '.join(FIELDS)}, got {unknown or 'none'}"[:300])
    allowed = {name: _values(name, given[name]) if name in given else _unsaid(name, given) for name in FIELDS}
    made = Schedule(dict(given), allowed)
    made.next(0)
    return made


def _unsaid(name: str, given: Mapping[str, str]) -> frozenset[int]:
    low, high = _RANGES[name]
    finest = next((at for at, finer in enumerate(_FINER) if finer in given), len(_FINER))
    if name in _FINER and _FINER.index(name) < finest:
        return frozenset({low})
    return frozenset(range(low, high + 1))


def _values(name: str, text: str) -> frozenset[int]:
    low, high = _RANGES[name]
    found = set[int]()
    for element in text.split(",") if len(text) <= _MAX_CHARS else [text]:
        match = _ELEMENT.fullmatch(element.strip())
        if match is None:
            raise ScheduleError(f"{name}: expected numbers and ranges like 5,[10-15], got {text!r:.60}")
        one, first, last, start, step = (int(part) if part is not None else None for part in match.groups())
        if one is not None:
            found.add(one)
        elif first is not None and last is not None:
            found |= set(range(first, last + 1))
        elif start is not None and step:
            found |= set(range(start, high + 1, step))
    if not found or min(found) < low or max(found) > high:
        raise ScheduleError(f"{name}: expected {low} to {high}, got {text!r:.60}")
    return frozenset(found)
