"""Numbers, times and hashes as people read them."""

import time
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_US = 253_402_300_799_999_999  # the end of the year 9999
_STEPS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
FLAG_WORDS = {
    "suspect": "implausible", "out-of-range": "out of range", "late": "arrived late", "urgent": "urgent",
    "seal-broken": "seal broken", "doubtful": "in doubt",
}  # fmt: skip


def moment(us: int, form: str = "%-d %b %Y, %H:%M:%S") -> str:
    """A time in UTC; a clock that is beyond the calendar shows as its number."""
    if not 0 <= us <= _LAST_US:
        return f"{us} µs"
    return (_EPOCH + timedelta(microseconds=us)).strftime(form)


def iso(us: int) -> str:
    """RFC 3339, for the datetime attribute; empty beyond the calendar."""
    return (_EPOCH + timedelta(microseconds=us)).isoformat() if 0 <= us <= _LAST_US else ""


def span(us: int) -> str:
    """A length of time in its largest unit, like `3 min`."""
    seconds = max(us, 0) / 1e6
    for size, unit in _STEPS:
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return "less than 1 s"


def span_exact(seconds: int) -> str:
    """Seconds in words, of two units at most, like `1 h 20 min`."""
    parts, left = list[str](), max(seconds, 0)
    for size, unit in _STEPS:
        if left >= size and len(parts) < 2:
            parts.append(f"{left // size} {unit}")
            left %= size
        elif parts:
            break
    return " ".join(parts) or "0 s"


def ago(us: int) -> str:
    """How long ago, by this machine's clock."""
    if not us:
        return "never"
    passed = time.time_ns() // 1000 - us
    return "in the future" if passed < -1_000_000 else "just now" if passed < 1_000_000 else f"{span(passed)} ago"


def count(number: int, one: str, many: str = "") -> str:
    """`1 event`, `9,214 events`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def size(number: int) -> str:
    """Bytes in decimal units, as disks are sold."""
    amount = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def numbers(first: int, last: int) -> str:
    """`no. 7`, `nos. 7–9`."""
    return f"no. {first:,}" if first == last else f"nos. {first:,}–{last:,}"
