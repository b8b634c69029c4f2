"""Points in time as payloads give them: RFC 3339 text with an offset, or seconds since the Unix epoch."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from msgspec import Meta

from gateway.preprocess.errors import PayloadRejected

MAX_SECONDS = 253_402_300_800  # 10000-01-01T00:00:00Z

Moment = Annotated[float, Meta(ge=0, lt=MAX_SECONDS)] | Annotated[datetime, Meta(tz=True)]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_DAY = MAX_SECONDS // 86_400 - 1


def to_us(moment: float | datetime) -> int:
    """Microseconds since the Unix epoch."""
    if isinstance(moment, datetime):
        us = (moment - _EPOCH) // timedelta(microseconds=1)
        if not 0 <= us < MAX_SECONDS * 1_000_000:
            raise PayloadRejected(f"a time is outside of the years 1970 to 9999, got {moment}")
        return us
    return round(moment * 1e6)


def to_date(us: int) -> date:
    """The UTC day of a time in microseconds; times outside of the calendar give its nearest day."""
    days = min(max(us // 86_400_000_000, 0), _LAST_DAY)
    return _EPOCH.date() + timedelta(days=days)
