"""Times of EPCIS: RFC 3339 with an offset, real dates, microseconds since the Unix epoch.

Source: EPCIS 2.0 section 7.3 (time and time zone offset), CBV 2.0 section 8.9 (times in the event hash).
"""

import re
from datetime import UTC, datetime
from functools import lru_cache

from gateway.epcis.errors import EpcisError
from gateway.preprocess.moment import MAX_SECONDS

_EXAMPLE = "2027-03-01T09:30:00.000+01:00"
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,30}))?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII).fullmatch
_OFFSET = re.compile(r"[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00)").fullmatch


def time_us(value: object) -> int:
    """Microseconds since the Unix epoch, finer parts cut off. Raises EpcisError."""
    if type(value) is not str:
        raise EpcisError(f"expected a time as {_EXAMPLE}, got {value!r:.60}")
    return _read(value)


@lru_cache(maxsize=1_024)  # each is read when it is checked, when it is used and when it is hashed
def _read(value: str) -> int:
    found = _TIME(value)
    if not found:
        raise EpcisError(f"expected a time as {_EXAMPLE}, with its offset, got {value!r:.60}")
    clock, fraction, sign, hours, minutes = found.groups()
    try:
        seconds = int(datetime.fromisoformat(clock + "+00:00").timestamp())
    except ValueError as e:
        raise EpcisError(f"expected a time that is on the calendar, got {value}: {e}") from e
    if sign:
        seconds -= _offset_s(sign, int(hours), int(minutes))
    us = seconds * 1_000_000 + (int(fraction[:6].ljust(6, "0")) if fraction else 0)
    if not 0 <= us < (MAX_SECONDS - 1) * 1_000_000:  # the last second would round into the year 10000
        raise EpcisError(f"expected a time from 1970 to 9999, got {value}")
    return us


def offset(value: object) -> str:
    """A time zone offset from -14:00 to +14:00. Raises EpcisError."""
    if type(value) is not str or not _OFFSET(value):
        raise EpcisError(f"expected an offset from -14:00 to +14:00 as +01:00, got {value!r:.40}")
    return value


def hashed(us: int) -> str:
    """The form of the event hash: UTC, rounded half-even to milliseconds."""
    rounded = round(us, -3)
    whole = datetime.fromtimestamp(rounded // 1_000_000, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{rounded // 1000 % 1000:03}Z"


def _offset_s(sign: str, hours: int, minutes: int) -> int:
    if hours > 23 or minutes > 59:
        raise EpcisError(f"expected an offset of hours and minutes, got {sign}{hours:02}:{minutes:02}")
    seconds = hours * 3600 + minutes * 60
    return seconds if sign == "+" else -seconds
